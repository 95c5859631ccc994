"""Which part of a screen is the ultrasound picture, at a coarse scale."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pixels import Sector
from .letters import LETTER_CONTRAST, Letters
from .planes import NEIGHBOURS, Planes, ground

DENSE = 150  # of 255: the share of pixels that differ from their neighbours, in speckle
COUNTS = 0.15  # of the largest part: what is smaller is the scanner's own
SMALLEST_REGION = 0.10  # of the screen: less is not convincing
_GUESS = 0.25  # of the screen: the same without dense speckle
_SPARSE = 20  # of 255: echoes in a dark part
_NO_GAP, _NO_MORE = 0.015, 0.5  # of a side's pixels: chrome begins; a second part, and no ruler
_BESIDE = 0.2  # of a mark is in speckle
_RINGING = 6  # pixels about letters that compression has disturbed
_DIM = 24  # grey levels: echoes so faint that few of them are seen
_OUTER = 0.12  # of the box: where its edge is looked for
_SLACK, _THIN_WIDE, _THIN_OFF = 4, 0.4, 0.1  # of a thin part: cells beyond the picture's columns; shares of its width

Map = NDArray[np.uint8]  # (rows, columns) of the coarse map


@dataclass(slots=True)
class Evidence:
    """What looks at the screens of a feed have shown, each cell 0 to 255: it grows and never shrinks."""

    changing: Map  # the share of pixels that differ from their neighbours and are no letters
    faint: Map  # of those, without what is drawn
    beyond: Map  # the share of pixels that are no chrome, no letters, and not plain and bright
    black: Map  # the share of pixels that are the picture's own black

    def add(self, other: Evidence) -> None:
        """Take in another look at the same layout."""
        self.changing = np.maximum(self.changing, other.changing)
        self.faint = np.maximum(self.faint, other.faint)
        self.beyond = np.maximum(self.beyond, other.beyond)
        self.black = np.maximum(self.black, other.black)


@dataclass(frozen=True, slots=True)
class Region:
    """The ultrasound picture, found or not: `cells` are 1 in it, `dense` is 1 in speckle."""

    cells: Map
    dense: Map

    @property
    def found(self) -> bool:
        """Is there any?"""
        return bool(self.cells.any())


def written(seen: Planes, change: NDArray[np.bool_], marks: Letters, text: Letters) -> Letters:
    """`text`, the marks that are letters without doubt, and all marks that stand beyond the speckle."""
    free = text.covered(seen.grey.shape, around=1)[:: seen.step, :: seen.step] == 0
    (changing,) = seen.coarse(change & free)
    outside = marks.of(_outside(marks, _speckled(changing), seen.grey.shape))
    return text.and_(outside)


def evidence(seen: Planes, change: NDArray[np.bool_], drawn: Letters) -> Evidence:
    """One look at one screen; what is `drawn` is left out. change: as `changing_pixels` gives it."""
    some = np.s_[:: seen.step, :: seen.step]
    free = drawn.covered(seen.grey.shape, _RINGING if seen.tolerance else 1)[some] == 0
    inky = cv2.dilate((seen.contrast[some] >= LETTER_CONTRAST).astype(np.uint8), NEIGHBOURS) > 0
    under = ground(seen)
    changing = change & free
    beyond = (under.chrome == 0) & (under.bright == 0) & free
    maps = changing, changing & ~inky & (seen.grey[some] <= _DIM), beyond, under.black > 0
    return Evidence(*seen.coarse(*maps))


def changing_pixels(seen: Planes) -> NDArray[np.bool_]:
    """Where a pixel differs from its neighbours, every step-th of the planes'."""
    smooth = cv2.GaussianBlur(seen.grey, (3, 3), 0)
    change = cv2.morphologyEx(smooth, cv2.MORPH_GRADIENT, NEIGHBOURS)
    return np.asarray(change[:: seen.step, :: seen.step] > 1, np.bool_)


