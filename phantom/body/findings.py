"""What makes pictures hard: what looks like a tear and is none, and how poor the picture is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .tear import Tear

NEGATIVES = (
    "plain", "effusion", "anisotropy", "cartilage", "shadow", "tendinosis", "vessel", "calcification",
)  # fmt: skip
LIKELY_WITH_TEAR = 0.14  # of each look-alike beside a tear


class SideShadow(NamedTuple):
    """One side of the picture lost: the acromion's shadow, or the probe off the skin."""

    side: int  # -1 medial, 1 lateral
    edge_mm: float  # from the picture's middle, where it begins
    soft_mm: float
    decibels: float
    from_mm: float  # depth it begins at; below 0: from the skin on
    tilt: float  # mm sideways per mm of depth


class Vessel(NamedTuple):
    """A round or long dark vessel between fascia and bursa."""

    x: float  # world, mm
    height: float  # 0 at the fascia, 1 at the peribursal fat
    radius_mm: float
    length: float  # times as long as it is high


@dataclass(frozen=True)
class Findings:
    """Everything besides the tear that differs between shoulders; plain unless said otherwise."""

    negative: str = "plain"  # what it was drawn as, out of NEGATIVES
    tendon_db: float = -33.0
    deltoid_db: float = -37.0
    fibre_db: float = 3.7  # how clearly the tendon's fibres show
    effusion_mm: float = 0.0  # fluid in the bursa
    effusion_at: float = 9.0  # its middle, in s (mm)
    bursa_db: float = -38.0
    anisotropy_db: float = 12.0  # lost where fibres run oblique to the beam
    anisotropy_degrees: float = 24.0
    rocked: float = 0.0  # heel-toe tilt of the fibres' best angle, radians
    cartilage_mm: float = 1.0
    calcification: tuple[float, float, float] | None = None  # (s mm, u, half length mm)
    calcification_shadow_db: float = 0.0
    side_shadow: SideShadow | None = None
    dropout: tuple[float, float, float] | None = None  # (x mm in the picture, half width mm, dB): no gel
    tendinosis_db: float = 0.0  # darker tendon, not torn
    tendinosis_at: float = 8.0  # s (mm)
    vessel: Vessel | None = None
    biceps_mm: float = 2.0  # its half width in the short axis
    sheath_mm: float = 0.0  # fluid around it
    pits: int = 0  # of the cortex at the footprint
    cortex_breaks_db: float = 0.0
    cortex_db: float = -6.0
    bursa_line_db: float = -9.0
    patches_db: float = 1.5
    shading_db: float = 2.2
    excess_loss: float = 1.0  # how much more (or less) this tissue attenuates
    brightness_db: float = 0.0
    reverberation_db: float = -60.0  # echo of the cortex below it
    reverberation_mm: float = 2.2
    clutter_db: float = -40.0  # haze over everything and beneath the bone, against full white
    clutter_fade_db: float = 0.3  # per mm of depth
    stria_db: float = 11.0  # how bright the fasciae in the deltoid are
    calipers: int = 0  # crosses that somebody set into the picture

    @classmethod
    def draw(cls, seed: int, tear: Tear | None, random: np.random.Generator) -> Findings:
        """An intact shoulder has the look-alike its seed names; a torn one has each at a chance of 1 in 7."""
        uniform = random.uniform
        negative = NEGATIVES[(seed // 3) % len(NEGATIVES)]
        present = {n: (negative == n if tear is None else uniform() < LIKELY_WITH_TEAR) for n in NEGATIVES}
        tendon = uniform(-35.0, -27.0)
        chosen: dict[str, Any] = {
            "negative": negative if tear is None else "plain",
            "tendon_db": tendon,
            "deltoid_db": tendon - uniform(0.0, 7.0),
            "fibre_db": uniform(1.0, 4.5),
            "stria_db": uniform(4.0, 14.0),
            "cartilage_mm": uniform(0.5, 1.1),
            "anisotropy_db": uniform(4.0, 12.0),
            "rocked": uniform(-0.12, 0.12),
            "sheath_mm": uniform(0.3, 1.6) if uniform() < 0.5 else 0.0,
            "biceps_mm": uniform(1.6, 3.0),
        }
        chosen |= _quality(random)
        if tear is not None and tear.kind in ("full", "bursal"):
            chosen["effusion_mm"] = uniform(0.0, 0.9)
        if uniform() < 0.3:
            chosen |= {"tendinosis_db": uniform(1.0, 4.0), "tendinosis_at": uniform(4.0, 16.0)}
        for name, draw in _LOOK_ALIKES.items():
            if present[name]:
                chosen |= draw(tear, random)
        return cls(**chosen)


def _quality(random: np.random.Generator) -> dict[str, Any]:
    """How good the picture is: cortex, haze, shadow, gain."""
    uniform = random.uniform
    poor = uniform() < 0.5  # patchier, with a broken cortex
    return {
        "pits": int(random.integers(0, 7)),
        "cortex_breaks_db": uniform(8.0, 26.0) if poor else uniform(0.0, 8.0),
        "cortex_db": uniform(-42.0, -15.0),
        "bursa_line_db": uniform(-8.0, 2.5),
        "patches_db": uniform(2.0, 4.0) if poor else uniform(0.8, 2.4),
        "shading_db": uniform(2.0, 4.0) if poor else uniform(1.0, 2.4),
        "brightness_db": uniform(-2.0, 3.0),
        "excess_loss": uniform(0.95, 1.12),
        "reverberation_db": uniform(-58.0, -36.0) if uniform() < 0.45 else -60.0,
        "reverberation_mm": uniform(1.2, 3.4),
        "clutter_db": uniform(-46.5, -39.5),
        "clutter_fade_db": uniform(0.0, 0.5),
        "side_shadow": _side_shadow(random) if uniform() < 0.3 else None,
        "calipers": int(random.integers(2, 5)) if uniform() < 0.22 else 0,
    }


def _side_shadow(random: np.random.Generator) -> SideShadow:
    uniform = random.uniform
    return SideShadow(
        side=-1 if uniform() < 0.6 else 1,
        edge_mm=uniform(5.0, 17.0),
        soft_mm=uniform(0.8, 5.0),
        decibels=uniform(14.0, 36.0),
        from_mm=uniform(4.0, 10.0) if uniform() < 0.6 else -5.0,
        tilt=uniform(-0.35, 0.35),
    )


def _effusion(tear: Tear | None, random: np.random.Generator) -> dict[str, Any]:
    uniform = random.uniform
    return {
        "effusion_mm": uniform(0.8, 2.8),
        "effusion_at": uniform(4.0, 16.0),
        "bursa_db": uniform(-62.0, -46.0),
    }


def _anisotropy(tear: Tear | None, random: np.random.Generator) -> dict[str, Any]:
    uniform = random.uniform
    return {
        "anisotropy_db": uniform(15.0, 30.0),
        "anisotropy_degrees": uniform(13.0, 20.0),
        "rocked": uniform(0.08, 0.28) * (1 if uniform() < 0.5 else -1),
    }


def _cartilage(tear: Tear | None, random: np.random.Generator) -> dict[str, Any]:
    return {"cartilage_mm": random.uniform(1.4, 2.4)}


def _tendinosis(tear: Tear | None, random: np.random.Generator) -> dict[str, Any]:
    return {"tendinosis_db": random.uniform(4.0, 9.0), "tendinosis_at": random.uniform(4.0, 16.0)}


def _shadow(tear: Tear | None, random: np.random.Generator) -> dict[str, Any]:
    """The acromion far in, or a place without gel; never over the tear's middle."""
    uniform = random.uniform
    if uniform() < 0.6:
        shadow = _side_shadow(random)
        return {"side_shadow": shadow._replace(edge_mm=uniform(0.0, 9.0) if tear is None else shadow.edge_mm)}
    x = uniform(-16.0, 16.0) if tear is None else uniform(-19.0, -14.0)
    return {"dropout": (x, uniform(0.8, 3.5), uniform(10.0, 30.0))}


def _calcification(tear: Tear | None, random: np.random.Generator) -> dict[str, Any]:
    uniform = random.uniform
    s = uniform(5.0, 18.0) if tear is None else tear.span()[1] + uniform(3.0, 6.0)
    deposit = (s, uniform(0.2, 0.6), uniform(0.8, 3.2))
    return {"calcification": deposit, "calcification_shadow_db": uniform(8.0, 30.0)}


def _vessel(tear: Tear | None, random: np.random.Generator) -> dict[str, Any]:
    uniform = random.uniform
    return {"vessel": Vessel(uniform(-16, 16), uniform(0.25, 0.85), uniform(0.6, 2.0), uniform(1.0, 3.5))}


_LOOK_ALIKES = {
    "effusion": _effusion,
    "anisotropy": _anisotropy,
    "cartilage": _cartilage,
    "shadow": _shadow,
    "tendinosis": _tendinosis,
    "vessel": _vessel,
    "calcification": _calcification,
}
