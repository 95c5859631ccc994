"""Made-up scanners' screens with a name and a number on them, and whether these can still be read."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from smartca.pictures.pixels import Sector, to_grey

NAME, NUMBER = "MUELLER^Hannelore", "ID 4711-0815"
FONTS = ("plain", "duplex", "outline")  # OpenCV's thin strokes, its double ones; Pillow's smooth letters
_CORRELATED, _WINDOW = 0.5, 1.5  # of a stretch that can be read; its length in heights

Box = tuple[int, int, int, int]  # x, y, width, height


@dataclass
class Screen:
    """A screen in BGR and where its letters stand."""

    pixels: NDArray[np.uint8]
    letters: list[Box] = field(default_factory=list)

    def write(self, text: str, at: tuple[int, int], height: int, colour: int | tuple[int, int, int], font: str) -> None:
        """Letters as high as `height` pixels, their upper left corner at x, y."""
        colour = (colour, colour, colour) if isinstance(colour, int) else colour
        before = self.pixels.copy()
        if font == "outline":
            image = Image.fromarray(self.pixels)
            drawn = ImageFont.load_default(round(1.35 * height))
            ImageDraw.Draw(image).text((at[0], at[1] - height // 4), text, fill=colour, font=drawn)
            self.pixels[...] = np.asarray(image)
        else:
            face = cv2.FONT_HERSHEY_SIMPLEX if font == "plain" else cv2.FONT_HERSHEY_DUPLEX
            where = at[0], at[1] + height
            cv2.putText(self.pixels, text, where, face, height / 21, colour, max(1, height // 14), cv2.LINE_AA)
        rows, columns = np.nonzero((self.pixels != before).any(axis=2))
        x, y = int(columns.min()), int(rows.min())
        self.letters.append((x, y, int(columns.max()) + 1 - x, int(rows.max()) + 1 - y))


def speckle(rows: int, columns: int, seed: int = 5, gain: float = 60.0) -> NDArray[np.uint8]:
    """An ultrasound picture's grain: grey (rows, columns)."""
    noise = cv2.GaussianBlur(np.random.default_rng(seed).rayleigh(gain, (rows, columns)), (0, 0), 1.2)
    return np.clip(noise, 0, 255).astype(np.uint8)


def screen(
    sector: Sector | None, size: tuple[int, int] = (600, 800), chrome: int | tuple[int, int, int] = 0, seed: int = 5
) -> Screen:
    """A screen of `size` (rows, columns), plain but for the ultrasound picture in `sector`; None: there is none."""
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[...] = chrome
    if sector is not None:
        sector.cut(pixels)[...] = speckle(sector.height, sector.width, seed)[:, :, None]
    return Screen(pixels)


def readable(drawn: Screen, came: NDArray[np.uint8]) -> float:
    """Which share of the letters' stretches still look like what was drawn: 0 where nothing can be read."""
    before, after = to_grey(drawn.pixels).astype(np.float64), to_grey(came).astype(np.float64)
    stretches = [stretch for box in drawn.letters for stretch in _stretches(box)]
    alike = [_correlation(before[stretch], after[stretch]) > _CORRELATED for stretch in stretches]
    return float(np.mean(alike)) if alike else 0.0


def _stretches(box: Box) -> list[tuple[slice, slice]]:
    """Windows along a line of letters."""
    x, y, width, height = box
    length = max(4, round(_WINDOW * height))
    return [np.s_[y : y + height, start : start + length] for start in range(x, max(x + 1, x + width - length), length)]


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Pearson's; 0 where one is plain."""
    one, other = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / norm if norm > 1e-6 else 0.0