def _outside(marks: Letters, speckle: Map, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which of them do not lie in speckle."""
    sums = cv2.integral(speckle)
    scale = np.array([speckle.shape[1] / shape[1], speckle.shape[0] / shape[0]])
    first = np.floor(marks.boxes[:, :2] * scale).astype(np.int64)
    last = np.maximum(first + 1, np.ceil((marks.boxes[:, :2] + marks.boxes[:, 2:]) * scale).astype(np.int64))
    (left, top), (right, bottom) = first.T, last.T
    inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return inside < _BESIDE * (right - left) * (bottom - top)


def _speckled(changing: Map) -> Map:
    return _closed(_opened((cv2.blur(changing, (5, 5)) > DENSE).astype(np.uint8), 9), 15)


def picture_region(shown: Evidence) -> Region:
    """The picture in what was seen: all large parts with dense speckle, and what hangs together with them.

    A thin near field above fluid, dark rows that are no chrome and sparse echoes belong to it; the screen's letters,
    rulers and bars do not. Each part is filled to its convex hull: a shadow at its side belongs to it as well.
    """
    dense = _speckled(shown.changing)
    parts = _large(_opened(dense, 25))
    if not parts.any():
        return Region(_sparse_picture(shown), np.zeros_like(dense))
    parts |= _thin_parts(dense, parts)
    parts |= _own_black(_opened((shown.black > 127).astype(np.uint8), 5), parts)
    parts |= _reached(_opened((shown.beyond > 127).astype(np.uint8), 5), parts)
    parts |= _reached(_opened(_closed((shown.faint > _SPARSE).astype(np.uint8), 9), 7), parts)
    cells = _hulls(_edged(parts, shown))
    return Region(cells if _box_area(cells) >= SMALLEST_REGION else np.zeros_like(cells), dense)


def _sparse_picture(shown: Evidence) -> Map:
    """Without dense speckle: wires in water, a probe in the air.

    The largest part that is no chrome, and all that stands in its columns.
    """
    every = _opened((shown.beyond > 127).astype(np.uint8), 3)
    largest = _large(_opened(_closed(every, 5), 7))
    if not largest.any():
        return largest
    columns = np.flatnonzero(largest.any(axis=0))
    labels, stats = _parts(every)
    inside = (stats[:, 0] >= columns[0] - _SLACK) & (stats[:, 0] + stats[:, 2] <= columns[-1] + 1 + _SLACK)
    inside[0] = False
    cells = np.zeros_like(every)
    points = cv2.findNonZero(largest | inside.astype(np.uint8)[labels])
    cv2.fillConvexPoly(cells, cv2.convexHull(points), 1)
    return cells if _box_area(cells) >= _GUESS else np.zeros_like(cells)


def _own_black(black: Map, parts: Map) -> Map:
    """The picture's own black that touches it and lies in its columns, or in its rows."""
    columns, rows = np.flatnonzero(parts.any(axis=0)), np.flatnonzero(parts.any(axis=1))
    labels, stats = _parts(black)
    x, y, width, height = (stats[:, column] for column in range(4))
    below = (x >= columns[0] - _SLACK) & (x + width <= columns[-1] + 1 + _SLACK)
    beside = (y >= rows[0] - _SLACK) & (y + height <= rows[-1] + 1 + _SLACK)
    touching = np.zeros(len(stats), np.bool_)
    touching[labels[cv2.dilate(parts, np.ones((5, 5), np.uint8)) > 0]] = True
    taken = (below | beside) & touching
    taken[0] = False
    return taken.astype(np.uint8)[labels]


def _edged(parts: Map, shown: Evidence) -> Map:
    """Without what stands beside the picture across a gap of chrome: a grey scale, a ruler."""
    some = np.maximum(shown.beyond, shown.black) * parts
    for _ in range(2):
        for turn in range(4):
            turned, cut = np.rot90(some, turn), np.rot90(parts, turn)
            columns, rows = np.flatnonzero(cut.any(axis=0)), np.flatnonzero(cut.any(axis=1))
            first = columns[-1] + 1 - max(1, round(_OUTER * len(columns)))
            outer = turned[rows[0] : rows[-1] + 1, first : columns[-1] + 1].mean(axis=0) / 255
            gaps = np.flatnonzero(outer < _NO_GAP)
            if len(gaps) and outer[gaps[0] :].max() < _NO_MORE:
                turned[:, first + gaps[0] :] = 0
                cut[:, first + gaps[0] :] = 0
    return parts


def box(cells: Map, shape: tuple[int, int]) -> Sector:
    """The bounding box of a region's cells in a screen of `shape` (rows, columns)."""
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    down, across = shape[0] / cells.shape[0], shape[1] / cells.shape[1]
    x, y = int(columns[0] * across), int(rows[0] * down)
    right, bottom = min(shape[1], round((columns[-1] + 1) * across)), min(shape[0], round((rows[-1] + 1) * down))
    return Sector(x, y, right - x, bottom - y)


def _parts(cells: Map) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Connected parts: which cell is of which, and x, y, width, height and size of each; 0 is what lies outside."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(cells)
    return np.asarray(labels, np.int32), np.asarray(stats, np.int32)


def _opened(cells: Map, size: int) -> Map:
    return np.asarray(cv2.morphologyEx(cells, cv2.MORPH_OPEN, np.ones((size, size), np.uint8)), np.uint8)


def _closed(cells: Map, size: int) -> Map:
    return np.asarray(cv2.morphologyEx(cells, cv2.MORPH_CLOSE, np.ones((size, size), np.uint8)), np.uint8)


def _large(cells: Map) -> Map:
    """The largest part and those not much smaller: fluid may divide a picture, and there may be two of them."""
    labels, stats = _parts(cells)
    sizes = stats[:, cv2.CC_STAT_AREA].copy()
    sizes[0] = 0
    kept = (sizes >= COUNTS * max(1, int(sizes.max()))).astype(np.uint8)
    kept[0] = 0
    return kept[labels]


def _reached(cells: Map, parts: Map) -> Map:
    """The connected parts of `cells` that touch `parts`."""
    labels = np.asarray(cv2.connectedComponents(cells)[1], np.int32)
    touched = np.zeros(int(labels.max()) + 1, np.uint8)
    touched[labels[parts > 0]] = 1
    touched[0] = 0
    return touched[labels]


def _thin_parts(cells: Map, parts: Map) -> Map:
    """The thin parts above and below: a near field that fluid divides from the rest.

    Such a part lies in the middle of the picture's columns and fills a good share of them: a convex one's is narrower.
    """
    columns, rows = np.flatnonzero(parts.any(axis=0)), np.flatnonzero(parts.any(axis=1))
    left, right, top, bottom = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    labels, stats = _parts(cells)
    taken = np.zeros(len(stats), np.uint8)
    for part, (x, y, width, height, _) in enumerate(stats[1:], 1):
        beside = y + height <= top or y >= bottom
        inside = x >= left - _SLACK and x + width <= right + _SLACK and width >= _THIN_WIDE * (right - left)
        taken[part] = beside and inside and abs(2 * x + width - left - right) <= 2 * _THIN_OFF * (right - left)
    return taken[labels]


def _hulls(parts: Map) -> Map:
    """Each part filled to its convex hull."""
    outlines, _ = cv2.findContours(parts, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cells = np.zeros_like(parts)
    for outline in outlines:
        cv2.fillConvexPoly(cells, cv2.convexHull(outline), 1)
    return cells


def _box_area(cells: Map) -> float:
    """Of the screen."""
    return 0.0 if not cells.any() else int(cells.any(axis=1).sum()) * int(cells.any(axis=0).sum()) / cells.size
