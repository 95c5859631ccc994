"""Where letters may stand: small crisp shapes on a plain background. Nothing is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .planes import PLAIN_UPTO, Planes

LETTER_CONTRAST, _STRONG = 14, 56  # grey levels by which a letter differs from its background: at least; usually
_LOWEST, _TALLEST, _TALL = 5, 24, 0.12  # pixels; and a share of the screen's height
_RUN_TOGETHER, _LARGE = 36, 1500  # pixels: so high, or of such an area, a shape may be several lines, or more
_EVEN = 0.35  # of its strongest contrast is a letter's mean; less: a letter that touches an echo
_NEAR, _SOME_PLAIN = 15, 30  # pixels; of 255: speckle has less that is plain about it
_PLAIN = 0.40  # of what surrounds a letter
_ALIKE, _BASELINE, _APART = 1.8, 0.5, 1.6  # of letters in one line: heights' ratio; overlap; gap in heights
_LONG, _LINE = 16, 45  # heights: a word; a line. What is longer is a bar or an edge
CRISP_ENOUGH = 0.62  # crispness below which nothing is drawn: its contrast does not rise from one pixel to the next
_CRISP, _FAINT = 0.72, 16  # as crisp as letters are, however faint; their mean contrast at least
_BRIGHT = 36  # the mean contrast of letters that a scaled video has blurred
_HIGH, _OPEN, _WIDE_OPEN = 10, 0.02, 0.12  # pixels; of a word's box is plain if it is as high; if it is higher still
_PAGE = 600  # marks that are drawn: a page of text
_RIPPLE, _LESS = 3, 2  # an eighth of the strongest contrast near by is a ripple of compression; a quarter is ink
_UPRIGHT = 0.7  # of what changes along a word, to what changes across it; echoes lie along the probe
_STROKES = 1.6  # borders of strokes in a length of one height
_AROUND = 3  # pixels made black around a letter
_WIDE = np.ones((7, 7), np.uint8)

Boxes = NDArray[np.int64]  # (number, 4): x, y, width, height


@dataclass(frozen=True, slots=True, eq=False)
class Letters:
    """What may be letters in one screen, at the planes' scale; how crisp each is (an echo .5, a letter up to 1)."""

    boxes: Boxes
    crisp: NDArray[np.float64]
    strength: NDArray[np.float64]  # mean contrast

    def of(self, which: NDArray[np.bool_]) -> Letters:
        """Some of them."""
        return Letters(self.boxes[which], self.crisp[which], self.strength[which])

    def and_(self, other: Letters) -> Letters:
        """Both."""
        boxes, crisp = np.concatenate([self.boxes, other.boxes]), np.concatenate([self.crisp, other.crisp])
        return Letters(boxes, crisp, np.concatenate([self.strength, other.strength]))

    def covered(self, shape: tuple[int, ...], around: int = _AROUND) -> NDArray[np.uint8]:
        """1 (rows, columns) where they stand, and a little around them."""
        mask = np.zeros(shape[:2], np.uint8)
        for x, y, width, height in self.boxes:
            mask[max(0, y - around) : y + height + around, max(0, x - around) : x + width + around] = 1
        return mask


def letters(seen: Planes) -> Letters:
    """All small shapes on a plain background: letters, and marks that are none.

    What is plain, and what is ink, is told beside the strongest contrast near by: compression surrounds letters with
    ripples, which are no ink.
    """
    strongest = np.asarray(cv2.dilate(seen.contrast, np.ones((_NEAR, _NEAR), np.uint8)), np.uint8)
    plain = (seen.contrast <= np.maximum(strongest >> _RIPPLE, PLAIN_UPTO)).astype(np.uint8)
    near = cv2.blur(plain * np.uint8(255), (_NEAR, _NEAR)) >= _SOME_PLAIN
    ink = ((seen.contrast >= np.maximum(strongest >> _LESS, LETTER_CONTRAST)) & near).astype(np.uint8)
    boxes = [_shapes(ink)]
    large = boxes[0][:, 2] * boxes[0][:, 3] > _LARGE
    merged = boxes[0][(boxes[0][:, 3] > _RUN_TOGETHER) | large]
    if len(merged):  # lines that compression has run together, letters at a frame
        within = np.zeros_like(ink)
        for x, y, width, height in merged:
            within[y : y + height, x : x + width] = 1
        boxes.append(_shapes(ink & within & (seen.contrast >= _STRONG).astype(np.uint8)))
    every = np.concatenate(boxes)
    tallest = max(_TALLEST, round(_TALL * ink.shape[0]))
    every = every[(every[:, 3] >= _LOWEST) & (every[:, 3] <= tallest) & (every[:, 2] >= 2)]
    every = np.unique(every[_surroundings(plain, every) >= _PLAIN], axis=0)
    return Letters(every, *_drawn(seen, ink, every))


def _shapes(ink: NDArray[np.uint8]) -> Boxes:
    """The boxes of connected shapes; short labels are quicker, and enough for as many pixels."""
    short = cv2.countNonZero(ink) < 1 << 16
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8, ltype=cv2.CV_16U if short else cv2.CV_32S)
    return np.asarray(stats[1:, :4], np.int64)


