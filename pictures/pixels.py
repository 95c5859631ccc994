"""Pixels -> network input and confidence -> mask: the one place where both are defined.

Training, calibration, evaluation and the live stream all pass through here, so that what the
network saw while learning and what it sees in an examination can never drift apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]
SMALLEST = 8  # pixels along a side of what can be looked at


class Sector(NamedTuple):
    """The ultrasound picture inside the scanner's screen, in pixels of the frame."""

    x: int
    y: int
    width: int
    height: int

    def check(self, shape: tuple[int, ...]) -> Sector:
        """Return self if it lies inside an image of `shape` (rows, columns, ...).

        Raises ValueError if it is empty or reaches outside.
        """
        rows, columns = shape[:2]
        right, bottom = self.x + self.width, self.y + self.height
        inside = self.x >= 0 and self.y >= 0 and right <= columns and bottom <= rows
        if min(self.width, self.height) < SMALLEST or not inside:
            raise InputError(
                f"the sector {self.x},{self.y},{self.width},{self.height} (x,y,width,height) does not fit "
                f"a picture of {columns} x {rows} pixels; give --crop values inside it, "
                f"at least {SMALLEST} x {SMALLEST}"
            )
        return self

    def cut(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        """The sector's part of `image` (rows, columns[, channels]), as a view."""
        return image[self.y : self.y + self.height, self.x : self.x + self.width]


def check_picture(pixels: object) -> None:
    """Refuse what is no picture: InputError unless uint8 grey (rows, columns) or BGR (rows, columns, 3), 8 x 8 or more.

    The sentence names what came and the cure.
    """
    takes = "give uint8 grey (rows, columns) or BGR (rows, columns, 3)"
    if not isinstance(pixels, np.ndarray):
        raise InputError(f"a picture is a numpy array, not a {type(pixels).__name__}; {takes}")
    came = f"the picture is a {pixels.dtype} array of shape {pixels.shape}"
    if pixels.ndim not in (2, 3):
        raise InputError(f"{came}; {takes}, one picture at a time")
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        cure = {1: "give pixels[:, :, 0]", 4: "leave its alpha channel out: pixels[:, :, :3], in the order BGR"}
        raise InputError(f"{came}, with {pixels.shape[2]} channels; {cure.get(pixels.shape[2], takes)}")
    if pixels.dtype != np.uint8:
        raise InputError(f"{came}; bring its greys to 0..255 first, then .astype(np.uint8)")
    if min(pixels.shape[:2]) < SMALLEST:
        raise InputError(f"{came}, too small to show anything; give {SMALLEST} x {SMALLEST} pixels or more")


def check_not_tiny(shape: tuple[int, ...]) -> None:
    """Raises InputError for pixels (rows, columns[, 3]) too few to show anything."""
    rows, columns = shape[:2]
    if min(rows, columns) < SMALLEST:
        raise InputError(
            f"a picture of {columns} x {rows} pixels is too small to show anything; "
            f"give {SMALLEST} x {SMALLEST} pixels or more"
        )


def as_sector(values: Sequence[int]) -> Sector:
    """x, y, width, height as a sector. Raises InputError for what are not four whole numbers."""
    try:
        return Sector(*(index(value) for value in values))
    except TypeError as error:
        raise InputError(f"a sector is four whole numbers, x, y, width, height, not {values!r}") from error


def whole(shape: tuple[int, ...]) -> Sector:
    """The sector that is the whole picture of `shape` (rows, columns, ...)."""
    return Sector(0, 0, int(shape[1]), int(shape[0]))


def to_grey(image: NDArray[np.uint8]) -> Grey:
    """uint8 (rows, columns) from uint8 grey or BGR (rows, columns, 3)."""
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)  # type: ignore[return-value]
