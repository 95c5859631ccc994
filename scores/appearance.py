"""What a torn picture looks like, in numbers, and the same numbers of 74 real tears to hold them against.

For whoever makes pictures: a simulator or a set of composites whose quantiles lie far from `REAL` shows something else
than the clinic does. The real ones were measured on a private set (one clinic, linear probe, cut to about 2:1 around
the tendon, 599 x 299 pixels, a physician's outlines): one set, so a range to aim at and no law.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..pictures.pixels import Grey, Mask

RING = 7  # pixels around the tear
DARK = 16  # grey
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
Quantiles = tuple[float, ...]  # one for each of QUANTILES


class Appearance(NamedTuple):
    """One torn picture. Greys are 0..255; the tear's parts are taken together; NaN where a part has no pixel."""

    area_percent: float  # of the picture
    inside: float  # mean grey
    ring: float  # mean grey of the RING pixels around the tear
    inside_to_ring: float
    inside_sd: float
    ring_sd: float
    darkest_tenth: float  # 10th percentile of the grey inside
    brightest_tenth: float  # 90th
    length_to_width: float  # of the smallest box around it, turned as it likes
    solidity: float  # area / area of the convex hull
    compactness: float  # 4 pi area / perimeter^2: a disc has 1
    below_to_above: float  # mean grey of the RING pixels under it / over it
    length_to_picture: float  # the box's length / the picture's width
    depth_share: float  # where its middle lies, from the upper border 0 to the lower 1
    median_grey: float  # of the whole picture
    dark_share: float  # of the picture's pixels are below DARK


REAL: dict[str, Quantiles] = {
    "area_percent": (1.2, 2.1, 3.2, 4.8, 6.9),
    "inside": (24, 34, 45, 56, 78),
    "ring": (54, 79, 97, 117, 134),
    "inside_to_ring": (0.29, 0.38, 0.47, 0.54, 0.76),
    "inside_sd": (18, 29, 36, 43, 51),
    "ring_sd": (24, 35, 42, 51, 61),
    "darkest_tenth": (0, 1, 8, 15, 34),
    "brightest_tenth": (55, 76, 87, 109, 142),
    "length_to_width": (1.3, 2.0, 2.5, 3.3, 4.3),
    "solidity": (0.47, 0.61, 0.69, 0.84, 0.91),
    "compactness": (0.15, 0.21, 0.28, 0.41, 0.52),
    "below_to_above": (0.42, 0.77, 1.13, 1.46, 2.1),
    "length_to_picture": (0.14, 0.22, 0.26, 0.36, 0.46),
    "depth_share": (0.29, 0.38, 0.44, 0.52, 0.61),
    "median_grey": (16, 35, 51, 67, 86),
    "dark_share": (0.10, 0.18, 0.26, 0.35, 0.50),
}


def appearance(pixels: Grey, mask: Mask) -> Appearance:
    """The numbers of one picture, uint8 (rows, columns), with the tear that `mask`, bool of its shape, marks.

    Give the ultrasound picture alone, without the scanner's screen: shares are of all `pixels`. The ring is RING pixels
    at the size given; REAL was measured at 599 x 299. Raises InputError for unequal shapes and for an empty mask.
    """
    if pixels.shape != mask.shape or pixels.ndim != 2:
        raise InputError(f"the picture is {pixels.shape} and its mask {mask.shape}; give two of one shape, in grey")
    if not mask.any():
        raise InputError("the mask marks no tear; leave pictures without one out")
    inside, around = pixels[mask], pixels[dilated(mask, RING) & ~mask]
    long, short = smallest_box(mask)
    rows, columns = mask.shape
    mean, ring = float(inside.mean()), _mean(around)
    return Appearance(
        area_percent=100.0 * float(mask.mean()),
        inside=mean,
        ring=ring,
        inside_to_ring=mean / ring if ring else float("nan"),
        inside_sd=float(inside.std()),
        ring_sd=float(around.std()) if around.size else float("nan"),
        darkest_tenth=float(np.percentile(inside, 10)),
        brightest_tenth=float(np.percentile(inside, 90)),
        length_to_width=long / short,
        solidity=solidity(mask),
        compactness=compactness(mask),
        below_to_above=_below_to_above(pixels, mask),
        length_to_picture=long / columns,
        depth_share=float((np.nonzero(mask)[0].mean() + 0.5) / rows),
        median_grey=float(np.median(pixels)),
        dark_share=float((pixels < DARK).mean()),
    )


def table(found: Sequence[Appearance]) -> dict[str, Quantiles]:
    """Each number's QUANTILES over the pictures, NaN left out. Raises InputError where there is no picture."""
    if not found:
        raise InputError("there is no torn picture to look at")
    values = np.asarray(found, np.float64)
    kept = {name: column[~np.isnan(column)] for name, column in zip(Appearance._fields, values.T, strict=True)}
    nothing = (float("nan"),) * len(QUANTILES)
    return {
        name: tuple(map(float, np.quantile(some, QUANTILES))) if some.size else nothing for name, some in kept.items()
    }


def beside_real(found: dict[str, Quantiles]) -> Iterable[tuple[str, str, str]]:
    """Name, what was found and what real tears show, as words for a printed table, in the order of `Appearance`."""
    for name in Appearance._fields:
        yield name, _words(found[name]), _words(REAL[name])


def dilated(mask: Mask, pixels: int) -> Mask:
    """`mask`, bool (rows, columns), grown by a disc of that radius."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.dilate(mask.astype(np.uint8), kernel) > 0


def smallest_box(mask: Mask) -> tuple[float, float]:
    """Length and width in pixels of the smallest box, turned as it likes, around `mask`, bool (rows, columns)."""
    _, sides, _ = cv2.minAreaRect(_points(mask))
    long, short = max(sides) + 1.0, min(sides) + 1.0  # from the middle of a pixel to its border, on both sides
    return float(long), float(short)


def solidity(mask: Mask) -> float:
    """Area over the area of the convex hull, both in pixels; bool (rows, columns). 1 has no dent."""
    hull = cv2.fillConvexPoly(np.zeros(mask.shape, np.uint8), cv2.convexHull(_points(mask)), 1)
    return float(np.count_nonzero(mask) / np.count_nonzero(hull))


def compactness(mask: Mask) -> float:
    """4 pi area / perimeter^2 of `mask`, bool (rows, columns), over the outer borders of all its parts."""
    borders, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    perimeter = sum(cv2.arcLength(border, True) + 4.0 for border in borders)  # 4: to the pixels' outer sides
    return float(4 * np.pi * np.count_nonzero(mask) / perimeter**2)


def _below_to_above(pixels: Grey, mask: Mask) -> float:
    """Column by column: what lies within RING pixels beneath the tear, over what lies so above it."""
    below, above = np.zeros_like(mask), np.zeros_like(mask)
    for step in range(1, RING + 1):
        below[step:] |= mask[:-step]
        above[:-step] |= mask[step:]
    over = _mean(pixels[above & ~mask & ~below])
    return _mean(pixels[below & ~mask & ~above]) / over if over else float("nan")


def _points(mask: Mask) -> NDArray[np.int32]:
    """x, y of the marked pixels, (pixels, 2)."""
    return np.ascontiguousarray(np.argwhere(mask)[:, ::-1], np.int32)


def _mean(greys: Grey) -> float:
    return float(greys.mean()) if greys.size else float("nan")


def _words(quantiles: Quantiles) -> str:
    return " / ".join(f"{value:.0f}" if abs(value) >= 10 else f"{value:.2f}" for value in quantiles)
