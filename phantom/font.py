"""Just the letters that the simulated scanner's screen needs, 5 x 7 pixels each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

# One hexadecimal pair a row, from the top; the five low bits are the pixels, the leftmost the highest.
GLYPHS = {
    "0": "0E11191513110E", "1": "040C040404040E", "2": "0E11010204081F", "3": "1F02040201110E",
    "4": "02060A121F0202", "5": "1F101E0101110E", "6": "0608101E11110E", "7": "1F010204080808",
    "8": "0E11110E11110E", "9": "0E11110F01020C", "A": "0E11111F111111",
    "D": "1C12111111121C", "E": "1F10101E10101F", "I": "0E04040404040E", "L": "1010101010101F",
    "M": "111B1515111111", "S": "0F10100E01011E", "T": "1F040404040404", "U": "1111111111110E",
    "c": "00000E1010110E", "m": "00001A15151111", " ": "00000000000000",
}  # fmt: skip


def write(picture: NDArray[np.uint8], x: int, y: int, text: str, grey: int) -> None:
    """Draw `text` into `picture` (rows, columns), its upper left corner at (x, y).

    Raises ValueError for a letter that has no glyph.
    """
    for letter in text:
        if letter not in GLYPHS:
            raise InputError(f"the screen has no letter {letter!r}; add it to GLYPHS")
        rows = np.frombuffer(bytes.fromhex(GLYPHS[letter]), np.uint8)
        dots = np.unpackbits(rows[:, None], axis=1)[:, 3:].astype(bool)
        picture[y : y + 7, x : x + 5][dots] = grey
        x += 6
