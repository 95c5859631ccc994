"""One drawn region, of whatever form a tool gives it, as the pixels whose centres lie in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, isfinite, radians, sin

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..pixels import Mask

RUNS = "has run lengths that do not add up to its size"
MOST_PIXELS = 1 << 28  # of a picture that can be read at all


@dataclass(frozen=True, slots=True)
class Ellipse:
    """By its centre and half axes in pixels; `degrees` turn it with the clock, as it is seen."""

    x: float
    y: float
    across: float
    down: float
    degrees: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Run lengths along the rows, or the columns if `down`, the first of them outside."""

    lengths: NDArray[np.int64]
    rows: int
    columns: int
    down: bool

    def patch(self) -> Mask:
        """As bool (rows, columns)."""
        inside = np.repeat(np.arange(len(self.lengths)) % 2 == 1, self.lengths)
        return inside.reshape(self.columns, self.rows).T if self.down else inside.reshape(self.rows, self.columns)


@dataclass(frozen=True, slots=True, eq=False)
class MarkedOutline:
    """One drawn region: a polygon (x, y, x, y, ...) in pixels, an ellipse or a mask; or, where none, why it is none."""

    label: str
    polygon: tuple[float, ...] = ()
    ellipse: Ellipse | None = None
    patch: Mask | Runs | None = None  # a part of the picture, or all of it
    corner: tuple[int, int] = (0, 0)  # (row, column) of the patch
    z: int = 0  # what lies higher hides what is under it
    flaw: str = ""


def no_outline(kind: str | None) -> str:
    """What is wrong with a shape that has no inside, or is no more than a frame around something."""
    return f"is a box or a line and not an outline ({kind or 'without points'})"


def run_lengths(lengths: Sequence[int], rows: int, columns: int, down: bool) -> Runs | None:
    """None where the lengths do not fill (rows, columns), or no picture is so large."""
    fits = rows > 0 and columns > 0 and rows * columns <= MOST_PIXELS
    if not fits or min(lengths, default=-1) < 0 or sum(lengths) != rows * columns:
        return None
    return Runs(np.asarray(lengths, np.int64), rows, columns, down)


def tear_of(outlines: Sequence[MarkedOutline], labels: Sequence[str], rows: int, columns: int) -> Mask:
    """What has any of `labels`, as bool (rows, columns), without what shapes of other labels that lie higher hide.

    ValueError, without a subject, where a wanted one cannot be drawn.
    """
    mask = np.zeros((rows, columns), np.bool_)
    for level in sorted({outline.z for outline in outlines}):
        here = [outline for outline in outlines if outline.z == level]
        if mask.any():
            for outline in here:
                if outline.label not in labels and not outline.flaw:
                    mask &= ~rasterised(outline, rows, columns)
        for outline in here:
            if outline.label in labels:
                mask |= rasterised(outline, rows, columns)
    return mask


def rasterised(outline: MarkedOutline, rows: int, columns: int) -> Mask:
    """The region as bool (rows, columns). ValueError, without a subject, where it is none."""
    if outline.flaw:
        raise InputError(outline.flaw)
    if outline.patch is not None:
        patch = outline.patch.patch() if isinstance(outline.patch, Runs) else outline.patch
        return _placed(patch, outline.corner, rows, columns)
    if outline.ellipse is not None:
        return _round(outline.ellipse, rows, columns)
    points = np.asarray(outline.polygon, float)
    if points.size < 6 or points.size % 2 or not np.isfinite(points).all():
        raise InputError("is no polygon of three points or more")
    return _filled(points.reshape(-1, 2), rows, columns)


def _round(ellipse: Ellipse, rows: int, columns: int) -> Mask:
    numbers = (ellipse.x, ellipse.y, ellipse.across, ellipse.down, ellipse.degrees)
    if not all(map(isfinite, numbers)) or min(ellipse.across, ellipse.down) <= 0:
        raise InputError("is no circle or ellipse with a size")
    y, x = np.ogrid[0.5 : rows + 0.5, 0.5 : columns + 0.5]
    x, y, angle = x[:, :columns] - ellipse.x, y[:rows] - ellipse.y, radians(ellipse.degrees)
    along = (x * cos(angle) + y * sin(angle)) / ellipse.across
    upright = (y * cos(angle) - x * sin(angle)) / ellipse.down
    return along**2 + upright**2 <= 1


def _filled(corners: NDArray[np.float64], rows: int, columns: int) -> Mask:
    """The pixels whose centres lie inside a polygon of (x, y), by even and odd; what reaches outside is cut."""
    mask = np.zeros((rows, columns), np.bool_)
    left, right = np.clip((np.floor(corners[:, 0].min()), np.ceil(corners[:, 0].max())), 0, columns).astype(int)
    x = np.arange(left, right) + 0.5
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        top, bottom = np.clip(np.ceil(np.sort((y0, y1)) - 0.5), 0, rows).astype(int)
        top, bottom = max(0, top - 1), min(rows, bottom + 1)
        y = np.arange(top, bottom)[:, None] + 0.5
        straddles, upwards = (y0 >= y) != (y1 >= y), y1 >= y
        beyond = ((y1 - y) * (x0 - x1) >= (x1 - x) * (y0 - y1)) == upwards
        mask[top:bottom, left:right] ^= straddles & beyond
    return mask


def _placed(patch: Mask, corner: tuple[int, int], rows: int, columns: int) -> Mask:
    """A patch cut at the picture's edges, over which a brush may reach; ValueError where most of it lies outside."""
    (top, left), (high, wide) = corner, patch.shape
    mask = np.zeros((rows, columns), np.bool_)
    bottom, right = max(0, min(top + high, rows)), max(0, min(left + wide, columns))
    inside = patch[max(0, -top) : max(0, bottom - top), max(0, -left) : max(0, right - left)]
    if 2 * np.count_nonzero(inside) < np.count_nonzero(patch):
        raise InputError("reaches outside the picture")
    mask[max(0, top) : bottom, max(0, left) : right] = inside
    return mask
