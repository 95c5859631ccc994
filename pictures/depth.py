"""Deep pictures (10, 12, 16 bits) -> uint8, by one shift for all pictures of a source."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError


class Depth:
    """Call it with every picture of a source in turn; the first one decides.

    The smallest of 8, 10, 12, 14 and 16 bits that holds the first picture's brightest pixel becomes 8 bits, so
    that pictures that belong together keep their brightness to one another. What is below zero is black.
    """

    def __init__(self) -> None:
        self._shift: int | None = None

    def __call__(self, image: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Integer pixels of any shape -> uint8; uint8 comes back as it is. ValueError for other pixels."""
        if image.dtype == np.uint8:
            return np.asarray(image, np.uint8)
        if not np.issubdtype(image.dtype, np.integer):
            raise InputError(f"its pixels are {image.dtype}, not whole numbers; save it with 8 or 16 bits a channel")
        if self._shift is None:
            bits = max(0, int(image.max(initial=0))).bit_length()
            self._shift = max(0, bits + bits % 2 - 8)
        return np.clip(image.astype(np.int64) >> self._shift, 0, 255).astype(np.uint8)
