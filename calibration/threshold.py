"""The operating point: which confidence is outlined, and how small a spot is left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..engine.counts import Counts
from ..engine.pixels import Mask

AREAS = (0, 8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 400, 512)  # network pixels
INTACT_SHARE = 0.03  # of the frames without a tear may carry an outline
DICE_LOSS = 0.005  # that leaving spots out may cost


class Spots(NamedTuple):
    """The outlined spots of one frame: pixels of each, how many of them are tear, and the frame's tear
    pixels.
    """

    areas: NDArray[np.int64]
    hits: NDArray[np.int64]
    tear: int


def spots(outlined: Mask, truth: Mask) -> Spots:
    """The 8-connected spots of an outline (rows, columns), against its truth."""
    count, labels = cv2.connectedComponents(outlined.astype(np.uint8), connectivity=8)
    areas = np.bincount(labels.ravel(), minlength=count)[1:]
    hits = np.bincount(labels[truth], minlength=count)[1:]
    return Spots(areas, hits, int(truth.sum()))


def counted(frames: Sequence[Spots], min_area: int) -> Counts:
    """What is scored where spots of fewer than `min_area` pixels are left out."""
    total = Counts()
    for frame in frames:
        kept = frame.areas >= min_area
        marked, tp = int(frame.areas[kept].sum()), int(frame.hits[kept].sum())
        empty = frame.tear == 0
        total.merge(Counts(tp, marked - tp, frame.tear - tp, int(empty and marked > 0), int(empty)))
    return total


def smallest_area(frames: Sequence[Spots]) -> int:
    """The smallest of AREAS that keeps outlines off all but 3 % of the frames without a tear.

    Few such frames make that share unsure: it has to hold with its standard error added. Where that costs
    more than 0.005 of pooled Dice, or cannot be had, the largest that does not cost so much.
    """
    before = counted(frames, 0).dice_pooled or 0.0
    affordable = 0
    for area in AREAS:
        found = counted(frames, area)
        if before - (found.dice_pooled or 0.0) > DICE_LOSS:
            break
        affordable = area
        intact = max(found.negative_frames, 1)
        share = found.false_positive_frames / intact
        if share + np.sqrt(share * (1 - share) / intact) <= INTACT_SHARE:
            break
    return affordable
