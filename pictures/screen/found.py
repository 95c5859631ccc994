"""What a look at a screen says, and the picture that may leave the machine."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pixels import Sector, whole


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Where the ultrasound picture is, whether that is sure, and what is kept.

    keep: uint8 (rows, columns) of the screen, 0 where it is made black; None: all of the sector and nothing else.
    Until it is sure all of the screen is kept but for letters.
    """

    sector: Sector
    sure: bool = True
    keep: NDArray[np.uint8] | None = None


def blank(pixels: NDArray[np.uint8], found: Found) -> NDArray[np.uint8]:
    """`pixels` with all that is not kept black; the same array where that is nothing. InputError if it does not fit."""
    if found.keep is None:
        return blank_outside(pixels, found.sector)
    found.sector.check(pixels.shape)
    return np.asarray(cv2.copyTo(pixels, found.keep), np.uint8)


def blank_outside(pixels: NDArray[np.uint8], sector: Sector) -> NDArray[np.uint8]:
    """`pixels` with everything outside `sector` black: a scanner writes the patient's name there.

    Copies only the sector; the same array where that is all of it. ValueError if it does not fit.
    """
    if sector == whole(pixels.shape):
        return pixels
    sector.check(pixels.shape)
    empty = np.zeros_like(pixels)
    sector.cut(empty)[...] = sector.cut(pixels)
    return empty
