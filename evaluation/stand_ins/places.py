"""Where in a picture a gap may lie: in echo, above shadow, along the fibres or on a bright interface."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ...pictures.pixels import Grey, Mask
from ...scores.appearance import RING, dilated
from .shapes import Field, largest_part

DEPTHS = (0.29, 0.61)  # share of the depth: 5 and 95 % of real tears
ECHO = 16  # grey


class Seen(NamedTuple):
    """What is asked of a picture again and again; arrays are (rows, columns)."""

    grey: Grey
    local: Field  # mean grey around
    degrees: Field  # how far the layers fall to the right
    interface: Field  # how much brighter a line is here than what lies above it


def look(picture: Grey) -> Seen:
    """Look at a picture, uint8 (rows, columns), once."""
    image = picture.astype(np.float32)
    size = max(picture.shape)
    coarse = cv2.GaussianBlur(image, (0, 0), size * 0.008)
    down, right = cv2.Sobel(coarse, cv2.CV_32F, 0, 1), cv2.Sobel(coarse, cv2.CV_32F, 1, 0)
    wide = size * 0.03
    xx, yy, xy = (cv2.GaussianBlur(part, (0, 0), wide) for part in (right * right, down * down, right * down))
    across = 0.5 * np.arctan2(2 * xy, xx - yy)  # of the gradient, so across the layers
    degrees = (np.degrees(across) % 180 - 90).astype(np.float32)
    line = cv2.GaussianBlur(image, (0, 0), sigmaX=size * 0.012, sigmaY=size * 0.003)
    above = cv2.GaussianBlur(image, (0, 0), sigmaX=size * 0.012, sigmaY=size * 0.02)
    return Seen(picture, cv2.GaussianBlur(image, (0, 0), size * 0.02), degrees, line - above)  # type: ignore[arg-type]


def centre(seen: Seen, rng: np.random.Generator) -> tuple[int, int]:
    """A row and a column where there is echo, at a depth at which tears lie."""
    rows, columns = seen.grey.shape
    middle, spread = float(np.mean(DEPTHS)), 0.075
    row, column = rows // 2, columns // 2
    for _ in range(40):
        row = round(float(np.clip(rng.normal(middle, spread), *DEPTHS)) * rows)
        column = round(rng.uniform(0.15, 0.85) * columns)
        if seen.local[row, column] > 2 * ECHO:
            break
    return row, column


def laid(shape: Mask, row: int, column: int, seen: Seen) -> Mask | None:
    """`shape`, bool (side, side), with its middle at that place; None where it does not fit into the picture."""
    inside = np.argwhere(shape)
    if not len(inside):
        return None
    (top, left), (bottom, right) = inside.min(0), inside.max(0) + 1
    middle = inside.mean(0)
    first, start = round(row - float(middle[0]) + float(top)), round(column - float(middle[1]) + float(left))
    rows, columns = seen.grey.shape
    if first < RING + 2 or start < RING + 2:
        return None
    if first + bottom - top > rows - RING - 2 or start + right - left > columns - RING - 2:
        return None
    mask = np.zeros(seen.grey.shape, np.bool_)
    mask[first : first + bottom - top, start : start + right - left] = shape[top:bottom, left:right]
    return mask


def set_down(mask: Mask, seen: Seen) -> Mask:
    """The gap moved onto the brightest line beneath its middle, and cut along it, as a tear that lies on bone.

    As it was where there is no such line within its own height.
    """
    rows = np.flatnonzero(mask.any(1))
    columns = np.flatnonzero(mask.any(0))
    height = int(rows[-1] - rows[0]) + 1
    top, bottom = int(rows.mean()), min(int(rows[-1]) + height, mask.shape[0] - RING - 2)
    band = seen.interface[top:bottom, columns[0] : columns[-1] + 1]
    if band.shape[0] < 4 or np.median(band.max(0)) < 18:
        return mask
    profile = _line(band) + top
    moved = np.zeros_like(mask)
    shift = int(np.median(profile)) - int(np.quantile(np.nonzero(mask)[0], 0.9))
    if shift < 0:
        moved[:shift] = mask[-shift:]
    else:
        moved[shift:] = mask[: mask.shape[0] - shift]
    beneath = np.arange(mask.shape[0])[:, None] >= (profile - 2)[None]
    moved[:, columns[0] : columns[-1] + 1] &= ~beneath
    cut = largest_part(moved)
    return cut if cut.sum() > 0.55 * mask.sum() else mask


def _line(band: Field) -> NDArray[np.float64]:
    """The row of the brightest line in each column, in steps that a surface could take, by dynamic programming."""
    rows, columns = band.shape
    total, came = band[:, 0].astype(np.float64), np.zeros((rows, columns), np.int64)
    for column in range(1, columns):
        padded = np.pad(total, 1, constant_values=-np.inf)
        steps = np.stack([padded[:-2] - 2, padded[1:-1], padded[2:] - 2])
        best = steps.argmax(0)
        came[:, column] = best - 1
        total = steps.max(0) + band[:, column]
    path = np.empty(columns)
    row = int(total.argmax())
    for column in range(columns - 1, -1, -1):
        path[column] = row
        row = int(np.clip(row + came[row, column], 0, rows - 1))
    return path


def plausible(mask: Mask, seen: Seen) -> bool:
    """Whether a tear of that outline could be seen here: echo around on all sides but below, and echo to take away."""
    depth = float(np.nonzero(mask)[0].mean()) / mask.shape[0]
    if not DEPTHS[0] - 0.03 <= depth <= DEPTHS[1] + 0.03:
        return False
    ring = dilated(mask, RING) & ~mask
    inside, around = seen.grey[mask], seen.grey[ring]
    rows, columns = np.nonzero(ring)
    beside = seen.grey[ring & (np.arange(mask.shape[0]) < np.median(rows))[:, None]]
    left, right = (seen.grey[ring & side] for side in _sides(mask, float(np.median(columns))))
    echoes = min(float((part > ECHO).mean()) if part.size else 0.0 for part in (beside, left, right))
    return bool(around.mean() > 38 and echoes > 0.7 and 0.72 < inside.mean() / around.mean() < 1.6)


def _sides(mask: Mask, middle: float) -> tuple[Mask, Mask]:
    left = np.broadcast_to(np.arange(mask.shape[1]) < middle, mask.shape)
    return left, ~left
