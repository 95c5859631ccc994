"""A picture onto the network's square, and what it answers back onto the picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pictures.pixels import Grey, Mask, Sector, to_grey


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where a sector of `width` x `height` pixels lies inside the network's square of `size` pixels."""

    size: int
    width: int
    height: int

    @property
    def inner(self) -> tuple[int, int]:
        """(rows, columns) of the scaled sector; the aspect ratio of the pixels is unchanged."""
        scale = self.size / max(self.width, self.height)
        return max(1, round(self.height * scale)), max(1, round(self.width * scale))

    @property
    def corner(self) -> tuple[int, int]:
        """(row, column) of the scaled sector's upper left pixel: it stands in the middle."""
        rows, columns = self.inner
        return (self.size - rows) // 2, (self.size - columns) // 2


def letterbox(image: NDArray[np.uint8], sector: Sector, size: int) -> Grey:
    """Cut the sector and fit it, black around it, into uint8 (size, size)."""
    grey = to_grey(sector.cut(image))  # type: ignore[arg-type]
    box = Letterbox(size, sector.width, sector.height)
    (rows, columns), (top, left) = box.inner, box.corner
    shrinking = rows < sector.height
    square = np.zeros((size, size), np.uint8)
    square[top : top + rows, left : left + columns] = cv2.resize(
        grey, (columns, rows), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    )
    return square


def letterbox_mask(mask: Mask, sector: Sector, size: int) -> Mask:
    """The same for a truth mask: a network pixel is tear where half of it or more is. Bool (size, size)."""
    return letterbox(mask.astype(np.uint8) * 255, sector, size) >= 128


def to_input(square: Grey) -> NDArray[np.float32]:
    """uint8 (size, size) -> float32 (1, 1, size, size) in 0..1, the network's input contract."""
    return np.multiply(square, np.float32(1.0 / 255.0), dtype=np.float32)[None, None]


def from_letterbox(q: NDArray[np.float32], sector: Sector) -> NDArray[np.float32]:
    """Confidence (size, size) on the network's square -> float32 (sector.height, sector.width)."""
    box = Letterbox(q.shape[0], sector.width, sector.height)
    (rows, columns), (top, left) = box.inner, box.corner
    inner = q[top : top + rows, left : left + columns]
    return cv2.resize(inner, (sector.width, sector.height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]
