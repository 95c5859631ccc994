"""Where letters may stand: small crisp shapes on a plain background. Nothing is read."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .planes import FLAT, Planes

INK, _STRONG = 14, 56  # grey levels by which a letter differs from its background: at least; usually
_LOWEST, _TALLEST, _TALL = 5, 24, 0.12  # pixels; and a share of the screen's height
_RUN_TOGETHER = 36  # pixels: as high a shape may be several lines, or letters at a frame
_NEAR, _SOME_PLAIN = 15, 30  # pixels; of 255: speckle has less that is plain about it
_PLAIN = 0.40  # of what surrounds a letter
_ALIKE, _BASELINE, _APART = 1.8, 0.5, 1.6  # of letters in one line: heights' ratio; overlap; gap in heights
_LONG, _LINE = 16, 45  # heights: a word; a line. What is longer is a bar or an edge
ECHO = 0.62  # crispness below which nothing is drawn: its contrast does not rise from one pixel to the next
_CRISP, _FAINT = 0.72, 26  # as crisp as letters are, however faint; grey levels by which they stand out at least
_BRIGHT = 60  # grey levels by which letters stand out that a scaled video has blurred
_HIGH, _OPEN, _WIDE_OPEN = 10, 0.03, 0.12  # pixels; of a word's box is plain if it is as high; if it is higher still
_STROKES = 1.6  # borders of strokes in a length of one height
_AROUND = 3  # pixels made black around a letter
_WIDE = np.ones((7, 7), np.uint8)

Boxes = NDArray[np.int64]  # (number, 4): x, y, width, height


@dataclass(frozen=True, slots=True, eq=False)
class Letters:
    """What may be letters in one screen, at the planes' scale; and how crisp each is: an echo .5, a letter up to 1."""

    boxes: Boxes
    crisp: NDArray[np.float64]

    def of(self, which: NDArray[np.bool_]) -> Letters:
        """Some of them."""
        return Letters(self.boxes[which], self.crisp[which])

    def covered(self, shape: tuple[int, ...], around: int = _AROUND) -> NDArray[np.uint8]:
        """1 (rows, columns) where they stand, and a little around them."""
        mask = np.zeros(shape[:2], np.uint8)
        for x, y, width, height in self.boxes:
            mask[max(0, y - around) : y + height + around, max(0, x - around) : x + width + around] = 1
        return mask


def letters(seen: Planes) -> Letters:
    """All small shapes on a plain background: letters, and marks that are none."""
    plain = (seen.contrast <= FLAT).astype(np.uint8)
    near = cv2.blur(plain * np.uint8(255), (_NEAR, _NEAR)) >= _SOME_PLAIN
    ink = ((seen.contrast >= INK) & near).astype(np.uint8)
    boxes = [_shapes(ink)]
    merged = boxes[0][boxes[0][:, 3] > _RUN_TOGETHER]
    if len(merged):  # lines that compression has run together, letters at a frame
        within = np.zeros_like(ink)
        for x, y, width, height in merged:
            within[y : y + height, x : x + width] = 1
        boxes.append(_shapes(ink & within & (seen.contrast >= _STRONG).astype(np.uint8)))
    every = np.unique(np.concatenate(boxes), axis=0)
    tallest = max(_TALLEST, round(_TALL * ink.shape[0]))
    every = every[(every[:, 3] >= _LOWEST) & (every[:, 3] <= tallest) & (every[:, 2] >= 2)]
    every = every[_surroundings(plain, every) >= _PLAIN] if len(every) else every
    return Letters(every, np.array([_crispness(seen, box) for box in every], np.float64))


def _shapes(ink: NDArray[np.uint8]) -> Boxes:
    """The boxes of connected shapes; short labels are quicker, and enough for as many pixels."""
    short = cv2.countNonZero(ink) < 1 << 16
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8, ltype=cv2.CV_16U if short else cv2.CV_32S)
    return np.asarray(stats[1:, :4], np.int64)


