"""The same picture as an examiner might have cut and lit it, and whether the outline stays."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np

from ..pictures.pixels import Grey, Mask, Sector
from ..scores.counts import Counts

ASPECTS = (0.8, 2.2)  # width / height
ABOUT = 1.3  # the narrowest window is so many times as wide and as high as the tear


class CropAnswer(NamedTuple):
    """What was outlined in one crop: `mask`, bool (rows, columns) of the crop, lies at `window` in the frame."""

    window: Sector
    mask: Mask


def examiner_crop(truth: Mask, rng: np.random.Generator) -> Sector:
    """A random window around all of the tear, from the whole picture down to one close about it.

    `truth`, bool (rows, columns), marks at least one pixel. Width / height lies in ASPECTS where the picture allows it.
    """
    rows, columns = truth.shape
    top, bottom, left, right = _box(truth)
    aspect = float(np.exp(rng.uniform(*np.log(ASPECTS))))
    least = max(ABOUT * (right - left), ABOUT * (bottom - top) * aspect, 48.0)
    most = float(min(columns, rows * aspect))
    wide = rng.uniform(min(least, most), most)
    width = max(min(round(wide), columns), right - left)
    height = max(min(round(wide / aspect), rows), bottom - top)
    x = int(rng.integers(max(right - width, 0), min(left, columns - width) + 1))
    y = int(rng.integers(max(bottom - height, 0), min(top, rows - height) + 1))
    return Sector(x, y, width, height)


def regained(picture: Grey, rng: np.random.Generator) -> Grey:
    """The picture, uint8 of any shape, at another gain (up to 8 dB of 60 either way) and grey curve."""
    gamma, gain = np.exp(rng.uniform(-0.35, 0.35)), rng.uniform(-8, 8) * 255 / 60
    levels = np.arange(256)
    curve = np.where(levels > 0, 255 * (levels / 255) ** gamma + gain, 0)  # no gain lights what is black
    return np.clip(np.rint(curve), 0, 255).astype(np.uint8)[picture]


def agreement(answers: list[CropAnswer], shape: tuple[int, ...]) -> list[float]:
    """Dice of every two crops' outlines, mapped back to the frame of `shape`, on the area that both show.

    Pairs that outline nothing there say nothing, and are left out.
    """
    found = []
    for one, other in combinations([_mapped(answer, shape) for answer in answers], 2):
        common = one[1] & other[1]
        counts = Counts()
        counts.add(one[0] & common, other[0] & common)
        if counts.dice_pooled is not None:
            found.append(counts.dice_pooled)
    return found


def _mapped(answer: CropAnswer, shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    """The outline's inside, and what the crop shows, both in the frame."""
    inside, shown = np.zeros((2, *shape[:2]), np.bool_)
    answer.window.cut(inside)[...] = answer.mask
    answer.window.cut(shown)[...] = True
    return inside, shown


def _box(truth: Mask) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
