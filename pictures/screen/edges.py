"""The edges of the picture's box, to the pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..pixels import Sector
from .letters import Letters
from .planes import COARSE, OWN_BLACK, Planes

_INWARD, _OUTWARD = 8, 4  # cells within which an edge is looked for
_NOISE = 8  # grey levels by which grey chrome varies after lossy compression, near letters
_EDGE = 0.04  # of a line of pixels at the picture's edge: how many differ from the chrome

Lines = NDArray[np.int16]  # grey; -1 is not looked at


def fitted_edges(sector: Sector, seen: Planes, drawn: Letters, full: bool) -> Sector:
    """The box with each edge moved to where the chrome begins, by some cells at most.

    full: the picture is a rectangle; the tip of a fan is as thin as a letter, so less of such a box is doubted.
    """
    scale = seen.scale
    grey = np.where(drawn.covered(seen.grey.shape, around=1) > 0, -1, seen.grey.astype(np.int16))
    left, top = round(sector.x * scale), round(sector.y * scale)
    right, bottom = round((sector.x + sector.width) * scale), round((sector.y + sector.height) * scale)
    rows, columns = grey.shape
    cell = max(1.0, max(rows, columns) / COARSE)
    how = round(cell * (_INWARD if full else _OUTWARD)), round(cell * _OUTWARD), seen.tolerance
    across, down = grey[top:bottom], grey[:, left:right].T
    left, right = columns - _edge(across[:, ::-1], columns - left, how), _edge(across, right, how)
    top, bottom = rows - _edge(down[:, ::-1], rows - top, how), _edge(down, bottom, how)
    x, y = round(left / scale), round(top / scale)
    return Sector(x, y, min(seen.shape[1], round(right / scale)) - x, min(seen.shape[0], round(bottom / scale)) - y)


def _edge(lines: Lines, at: int, how: tuple[int, int, int]) -> int:
    """The column of `lines` from which on they are as plain as the one some cells beyond; `at` where there is none."""
    inward, outward, tolerance = how
    first, last = max(0, at - inward), min(lines.shape[1], at + outward)
    outer = lines[:, last - 1]
    if last <= at or not (outer >= 0).any():
        return at
    level = float(np.median(outer[outer >= 0]))
    tolerance = _NOISE if tolerance and level > OWN_BLACK else tolerance
    near = lines[:, first:last]
    differing = ((np.abs(near - level) > tolerance) & (near >= 0)).mean(axis=0)
    plain = np.flatnonzero(differing < _EDGE)
    return first + int(plain[0]) if len(plain) and plain[0] > 0 else at
