"""(picture, seed) -> the same composite, always."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from ...pictures.breast_lesions import Lesion
from ...pictures.pixels import Grey, Mask
from ...scores.appearance import QUANTILES, REAL, RING, dilated
from .gaps import cut_gap
from .grafts import graft, place_lesion, stretched
from .places import Seen, centre, laid, look, plausible, set_down
from .shapes import GAP_KINDS, SHARES, gap_shape

WIDTH = 600  # pixels at most, as the real pictures that it is held against
TRIES = 60
GRAFTED = 0.25  # share of composites, where there are lesions
SHADED = 0.3  # share of pictures with one side in shadow
CLOSE = 0.1  # how far from the wanted contrast a composite may be
ON_BONE = 0.45  # share of gaps that look for a bright line to lie on


class StandIn(NamedTuple):
    """A composite: `host` and `pixels`, uint8 (rows, columns), differ by the gap in `mask` and by what it does around.

    Both are the same cut of the real picture at the same gain. `kind` is one of shapes.GAP_KINDS, or the lesion's name.
    """

    host: Grey
    pixels: Grey
    mask: Mask
    kind: str


def stand_in(picture: Grey, seed: int, lesions: Sequence[Lesion] = ()) -> StandIn | None:
    """A composite of `picture`, uint8 (rows, columns) without a tear; None where no tear could be seen in it.

    The same `picture`, `seed` and `lesions` give the same bytes. `lesions` have to be those that no training saw:
    `lesions_for("test", ...)`.
    """
    digest = hashlib.blake2b(picture.tobytes(), digest_size=8).digest()
    rng = np.random.default_rng((seed, int.from_bytes(digest, "big")))
    host = examined(picture, rng)
    seen = look(host)
    wanted_area, contrast = drawn("area_percent", rng) / 100, drawn("inside_to_ring", rng)
    grafted = bool(lesions) and rng.random() < GRAFTED
    for _ in range(TRIES):
        made = (_grafted if grafted else _cut)(seen, wanted_area * host.size, contrast, lesions, rng)
        if made is not None and abs(contrast_of(made[0], made[1]) - contrast) <= CLOSE:
            pixels, mask, kind = made
            return StandIn(host, pixels, mask, kind)
        wanted_area *= 0.985  # a smaller one fits more easily
    return None


def examined(picture: Grey, rng: np.random.Generator) -> Grey:
    """A window of the picture at another gain, as an examiner sets them: flatter than a screen, tissue mid-grey."""
    rows, columns = picture.shape
    wide = round(columns * rng.uniform(0.8, 1.0))
    high = min(rows, round(wide / rng.uniform(1.3, 2.1)))
    top, left = round((rows - high) * rng.uniform(0, 0.35)), round((columns - wide) * rng.uniform(0, 1))
    window = picture[top : top + high, left : left + wide]
    if wide > WIDTH:
        size = (WIDTH, round(high * WIDTH / wide))
        window = np.asarray(cv2.resize(window, size, interpolation=cv2.INTER_AREA), np.uint8)
    tissue = window[window > 16]
    middle = float(np.median(tissue)) if tissue.size else 128.0
    wanted, black = rng.uniform(60, 105), rng.uniform(0, 0.35) * min(middle, 40)
    linear = np.clip((np.arange(256) - black) / (255 - black), 0, 1)
    share = np.clip((middle - black) / (255 - black), 0.03, 0.97)
    gamma = float(np.clip(np.log(wanted / 255) / np.log(share), 0.45, 1.3))
    lit = np.rint(255 * linear**gamma).astype(np.uint8)[window]
    return shaded(lit, rng) if rng.random() < SHADED else lit


def shaded(picture: Grey, rng: np.random.Generator) -> Grey:
    """One side dark from top to bottom, as behind the acromion or where the probe has left the skin."""
    rows, columns = picture.shape
    edge = rng.uniform(0.08, 0.3) * columns + rng.uniform(-0.15, 0.15) * np.arange(rows)[:, None]
    soft = 1 / (1 + np.exp((np.arange(columns)[None] - edge) / (rng.uniform(0.01, 0.03) * columns)))
    loss = rng.uniform(60, 150) * (soft if rng.random() < 0.5 else soft[:, ::-1])
    return np.clip(picture - loss, 0, 255).astype(np.uint8)


def contrast_of(pixels: Grey, mask: Mask) -> float:
    """Mean grey inside / ring."""
    return float(pixels[mask].mean() / max(pixels[dilated(mask, RING) & ~mask].mean(), 1e-6))


def drawn(name: str, rng: np.random.Generator) -> float:
    """A value as real tears have it, between 5 and 95 % of them, uniform between the quantiles."""
    return float(np.interp(rng.uniform(QUANTILES[0], QUANTILES[-1]), QUANTILES, REAL[name]))


Made = tuple[Grey, Mask, str] | None


def _cut(seen: Seen, area: float, contrast: float, lesions: Sequence[Lesion], rng: np.random.Generator) -> Made:
    kind = str(rng.choice(GAP_KINDS, p=SHARES))
    row, column = centre(seen, rng)
    tilt = rng.uniform(55, 110) if kind == "cleft" else rng.normal(0, 12)
    degrees = float(seen.degrees[row, column] + tilt)
    shape = gap_shape(kind, area, 1.25 * drawn("length_to_width", rng), degrees, rng)
    mask = laid(shape, row, column, seen)
    if mask is None:
        return None
    if rng.random() < ON_BONE:
        mask = set_down(mask, seen)
    return (cut_gap(seen, mask, contrast, rng), mask, kind) if plausible(mask, seen) else None


def _grafted(seen: Seen, area: float, contrast: float, lesions: Sequence[Lesion], rng: np.random.Generator) -> Made:
    lesion = stretched(lesions[int(rng.integers(len(lesions)))], area, rng)
    mask = None if lesion is None else place_lesion(lesion, *centre(seen, rng), seen)
    if lesion is None or mask is None or not plausible(mask, seen):
        return None
    return graft(seen, lesion, mask, contrast, rng), mask, lesion.name
