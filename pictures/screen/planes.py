"""What is looked at in a screen: how much each pixel differs from its neighbours, and what is chrome."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pixels import Grey, to_grey

FINEST = 1280  # pixels of the longer side at which letters are looked for
COARSE = 320  # cells of the longer side in which the picture is looked for
NEIGHBOURS = np.ones((3, 3), np.uint8)
PLAIN_UPTO = 3  # grey levels: a plain background, after lossy compression too
OWN_BLACK = 16  # grey levels: a picture's black is no brighter
_BRIGHT = 48  # grey levels: what is plain and brighter is no fluid, whatever compression did to it
_LINE = 3  # of such pixels: a ruler, a frame
_ENOUGH = 640  # pixels of the longer side, from which shares are told
_EXACT = 0.97  # of plain pixels that do not differ at all
_RIM = 4  # pixels along the screen's borders that tell how plain this screen's chrome is


@dataclass(frozen=True, slots=True)
class Planes:
    """One screen, at most FINEST pixels wide and high."""

    scale: float  # of the screen's own pixels
    grey: Grey
    contrast: Grey  # largest difference within 3 x 3 pixels
    shape: tuple[int, int]  # the screen's own rows and columns
    tolerance: int  # grey levels by which plain chrome varies: none in a screen that was never compressed with loss

    @property
    def cells(self) -> tuple[int, int]:
        """(rows, columns) of the coarse map."""
        rows, columns = self.shape
        scale = COARSE / max(rows, columns)
        return max(1, round(rows * scale)), max(1, round(columns * scale))

    @property
    def step(self) -> int:
        """Every so many pixels of the planes are enough to tell a share from."""
        return max(1, -(-max(self.grey.shape) // _ENOUGH))

    def coarse(self, *which: NDArray[np.bool_]) -> list[NDArray[np.uint8]]:
        """Of maps of what is so: its share in every cell, 0 to 255."""
        rows, columns = self.cells
        every = cv2.merge([one.view(np.uint8) for one in which])
        shares = np.asarray(cv2.resize(every * np.uint8(255), (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
        return [np.ascontiguousarray(shares.reshape(rows, columns, -1)[:, :, one]) for one in range(len(which))]


def planes(pixels: NDArray[np.uint8]) -> Planes:
    """The planes of a screen, grey (rows, columns) or BGR (rows, columns, 3)."""
    rows, columns = pixels.shape[:2]
    scale = min(1.0, FINEST / max(rows, columns))
    if scale < 1.0:
        size = max(1, round(columns * scale)), max(1, round(rows * scale))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    grey = to_grey(pixels)
    difference = contrast(pixels, grey)
    return Planes(scale, grey, difference, (rows, columns), _tolerance(difference))


def contrast(pixels: NDArray[np.uint8], grey: Grey) -> Grey:
    """The largest difference within 3 x 3 pixels, in grey and in the brightest colour: blue on black is dark grey."""
    change = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, NEIGHBOURS)
    if pixels.ndim == 3:
        blue, green, red = cv2.split(pixels)
        brightest = cv2.max(cv2.max(blue, green), red)
        change = cv2.max(change, cv2.morphologyEx(brightest, cv2.MORPH_GRADIENT, NEIGHBOURS))
    return np.asarray(change, np.uint8)


@dataclass(frozen=True, slots=True)
class Ground:
    """Which pixels are plain chrome, the picture's own black, plain and bright: 0 or 1, every step-th pixel."""

    chrome: NDArray[np.uint8]
    black: NDArray[np.uint8]  # brighter by a grey level or some than the darkest chrome
    bright: NDArray[np.uint8]


def ground(seen: Planes) -> Ground:
    """Chrome is plain up to the screen's border, or plain, as bright, and divided from that by a thin line only.

    A dark deep field is often one grey level brighter than the chrome beside it, and so is told apart from it where
    the screen came without loss.
    """
    grey, difference = seen.grey[:: seen.step, :: seen.step], seen.contrast[:: seen.step, :: seen.step]
    tolerance = seen.tolerance
    plain = (difference <= tolerance).astype(np.uint8)
    labels = np.asarray(cv2.connectedComponents(plain, connectivity=4)[1], np.int32)
    reaching = np.zeros(int(labels.max()) + 1, np.uint8)
    for rim in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        reaching[rim] = 1
    reaching[0] = 0
    levels = grey[reaching[labels] > 0]
    darkest = int(levels.min()) if len(levels) else 255
    reaching[labels[_close_by(grey, reaching[labels], tolerance) & (plain > 0)]] = 1
    reaching[0] = 0
    black = (plain > 0) & (grey > darkest) & (grey <= OWN_BLACK) & (tolerance == 0)
    bright = ((plain > 0) & (grey > OWN_BLACK)) | ((difference <= PLAIN_UPTO) & (grey > _BRIGHT))
    chrome = cv2.dilate(reaching[labels], NEIGHBOURS)
    return Ground(np.asarray(chrome, np.uint8), black.astype(np.uint8), bright.astype(np.uint8))


def _close_by(grey: Grey, chrome: NDArray[np.uint8], tolerance: int) -> NDArray[np.bool_]:
    """As bright as chrome that is no further than a thin line away."""
    around = np.ones((2 * _LINE + 1, 2 * _LINE + 1), np.uint8)
    brightest = cv2.dilate(np.where(chrome > 0, grey, np.uint8(0)), around).astype(np.int16)
    darkest = cv2.erode(np.where(chrome > 0, grey, np.uint8(255)), around).astype(np.int16)
    near = cv2.dilate(chrome, around) > 0
    return near & ((np.abs(grey - brightest) <= tolerance) | (np.abs(grey - darkest) <= tolerance))


def _tolerance(difference: Grey) -> int:
    """Told from the screen's borders: in two of the four, at least, what is plain does not vary at all."""
    sides = (difference[:_RIM], difference[-_RIM:], difference[:, :_RIM], difference[:, -_RIM:])
    exact = []
    for side in sides:
        plain = side[side <= PLAIN_UPTO]
        if len(plain) >= side.size / 2:
            exact.append(np.count_nonzero(plain == 0) / len(plain))
    return 0 if exact and np.median(exact) >= _EXACT else 2
