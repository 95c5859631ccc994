"""What makes pictures hard: distractors that look like tears, and how poor the picture is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .tear import Tear

NEGATIVES = ("plain", "effusion", "anisotropy", "cartilage", "shadow")


@dataclass(frozen=True)
class Findings:
    """Everything besides the tear that differs between shoulders; plain unless said otherwise."""

    effusion_mm: float = 0.0  # fluid in the bursa
    effusion_at: float = 9.0  # its middle, in s (mm)
    bursa_db: float = -46.0
    anisotropy_db: float = 15.0  # lost where fibres run oblique to the beam
    anisotropy_degrees: float = 24.0
    cartilage_mm: float = 1.0
    calcification: tuple[float, float, float] | None = None  # (s mm, u, half length mm)
    calcification_shadow_db: float = 0.0
    acromion_mm: float = -23.0  # world x where the acromion's shadow ends
    dropout: tuple[float, float, float] | None = None  # (x mm in the picture, half width mm, dB): no gel
    tendinosis_db: float = 0.0  # darker tendon, not torn
    tendinosis_at: float = 8.0  # s (mm)
    cortex_breaks_db: float = 0.0
    patches_db: float = 1.5
    shading_db: float = 2.2
    excess_loss: float = 1.0  # how much more (or less) this tissue attenuates
    brightness_db: float = 0.0
    reverberation_db: float = -60.0  # echo of the cortex below it
    reverberation_mm: float = 2.2
    stria: float = 11.0  # how bright the fasciae in the deltoid are, dB

    @classmethod
    def draw(cls, seed: int, tear: Tear | None, random: np.random.Generator) -> Findings:
        """An intact shoulder has the negative its seed names; a torn one has each at a chance of 1 in 5."""
        uniform = random.uniform
        negative = NEGATIVES[(seed // 3) % len(NEGATIVES)]
        present = {n: (negative == n if tear is None else uniform() < 0.2) for n in NEGATIVES}
        poor = uniform() < 0.55  # darker, patchier, with a broken cortex
        chosen: dict[str, Any] = {
            "cortex_breaks_db": uniform(10.0, 30.0) if poor else uniform(0.0, 6.0),
            "patches_db": uniform(2.0, 3.6) if poor else uniform(0.8, 2.0),
            "shading_db": uniform(2.5, 4.5) if poor else uniform(1.0, 2.4),
            "brightness_db": uniform(-8.0, -1.0) if poor else uniform(-2.0, 1.0),
            "excess_loss": uniform(1.0, 1.12) if poor else uniform(0.94, 1.03),
            "reverberation_db": uniform(-50.0, -36.0) if uniform() < 0.3 else -60.0,
            "reverberation_mm": uniform(1.6, 3.2),
            "stria": uniform(4.0, 12.0),
            "cartilage_mm": uniform(0.7, 1.1),
            "anisotropy_db": uniform(9.0, 16.0),
        }
        if tear is not None and tear.kind in ("full", "bursal"):
            chosen["effusion_mm"] = uniform(0.0, 1.2)
        if uniform() < 0.4:
            chosen |= {"tendinosis_db": uniform(2.0, 6.0), "tendinosis_at": uniform(4.0, 16.0)}
        if present["effusion"]:
            chosen |= {
                "effusion_mm": uniform(0.9, 2.8),
                "effusion_at": uniform(4.0, 16.0),
                "bursa_db": uniform(-58.0, -44.0),
            }
        if present["anisotropy"]:
            chosen |= {"anisotropy_db": uniform(20.0, 32.0), "anisotropy_degrees": uniform(14.0, 20.0)}
        if present["cartilage"]:
            chosen |= {"cartilage_mm": uniform(1.5, 2.3)}
        if present["shadow"]:
            chosen |= _shadow(tear, random)
        return cls(**chosen)


def _shadow(tear: Tear | None, random: np.random.Generator) -> dict[str, Any]:
    """A calcification, a long acromion or a place without gel; never over the tear itself."""
    uniform, which = random.uniform, int(random.integers(3))
    if which == 0:
        s = uniform(6.0, 18.0) if tear is None else tear.start + tear.length + uniform(3.0, 6.0)
        deposit = (s, uniform(0.25, 0.6), uniform(1.0, 3.2))
        return {"calcification": deposit, "calcification_shadow_db": uniform(8.0, 30.0)}
    if which == 1:
        return {"acromion_mm": uniform(-18.0, -6.0 if tear is None else -14.0)}
    x = uniform(-16.0, 16.0) if tear is None else uniform(-19.0, -15.0)
    return {"dropout": (x, uniform(0.8, 3.0), uniform(10.0, 30.0))}