def lines(seen: Planes, found: Letters) -> Letters:
    """Those that are words, or stand in a line with others alike: a bright echo is not taken for a letter."""
    boxes = found.boxes
    if not len(boxes):
        return found
    left, top, width, height = (boxes[:, column] for column in range(4))
    overlap = np.minimum.outer(top + height, top + height) - np.maximum.outer(top, top)
    lower, taller = np.minimum.outer(height, height), np.maximum.outer(height, height)
    gap = np.maximum.outer(left, left) - np.minimum.outer(left + width, left + width)
    beside = (gap >= -_BASELINE * lower) & (gap <= _APART * taller)  # not one in the other
    alike = (taller <= _ALIKE * lower) & (overlap >= _BASELINE * taller) & beside
    np.fill_diagonal(alike, False)
    words = np.array([_is_word(seen, *row) for row in zip(boxes, found.crisp, strict=True)], np.bool_)
    peaks = np.array([_peak(seen, box) for box in boxes], np.int64)
    drawn = (peaks >= np.where(found.crisp >= _CRISP, _FAINT, _BRIGHT)) & (found.crisp >= ECHO)
    drawn &= width <= _LONG * height
    return found.of(words | (drawn & (alike & (drawn | words)[None, :]).any(axis=1)))


def _surroundings(plain: NDArray[np.uint8], boxes: Boxes) -> NDArray[np.float64]:
    """Which share of what lies around each box is plain."""
    rows, columns = plain.shape
    sums = cv2.integral(plain)
    left, top, right, bottom = boxes[:, 0], boxes[:, 1], boxes[:, 0] + boxes[:, 2], boxes[:, 1] + boxes[:, 3]
    pad = np.maximum(2, boxes[:, 3] // 3)
    wide = np.maximum(0, left - pad), np.maximum(0, top - pad), np.minimum(columns, right + pad)
    low = np.minimum(rows, bottom + pad)
    around = (wide[2] - wide[0]) * (low - wide[1]) - boxes[:, 2] * boxes[:, 3]
    inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    every = sums[low, wide[2]] - sums[wide[1], wide[2]] - sums[low, wide[0]] + sums[wide[1], wide[0]]
    return (every - inside) / np.maximum(1, around)


def _crispness(seen: Planes, box: NDArray[np.int64]) -> float:
    """How much of its contrast rises from one pixel to the next: all of it in what is drawn."""
    x, y, width, height = (int(value) for value in box)
    around = np.s_[max(0, y - 2) : y + height + 2, max(0, x - 2) : x + width + 2]
    near = seen.contrast[around]
    far = cv2.dilate(seen.grey[around], _WIDE) - cv2.erode(seen.grey[around], _WIDE)
    ink = near >= INK
    return float(near[ink].sum(dtype=np.int64) / max(1, far[ink].sum(dtype=np.int64)))


def _peak(seen: Planes, box: NDArray[np.int64]) -> int:
    x, y, width, height = (int(value) for value in box)
    return int(seen.contrast[y : y + height, x : x + width].max())


def _is_word(seen: Planes, box: NDArray[np.int64], crisp: float) -> bool:
    """Do crisp strokes follow one another along it, several to its height?"""
    x, y, width, height = (int(value) for value in box)
    around = seen.contrast[y : y + height, x : x + width]
    if not 1.3 * height <= width <= _LINE * height or crisp < ECHO or int(around.max()) < _FAINT:
        return False
    plain = np.count_nonzero(around <= FLAT) / around.size
    if (height >= _TALLEST and plain < _WIDE_OPEN) or (height >= _HIGH and crisp < _CRISP and plain < _OPEN):
        return False
    inside = seen.grey[y : y + height, x : x + width]
    middle = (int(inside.min()) + int(inside.max())) / 2
    rows = (round(height * share) for share in (0.35, 0.45, 0.55, 0.65))
    strokes = np.median([np.count_nonzero(np.diff((inside[row] > middle).astype(np.int8))) for row in rows])
    return bool(strokes >= max(3.0, _STROKES * width / height))
