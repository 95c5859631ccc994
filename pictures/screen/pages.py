"""Is it a page of text? A worklist with its names is as dense as speckle, and its letters may be too small to be told.

Lines of text leave gaps between them, and their strokes are upright; echoes lie along the probe, and leave no gaps.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pixels import Grey

_ROWS, _COLUMNS = 48, 64  # pixels of a tile
_SOME = 1.0  # grey levels from pixel to pixel, on average: less is a plain tile
_UPRIGHT = 0.85  # of what changes along a row, to what changes along a column
_GAP, _GAPS, _OPEN = 0.35, 2, 0.08  # of a line's change; gaps in a tile; share of its rows
_FEWEST = 6  # tiles of a page
PAGE = 0.20  # of the tiles: a page; real pictures have a tenth at most


def written_tiles(grey: Grey) -> NDArray[np.bool_]:
    """Which tiles, from the upper left, look like lines of text: bool (rows // 48, columns // 64); none, or some."""
    written = _tiles(grey)[0]
    return written & (np.count_nonzero(written) >= _FEWEST)


def page_share(grey: Grey) -> float:
    """Which share of the tiles that show anything are written."""
    written, some = _tiles(grey)
    return float(written.sum() / some.sum()) if np.count_nonzero(written) >= _FEWEST else 0.0


def _tiles(grey: Grey) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which tiles are written, and which show anything."""
    down, across = grey.shape[0] // _ROWS, grey.shape[1] // _COLUMNS
    if min(down, across) == 0:
        return np.zeros((0, 0), np.bool_), np.zeros((0, 0), np.bool_)
    rows, columns = down * _ROWS, across * _COLUMNS
    wide = cv2.copyMakeBorder(grey, 0, 1, 0, 1, cv2.BORDER_REPLICATE)
    along = cv2.absdiff(wide[:rows, 1 : columns + 1], wide[:rows, :columns])
    below = cv2.absdiff(wide[1 : rows + 1, :columns], wide[:rows, :columns])
    lines = _means(along, (across, rows)).reshape(down, _ROWS, across)  # of each row in each tile
    low = lines <= _GAP * np.maximum(np.percentile(lines, 75, axis=1), 1e-6)[:, None, :]
    gaps = (low[:, 1:] & ~low[:, :-1]).sum(axis=1) + low[:, 0]
    changes = lines.mean(axis=1)
    upright = changes >= _UPRIGHT * _means(below, (across, down))
    some = changes >= _SOME
    return upright & some & (gaps >= _GAPS) & (low.mean(axis=1) >= _OPEN), some


def _means(values: cv2.typing.MatLike, size: tuple[int, int]) -> NDArray[np.float32]:
    """Means over blocks; size: how many across and down."""
    return np.asarray(cv2.resize(values.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32)


def covered(tiles: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """1 (rows, columns) of the screen where tiles are, and in the tiles about them."""
    if not tiles.any():
        return np.zeros(shape, np.uint8)
    wide = cv2.dilate(tiles.astype(np.uint8), np.ones((3, 3), np.uint8))
    mask = np.zeros(shape, np.uint8)
    large = np.kron(wide, np.ones((_ROWS, _COLUMNS), np.uint8))
    mask[: large.shape[0], : large.shape[1]] = large
    mask[large.shape[0] :] = mask[large.shape[0] - 1]
    mask[:, large.shape[1] :] = mask[:, large.shape[1] - 1 : large.shape[1]]
    return mask
