"""A simulated scanner's screen: the picture with what scanners draw around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .font import write
from .shoulder import PhantomFrame, resample

LABEL = "SIMULATED"
INK = 190


@dataclass(frozen=True)
class ScreenFrame:
    """A whole screen and its truth."""

    pixels: NDArray[np.uint8]  # (rows, columns)
    mask: NDArray[np.bool_]  # (rows, columns), the tear
    sector: tuple[int, int, int, int]  # x, y, width, height of the picture on the screen
    mm_per_pixel: tuple[float, float]  # (row, column)
    t: float


@dataclass(frozen=True)
class Screen:
    """Puts phantom frames, with square pixels, on a black screen of `width` x `height` pixels.

    Around the picture: a depth ruler with a tick each half and a longer one each whole cm, the
    focus mark, a bar of the greys, and a label that says what this is.
    """

    width: int = 640
    height: int = 480
    focus_mm: float = 18.0

    def __post_init__(self) -> None:
        if self.width < 320 or self.height < 240:
            raise InputError(f"a screen of {self.width} x {self.height} pixels is too small; take 320 x 240 or more")

    def __call__(self, frame: PhantomFrame) -> ScreenFrame:
        """The screen that shows `frame`."""
        x, y, columns, rows = sector = self.sector(frame)
        picture, truth = resample(frame, rows, columns)
        pixels = np.zeros((self.height, self.width), np.uint8)
        mask = np.zeros((self.height, self.width), np.bool_)
        pixels[y : y + rows, x : x + columns] = picture
        mask[y : y + rows, x : x + columns] = truth
        depth, width = extent_mm(frame)
        self._surround(pixels, sector, rows / depth)
        return ScreenFrame(pixels, mask, sector, (depth / rows, width / columns), frame.t)

    def sector(self, frame: PhantomFrame) -> tuple[int, int, int, int]:
        """Where the picture stands: nine tenths of the height, unless it would become too wide."""
        depth, width = extent_mm(frame)
        per_mm = min(0.9 * self.height / depth, 0.78 * self.width / width)
        rows, columns = round(depth * per_mm), round(width * per_mm)
        return (self.width - columns) // 2, (self.height - rows) // 2 + self.height // 60, columns, rows

    def _surround(self, pixels: NDArray[np.uint8], sector: tuple[int, int, int, int], per_mm: float) -> None:
        x, y, columns, rows = sector
        write(pixels, x, 7, LABEL, INK)
        ruler = x + columns + 12
        for half_cm in range(int(rows / (5 * per_mm)) + 1):
            row, whole = min(y + round(5 * per_mm * half_cm), y + rows - 1), half_cm % 2 == 0
            pixels[row, ruler : ruler + (8 if whole else 4)] = INK
            if whole and half_cm:
                write(pixels, ruler + 12, row - 3, str(half_cm // 2), INK)
        write(pixels, ruler + 8, 7, "cm", INK)
        focus = y + min(round(self.focus_mm * per_mm), rows - 5)
        for wide in range(5):  # a small triangle that points at the focus
            pixels[focus - wide : focus + wide + 1, ruler - 5 + wide] = INK
        bar = np.linspace(255, 0, min(128, rows)).astype(np.uint8)
        pixels[y : y + bar.size, x - 28 : x - 20] = bar[:, None]


def extent_mm(frame: PhantomFrame) -> tuple[float, float]:
    """Depth and width of what a frame shows (mm)."""
    return frame.pixels.shape[0] * frame.mm_per_pixel[0], frame.pixels.shape[1] * frame.mm_per_pixel[1]


screen = Screen()
