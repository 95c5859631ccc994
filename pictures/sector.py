"""Where the ultrasound picture is inside the scanner's screen, and what to do with the rest."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .pixels import Sector, to_grey, whole

_WORKING = 320  # pixels of the longer side while looking
_SMALLEST = 0.10  # of the screen: less is not convincing
_COUNTS = 0.15  # of the largest part: what is smaller is the scanner's own
_LARGEST = 0.92  # more is the whole picture
_SLACK, _THIN_WIDE, _THIN_OFF = 4, 0.4, 0.1  # of a thin part: pixels beyond the picture's columns; shares of its width
_SETTLING = 60  # pictures
_LOOK_AGAIN = 10  # pictures; a look takes 2 ms


def parse_crop(text: str) -> Sector | None:
    """`x,y,width,height` in pixels as a sector; None for `auto`. ValueError otherwise."""
    if text == "auto":
        return None
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
        raise InputError(f"--crop {text} is not understood; give auto or x,y,width,height in pixels")
    return Sector(*(int(part) for part in parts))


def blank_outside(pixels: NDArray[np.uint8], sector: Sector) -> NDArray[np.uint8]:
    """`pixels` with everything outside `sector` black: a scanner writes the patient's name there.

    Copies only the sector; the same array where that is all of it. ValueError if it does not fit.
    """
    if sector == whole(pixels.shape):
        return pixels
    sector.check(pixels.shape)
    blank = np.zeros_like(pixels)
    sector.cut(blank)[...] = sector.cut(pixels)
    return blank


def find_sector(pixels: NDArray[np.uint8]) -> Sector:
    """The bounding box of what is speckled; the whole picture where none is convincing.

    Speckle changes from pixel to pixel all over the picture, a scanner's screen only at its letters and
    lines: the share of changing pixels is smoothed and thresholded, letters are opened away, shadows closed.
    Takes grey (rows, columns) or BGR (rows, columns, 3).
    """
    grey = to_grey(pixels)
    rows, columns = grey.shape
    scale = _WORKING / max(rows, columns)
    area, thin = _speckled(grey, scale)
    boxes = _large_parts(area)
    if not len(boxes):
        return whole(grey.shape)
    left, top = boxes[:, :2].min(axis=0)
    right, bottom = (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    top, bottom = _with_thin_parts(thin, left, top, right, bottom)
    if not _SMALLEST <= (right - left) * (bottom - top) / area.size <= _LARGEST:
        return whole(grey.shape)
    x, y = int(left / scale), int(top / scale)
    width, height = min(columns, round(right / scale)) - x, min(rows, round(bottom / scale)) - y
    return Sector(x, y, width, height).check(grey.shape)


class SectorFinder:
    """The sector of a feed: the given one, or the one found, and looked for again until it is settled.

    The first pictures of a feed are often dark (the probe comes down, the gain goes up) and show less of the
    picture than there is: over SETTLING of them the parts found are put together. While nothing is found the
    whole screen is taken and every LOOK_AGAINth picture is searched.
    """

    def __init__(self, given: Sector | None, unrelated: bool = False) -> None:
        self._given = given
        self._unrelated = unrelated
        self._found: Sector | None = None
        self._seen = 0

    def sector(self, pixels: NDArray[np.uint8]) -> Sector:
        """The sector for this picture. Raises ValueError if the given one does not fit it."""
        if self._given is not None:
            return self._given.check(pixels.shape)
        if self._unrelated:
            return find_sector(pixels)
        settled = self._seen >= _SETTLING
        if self._seen % _LOOK_AGAIN == 0 and not (settled and self._found is not None):
            self._look(pixels)
        self._seen += 1
        found = self._found or whole(pixels.shape)
        rows, columns = pixels.shape[:2]
        return found if found.x + found.width <= columns and found.y + found.height <= rows else self._anew(pixels)

    def _look(self, pixels: NDArray[np.uint8]) -> None:
        found = find_sector(pixels)
        if found != whole(pixels.shape):
            self._found = found if self._found is None else _union(found, self._found)

    def _anew(self, pixels: NDArray[np.uint8]) -> Sector:
        """The feed has changed its size."""
        self._found, self._seen = None, 0
        return self.sector(pixels)


def _union(one: Sector, other: Sector) -> Sector:
    """The smallest sector that holds both."""
    x, y = min(one.x, other.x), min(one.y, other.y)
    right = max(one.x + one.width, other.x + other.width)
    bottom = max(one.y + one.height, other.y + other.height)
    return Sector(x, y, right - x, bottom - y)


def _large_parts(area: NDArray[np.uint8]) -> NDArray[np.int32]:
    """x, y, width, height of the largest part and of those not much smaller: fluid may divide a picture."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(area)
    parts = np.asarray(stats[1:], np.int32)  # the first is what lies outside
    sizes = parts[:, cv2.CC_STAT_AREA]
    return parts[sizes >= _COUNTS * sizes.max(initial=0), :4]


def _with_thin_parts(area: NDArray[np.uint8], left: int, top: int, right: int, bottom: int) -> tuple[int, int]:
    """First row and last, with the thin parts above and below: a near field that fluid divides from the rest.

    Such a part lies in the middle of the picture's columns and fills a good share of them: a convex one's is narrower.
    """
    _, _, stats, _ = cv2.connectedComponentsWithStats(area)
    wide, first, last = right - left, top, bottom
    for x, y, width, height in stats[1:, :4]:
        beside = y + height <= top or y >= bottom
        inside = x >= left - _SLACK and x + width <= right + _SLACK and width >= _THIN_WIDE * wide
        if beside and inside and abs(2 * x + width - left - right) <= 2 * _THIN_OFF * wide:
            first, last = min(first, y), max(last, y + height)
    return int(first), int(last)


def _speckled(grey: NDArray[np.uint8], scale: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """0 or 1, at the working size: where most pixels differ from their neighbours; and with thinner parts as well."""
    smooth = cv2.GaussianBlur(grey, (3, 3), 0)
    change = cv2.morphologyEx(smooth, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    changing = (change > 1).astype(np.uint8) * 255
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    share = cv2.resize(changing, size, interpolation=cv2.INTER_AREA)
    area = (cv2.blur(share, (5, 5)) > 150).astype(np.uint8)
    thin = cv2.morphologyEx(area, cv2.MORPH_OPEN, np.ones((9, 9), np.uint8))
    thin = cv2.morphologyEx(thin, cv2.MORPH_CLOSE, np.ones((15, 15), np.uint8))
    large = cv2.morphologyEx(thin, cv2.MORPH_OPEN, np.ones((25, 25), np.uint8))
    return np.asarray(large, np.uint8), np.asarray(thin, np.uint8)