def lines(seen: Planes, found: Letters) -> Letters:
    """Those that are words, or stand in a line with others alike: a bright echo is not taken for a letter."""
    boxes, drawn = found.boxes, (found.crisp >= CRISP_ENOUGH) & (found.boxes[:, 2] <= _LINE * found.boxes[:, 3])
    drawn &= found.strength >= np.where(found.crisp >= _CRISP, _FAINT, _BRIGHT)
    drawn &= found.strength >= _EVEN * np.array([_peak(seen, box) for box in boxes], np.float64)
    if np.count_nonzero(drawn) > _PAGE:
        return found.of(drawn)
    left, top, width, height = (boxes[:, column] for column in range(4))
    overlap = np.minimum.outer(top + height, top + height) - np.maximum.outer(top, top)
    lower, taller = np.minimum.outer(height, height), np.maximum.outer(height, height)
    gap = np.maximum.outer(left, left) - np.minimum.outer(left + width, left + width)
    beside = (gap >= -_BASELINE * lower) & (gap <= _APART * taller)  # not one in the other
    alike = (taller <= _ALIKE * lower) & (overlap >= _BASELINE * taller) & beside
    np.fill_diagonal(alike, False)
    words = np.array([is_drawn and _is_word(seen, box) for box, is_drawn in zip(boxes, drawn, strict=True)], np.bool_)
    single = drawn & (width <= _LONG * height)
    return found.of(words | (single & (alike & (single | words)[None, :]).any(axis=1)))


def _surroundings(plain: NDArray[np.uint8], boxes: Boxes) -> NDArray[np.float64]:
    """Which share of what lies around each box is plain."""
    rows, columns = plain.shape
    left, top, right, bottom = boxes[:, 0], boxes[:, 1], boxes[:, 0] + boxes[:, 2], boxes[:, 1] + boxes[:, 3]
    pad = np.maximum(2, boxes[:, 3] // 3)
    wide = np.stack([np.maximum(0, left - pad), np.maximum(0, top - pad), right + pad, bottom + pad], axis=1)
    wide[:, 2], wide[:, 3] = np.minimum(columns, wide[:, 2]), np.minimum(rows, wide[:, 3])
    wide[:, 2:] -= wide[:, :2]
    sums = np.asarray(cv2.integral(plain))
    around = wide[:, 2] * wide[:, 3] - boxes[:, 2] * boxes[:, 3]
    return (_inside(sums, wide) - _inside(sums, boxes)) / np.maximum(1, around)


def _drawn(seen: Planes, ink: NDArray[np.uint8], boxes: Boxes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How crisp each is: which share of its contrast rises from one pixel to the next; and its mean contrast."""
    far = cv2.dilate(seen.grey, _WIDE) - cv2.erode(seen.grey, _WIDE)
    near, count = _sum(seen.contrast * ink, boxes), _sum(ink, boxes)
    return near / np.maximum(1, _sum(np.asarray(far * ink, np.uint8), boxes)), near / np.maximum(1, count)


def _sum(values: NDArray[np.uint8], boxes: Boxes) -> NDArray[np.int64]:
    """Sums over boxes."""
    return _inside(np.asarray(cv2.integral(values)), boxes)


def _inside(sums: NDArray[Any], boxes: Boxes) -> NDArray[np.int64]:
    """Sums over boxes, from an integral image."""
    left, top, right, bottom = boxes[:, 0], boxes[:, 1], boxes[:, 0] + boxes[:, 2], boxes[:, 1] + boxes[:, 3]
    every = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return np.asarray(every, np.int64)


def _peak(seen: Planes, box: NDArray[np.int64]) -> int:
    x, y, width, height = (int(value) for value in box)
    return int(seen.contrast[y : y + height, x : x + width].max())


def _is_word(seen: Planes, box: NDArray[np.int64]) -> bool:
    """Do strokes follow one another along it, several to its height?"""
    x, y, width, height = (int(value) for value in box)
    if width < 1.3 * height:
        return False
    around = seen.contrast[y : y + height, x : x + width]
    plain = np.count_nonzero(around <= max(PLAIN_UPTO, int(around.max()) >> _RIPPLE)) / around.size
    if height >= _HIGH and plain < (_OPEN if height < _TALLEST else _WIDE_OPEN):
        return False
    inside = seen.grey[y : y + height, x : x + width]
    along, down = cv2.absdiff(inside[:, 1:], inside[:, :-1]), cv2.absdiff(inside[1:], inside[:-1])
    if along.mean() < _UPRIGHT * down.mean():
        return False
    middle = (int(inside.min()) + int(inside.max())) / 2
    rows = (round(height * share) for share in (0.35, 0.45, 0.55, 0.65))
    strokes = np.median([np.count_nonzero(np.diff((inside[row] > middle).astype(np.int8))) for row in rows])
    return bool(strokes >= max(3.0, _STROKES * width / height))
