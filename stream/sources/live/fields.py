"""Interlaced pictures, live: a camera took every other line at another time."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def one_field(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture (rows, columns[, 3]) of the even lines alone, the others drawn between them.

    A filter that looks at both neighbours, as films get, would have to wait for the next picture.
    """
    kept = pixels[::2]
    whole = np.empty_like(pixels)
    whole[::2] = kept
    between = whole[1::2]
    between[: len(kept) - 1] = cv2.addWeighted(kept[:-1], 0.5, kept[1:], 0.5, 0)
    if len(between) == len(kept):  # the last line has nothing below
        between[-1] = kept[-1]
    return whole
