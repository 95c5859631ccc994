"""How far an outline runs from the true one: Hausdorff distance and mean distance of two masks' surfaces.

Defined as in MONAI's metrics. The surface of a mask is its pixels that have a neighbour (of four) outside it
or outside the picture; a distance runs from a surface pixel to the nearest one of the other surface.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import KDTree

from ..errors import InputError
from ..pictures.pixels import Mask


class SurfaceDistance(NamedTuple):
    """In the unit of the spacing: mm, or pixels where that is 1."""

    hd95: float  # the larger one of the 95th percentiles of the distances there and back
    mean: float  # of the distances there and back, all together


def surface_distance(mask: Mask, truth: Mask, spacing: tuple[float, float] = (1.0, 1.0)) -> SurfaceDistance | None:
    """Distances between two masks, bool (rows, columns) of one shape; `spacing` is (row, column).

    None where one of them is empty: there is no distance to nothing. Raises ValueError for unequal shapes.
    """
    if mask.shape != truth.shape:
        raise InputError(f"the mask is {mask.shape} but its truth is {truth.shape} (rows, columns)")
    if not (mask.any() and truth.any()):
        return None
    ours, theirs = (np.argwhere(surface(each)) * spacing for each in (mask, truth))
    there, back = KDTree(theirs).query(ours)[0], KDTree(ours).query(theirs)[0]
    hd95 = max(float(np.percentile(way, 95)) for way in (there, back))
    return SurfaceDistance(hd95, float(np.concatenate([there, back]).mean()))


def surface(mask: Mask) -> Mask:
    """The pixels of `mask`, bool (rows, columns), that have a neighbour outside it."""
    inner = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.bool_)
    inner[1:-1, 1:-1] = mask
    return mask & ~(inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:])


class SurfaceScores:
    """Surface distances of many pictures; those where truth or outline is empty are counted, not scored.

    `left_out` holds pictures with a tear but no outline, or an outline but no tear.
    """

    def __init__(self) -> None:
        self.found: list[SurfaceDistance] = []
        self.left_out = 0

    def add(self, mask: Mask, truth: Mask, spacing: tuple[float, float] = (1.0, 1.0)) -> None:
        """Count one picture; see `surface_distance`."""
        found = surface_distance(mask, truth, spacing)
        if found is not None:
            self.found.append(found)
        elif mask.any() or truth.any():
            self.left_out += 1

    def as_report(self) -> dict[str, int | float | None]:
        """Means over the pictures scored, and how many were not."""
        hd95, mean = np.reshape(self.found, (-1, 2)).T
        return {
            "hd95": float(hd95.mean()) if self.found else None,
            "hd95_median": float(np.median(hd95)) if self.found else None,
            "surface_distance": float(mean.mean()) if self.found else None,
            "surface_pictures": len(self.found),
            "surface_pictures_left_out": self.left_out,
        }
