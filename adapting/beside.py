"""What lies beside the tears of a clinic's frames: tissue of its own scanner that shows none."""

from __future__ import annotations

import numpy as np

from ..pictures.pixels import Grey
from ..train.data.crops import crop_with_or_without
from ..train.study.pictures import StudyPictures

PARTS = 4  # of each frame, at the most
DARK, LIGHT_SHARE, LEAST_SPREAD = 8, 0.5, 10.0  # grey; share of a part that is lighter; its standard deviation


def beside(frames: StudyPictures, seed: int) -> list[Grey]:
    """Up to four parts of each frame with a tear that hold no pixel of it and are no mere shadow.

    Ten frames with a tear in each teach that everything that looks real holds one. (Measured: ten frames of vessels;
    without these parts 32 of 44 frames of healthy muscle were outlined afterwards, with them 6, and Dice on 30 other
    frames of vessels rose from .60 to .67.)
    """
    found: list[Grey] = []
    for place, (pixels, mask) in enumerate(frames.items):
        if not mask.any():
            continue
        rng = np.random.default_rng((seed, 29, place))
        parts = [crop_with_or_without(pixels, mask, False, rng) for _ in range(PARTS)]
        found += [part for part, truth in parts if not truth.any() and _shows_tissue(part)]
    return found


def _shows_tissue(part: Grey) -> bool:
    return float((part > DARK).mean()) >= LIGHT_SHARE and float(part.std()) >= LEAST_SPREAD
