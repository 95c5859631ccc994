"""Deep pictures (10, 12, 16 bits) -> uint8, by one shift for all pictures of a source."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError


class Depth:
    """Call it with every picture of a source in turn.

    `bits` is how many each pixel has, where that is known. Where not, bytes come back as they are, and of other
    pixels it is the smallest of 8, 10, 12, 14 and 16 that holds the brightest one seen, so that pictures that belong
    together keep their brightness to one another; a later picture that does not fit raises it for itself and all
    behind it. What is below zero is black; but where pixels may be `signed`, and have several values there, zero is
    the middle grey.
    """

    def __init__(self, bits: int | None = None, signed: bool = False) -> None:
        self._known, self._bits = bits is not None, bits or 0
        self._may_be_signed = signed
        self._signed = False

    def __call__(self, image: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Integer pixels of any shape -> uint8. ValueError for other pixels."""
        if image.dtype == np.bool_:
            image = image.view(np.uint8)
        if not np.issubdtype(image.dtype, np.integer):
            raise InputError(f"its pixels are {image.dtype}, not whole numbers; save it with 8 or 16 bits a channel")
        if image.dtype == np.uint8 and not (self._known and self._bits < 8):
            return np.asarray(image, np.uint8)
        values = image.astype(np.int64)
        low, high = int(values.min(initial=0)), int(values.max(initial=0))
        if low < 0 and self._may_be_signed and not self._signed:
            below = values[values < 0]
            self._signed = bool((below != below[0]).any())  # a single one stands for 'nothing'
        held = max(high.bit_length(), (-low - 1).bit_length() if self._signed else 0) + self._signed
        if held > self._bits or not self._bits:
            self._bits = max(8, held + held % 2)
        if self._signed:
            values += 1 << self._bits - 1
        if self._bits < 8:
            values = values * 255 // ((1 << self._bits) - 1)
        else:
            values >>= self._bits - 8
        return np.clip(values, 0, 255).astype(np.uint8)
