"""Draw what is said of a frame on that frame: outline, caption, and five states that never look alike."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ...pictures.pixels import Mask
from ..frame import State

Corners = NDArray[np.int32]  # (n, 2) corners x, y in pixels of the frame, closed
Bgr = tuple[int, int, int]

AMBER: Bgr = (0, 191, 255)
VIOLET: Bgr = (255, 140, 220)
DASH = 7  # pixels of a dash of an unsure region's outline, and of the gap after it
_SUB = 4  # corners are drawn to 1/16 pixel, so that the line can run between pixels


class Look(NamedTuple):
    """How a state looks: by its words, its colour and its border, never by colour alone."""

    words: str
    colour: Bgr
    dashed: bool = False
    dimmed: bool = False


LOOKS = {
    State.TEAR_OUTLINED: Look("TEAR OUTLINED", AMBER),
    State.UNSURE: Look("UNSURE: may be a tear", VIOLET),
    State.NO_TEAR_OUTLINED: Look("no tear outlined", (210, 210, 210)),
    State.NO_RESULT: Look("NO RESULT", (255, 160, 90), dashed=True),
    State.STALE: Look("STALE", (80, 80, 255), dashed=True, dimmed=True),
}


def outlines(mask: Mask) -> list[Corners]:
    """The borders of all parts of `mask` (bool (rows, columns)) and of the holes in them.

    Corners are centres of border pixels of the part (for a hole: of the pixels around it), so that
    filling them gives the mask back (cv2.findContours; Suzuki and Abe 1985).
    """
    found, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return [np.asarray(contour, np.int32)[:, 0] for contour in found]


def draw_overlay(
    pixels: NDArray[np.uint8],
    mask: Mask | Sequence[Corners] | None,
    state: State,
    note: str = "",
    unsure: Mask | None = None,
) -> NDArray[np.uint8]:
    """A BGR copy (rows, columns, 3) of the grey or BGR `pixels` with the state drawn in.

    `mask` is the mask or its `outlines`; it is drawn in the state 'tear outlined' only. The outlines of `unsure` are
    dashed, in that state and in 'unsure'. `note` follows the state's words in the caption, which takes one small strip
    in the lower left corner.
    """
    look = LOOKS[state]
    if look.dimmed:
        pixels = np.right_shift(pixels, np.uint8(1))
    image = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR) if pixels.ndim == 2 else pixels.copy()
    image = np.asarray(image, np.uint8)
    scale = max(1, round(min(image.shape[:2]) / 700))
    if state is State.TEAR_OUTLINED and mask is not None:
        lines = outlines(mask) if isinstance(mask, np.ndarray) else mask
        corners = [np.ascontiguousarray(line) << _SUB for line in lines]
        cv2.polylines(image, corners, True, look.colour, scale, cv2.LINE_AA, _SUB)
    if state in (State.TEAR_OUTLINED, State.UNSURE) and unsure is not None:
        pieces = [piece << _SUB for line in outlines(unsure) for piece in dashes(line, DASH * scale)]
        cv2.polylines(image, pieces, False, VIOLET, scale, cv2.LINE_AA, _SUB)
        note = note or ("unsure where dashed" if state is State.TEAR_OUTLINED else "")
    if look.dashed:
        _dashed_border(image, look.colour, scale)
    size = min(4.0, max(0.5, min(image.shape[:2]) / 480))
    _stamp(image, _caption(look.words + (f": {note}" if note else ""), look.colour, size))
    return image


def dashes(line: Corners, length: int) -> list[Corners]:
    """Every second piece of `length` pixels of a closed line; less on a short line, the shortest is one piece."""
    if len(line) == 1:  # a single pixel: a line of no length would not be drawn
        return [np.concatenate((line, line + np.array([[1, 0]], np.int32)))]
    closed = np.concatenate((line, line[:1])).astype(np.float64)
    steps = np.hypot(*np.diff(closed, axis=0).T)
    along = np.concatenate(([0.0], np.cumsum(steps)))
    length = max(3, min(length, int(along[-1] / 12)))  # a small region is still seen to be one
    if along[-1] < 2 * length:
        return [closed.astype(np.int32)]
    found = []
    for start in np.arange(0.0, along[-1] - length / 2, 2.0 * length):
        end = min(start + length, along[-1])
        inner = along[(along > start) & (along < end)]
        where = np.concatenate(([start], inner, [end]))
        points = np.stack([np.interp(where, along, closed[:, axis]) for axis in (0, 1)], axis=1)
        found.append(np.round(points).astype(np.int32))
    return found


def _dashed_border(image: NDArray[np.uint8], colour: Bgr, scale: int) -> None:
    """Dashes of 12 pixels along the border, by slices: much faster than lines."""
    wide, dash = 3 * scale, 12 * scale
    turned = image.swapaxes(0, 1)
    for side in (image[:wide], image[-wide:], turned[:wide], turned[-wide:]):
        for start in range(0, side.shape[1], 2 * dash):
            side[:, start : start + dash] = colour


@lru_cache(maxsize=64)
def _caption(words: str, colour: Bgr, scale: float) -> NDArray[np.uint8]:
    """The strip with the words, (rows, columns, 3). Kept, as the same words come back with every frame."""
    words = words.encode("ascii", "replace").decode()
    size, line, font = 0.45 * scale, max(1, round(scale)), cv2.FONT_HERSHEY_SIMPLEX
    (width, height), below = cv2.getTextSize(words, font, size, line)
    pad = max(1, round(4 * scale))
    strip = np.full((height + below + 2 * pad, width + 3 * pad, 3), 24, np.uint8)
    strip[:, :pad] = colour
    cv2.putText(strip, words, (2 * pad, pad + height), font, size, colour, line, cv2.LINE_AA)
    strip.flags.writeable = False
    return strip


def _stamp(image: NDArray[np.uint8], strip: NDArray[np.uint8]) -> None:
    rows, columns = min(strip.shape[0], image.shape[0]), min(strip.shape[1], image.shape[1])
    image[-rows:, :columns] = strip[:rows, :columns]
