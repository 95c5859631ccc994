"""Which pictures to take INT8 ranges from: those that together look like everything, and no two alike.

Farthest-point sampling (Gonzalez 1985) over what a picture looks like small and how its greys are spread: after n
choices no picture left out is farther from a chosen one than twice the best that any n could do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...pictures.pixels import Grey, Mask

ENOUGH = 64
SIDE = 16  # of the small picture
GREYS = 32
ALIKE = 0.02  # of two pictures that no one would tell apart: neighbours in a still clip


class CalibrationPicture(NamedTuple):
    """A picture on the network's square, uint8 (size, size), and its truth, bool (size, size), where known."""

    square: Grey
    truth: Mask | None = None


class PictureChoice(NamedTuple):
    """Indices of the chosen pictures, and after each how far the farthest of all still is from one of them."""

    chosen: list[int]
    reach: list[float]


def likeness(square: Grey) -> NDArray[np.float64]:
    """What a picture looks like, as a vector of length about 1: its small copy, and its histogram of greys."""
    small = cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float64).ravel() / 255
    greys = np.bincount(square.ravel() // (256 // GREYS), minlength=GREYS) / square.size
    return np.concatenate([small / SIDE, np.sqrt(greys) * 0.5])


def choose_pictures(squares: Sequence[Grey], number: int = ENOUGH) -> PictureChoice:
    """At most `number` of the pictures, spread over all of them; of near-duplicates only one.

    Raises ValueError where there is none.
    """
    if not len(squares):
        raise InputError("there is not one picture to take INT8 ranges from; check --calibrate")
    points = np.stack([likeness(square) for square in squares])
    middle = int(np.argmin(np.linalg.norm(points - points.mean(0), axis=1)))
    chosen, reach = [middle], []
    distance = np.linalg.norm(points - points[middle], axis=1)
    while True:
        farthest = int(np.argmax(distance))
        reach.append(float(distance[farthest]))
        if len(chosen) >= number or distance[farthest] <= ALIKE:
            return PictureChoice(chosen, reach)
        chosen.append(farthest)
        distance = np.minimum(distance, np.linalg.norm(points - points[farthest], axis=1))
