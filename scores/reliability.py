"""How often a pixel of a given confidence is tear: counted where the question means something.

Over all pixels it means nothing: nineteen of twenty are plainly no tear, the network says so, and the mean
error would be near 0 whatever it says of the others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from ..pictures.pixels import Mask

LEAST = 0.05  # confidence
REACH_MM = 3.0
REACH_SHARE = 0.03  # of the picture's height, where mm are not known
BINS = 10


class Reliability(NamedTuple):
    """Per bin of fitted confidence: its mean, the share of tear among its pixels, and how many there are."""

    confidence: NDArray[np.float64]
    share: NDArray[np.float64]
    pixels: NDArray[np.int64]

    @property
    def expected_error(self) -> float:
        """Mean |share - confidence|, by pixels (expected calibration error); NaN where there is no pixel."""
        if not self.pixels.sum():
            return float("nan")
        return float(np.average(np.abs(self.share - self.confidence), weights=self.pixels))


def near(truth: Mask, mm_per_pixel: tuple[float, float] | None = None) -> Mask:
    """The pixels within 3 mm of a tear, the tear's own among them; bool (rows, columns), as `truth`.

    Where `mm_per_pixel` (row, column) is not known: within 3 % of the picture's height.
    """
    reach = REACH_MM if mm_per_pixel else REACH_SHARE * truth.shape[0]
    spacing = mm_per_pixel or (1.0, 1.0)
    inside = np.zeros_like(truth)
    if not truth.any():
        return inside
    box = []  # the tear and what is in reach: the rest of the picture need not be looked at
    for axis, step in enumerate(spacing):
        hit = np.flatnonzero(truth.any(axis=1 - axis))
        margin = int(reach / step) + 1
        box.append(slice(max(int(hit[0]) - margin, 0), int(hit[-1]) + margin + 1))
    part = (box[0], box[1])
    inside[part] = np.asarray(distance_transform_edt(~truth[part], sampling=spacing)) <= reach
    return inside


class CalibrationScores:
    """Pixels by fitted confidence, summed over pictures: those of LEAST or more, and those near a tear."""

    def __init__(self) -> None:
        self._tear, self._pixels = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)
        self._sum = np.zeros(BINS)

    def add(self, q: NDArray[np.float32], truth: Mask, mm_per_pixel: tuple[float, float] | None = None) -> None:
        """Count one picture: fitted q and truth, both (rows, columns)."""
        judged = (q >= LEAST) | near(truth, mm_per_pixel)
        q, tear = q[judged], truth[judged]
        place = np.minimum((q * BINS).astype(np.int64), BINS - 1)
        self._pixels += np.bincount(place, minlength=BINS)
        self._tear += np.bincount(place[tear], minlength=BINS)
        self._sum += np.bincount(place, q, BINS)

    def reliability(self) -> Reliability:
        """Bins without pixels are left out."""
        seen = self._pixels > 0
        pixels = self._pixels[seen]
        return Reliability(self._sum[seen] / pixels, self._tear[seen] / pixels, pixels)

    def as_report(self) -> dict[str, int | float | None]:
        """The expected calibration error, and over how many pixels it was taken."""
        pixels = int(self._pixels.sum())
        return {"ece": self.reliability().expected_error if pixels else None, "ece_pixels": pixels}
