"""The edges of the picture's box, to the pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..pixels import Sector
from .letters import Letters
from .planes import COARSE, Planes

_FIT = 4  # cells within which an edge is looked for
_EDGE = 0.04  # of a line of pixels at the picture's edge: how many differ from the chrome

Lines = NDArray[np.int16]  # grey; -1 is not looked at


def fitted(sector: Sector, seen: Planes, found: Letters) -> Sector:
    """The box with each edge moved to where the chrome begins, by some cells at most."""
    scale = seen.scale
    grey = np.where(found.covered(seen.grey.shape, around=1) > 0, -1, seen.grey.astype(np.int16))
    left, top = round(sector.x * scale), round(sector.y * scale)
    right, bottom = round((sector.x + sector.width) * scale), round((sector.y + sector.height) * scale)
    rows, columns = grey.shape
    across, down = grey[top:bottom], grey[:, left:right].T
    left, right = columns - _edge(across[:, ::-1], columns - left, seen.tolerance), _edge(across, right, seen.tolerance)
    top, bottom = rows - _edge(down[:, ::-1], rows - top, seen.tolerance), _edge(down, bottom, seen.tolerance)
    x, y = round(left / scale), round(top / scale)
    return Sector(x, y, min(seen.shape[1], round(right / scale)) - x, min(seen.shape[0], round(bottom / scale)) - y)


def _edge(lines: Lines, at: int, tolerance: int) -> int:
    """The column of `lines` from which on they are as plain as the one some cells beyond; `at` where there is none."""
    reach = max(2, round(_FIT * max(lines.shape) / COARSE))
    first, last = max(0, at - reach), min(lines.shape[1], at + reach)
    outer = lines[:, last - 1]
    if last <= at or not (outer >= 0).any():
        return at
    near = lines[:, first:last]
    differing = ((np.abs(near - np.median(outer[outer >= 0])) > tolerance) & (near >= 0)).mean(axis=0)
    plain = np.flatnonzero(differing < _EDGE)
    return first + int(plain[0]) if len(plain) and plain[0] > 0 else at
