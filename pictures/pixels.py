"""Pixels -> network input and confidence -> mask: the one place where both are defined.

Training, calibration, evaluation and the live stream all pass through here, so that what the
network saw while learning and what it sees in an examination can never drift apart.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]


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
        if self.width < 8 or self.height < 8 or not inside:
            raise InputError(
                f"the sector {self.x},{self.y},{self.width},{self.height} (x,y,width,height) does not fit "
                f"a picture of {columns} x {rows} pixels; give --crop values inside it, at least 8 x 8"
            )
        return self

    def cut(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        """The sector's part of `image` (rows, columns[, channels]), as a view."""
        return image[self.y : self.y + self.height, self.x : self.x + self.width]


def whole(shape: tuple[int, ...]) -> Sector:
    """The sector that is the whole picture of `shape` (rows, columns, ...)."""
    return Sector(0, 0, int(shape[1]), int(shape[0]))


def to_grey(image: NDArray[np.uint8]) -> Grey:
    """uint8 (rows, columns) from uint8 grey or BGR (rows, columns, 3)."""
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)  # type: ignore[return-value]
