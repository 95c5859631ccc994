"""What a scanner's user sets into the picture itself: caliper crosses and their dotted line. They are no echoes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

INK = (200, 256)


def calipers(pixels: NDArray[np.uint8], count: int, seed: int) -> None:
    """Draw `count` crosses or plus signs at places that follow from `seed`, two of them often joined by dots."""
    if not count:
        return
    random = np.random.default_rng((seed, 6))
    rows, columns = pixels.shape
    ink, arm = int(random.integers(*INK)), max(2, rows // 90)
    turned = bool(random.random() < 0.4)
    places = [(int(rows * random.uniform(0.25, 0.65)), int(columns * random.uniform(0.15, 0.85))) for _ in range(count)]
    if random.random() < 0.5:
        _dotted(pixels, places[0], places[1 % count], ink)
    for row, column in places:
        for step in range(-arm, arm + 1):
            ends = ((step, step), (step, -step)) if turned else ((step, 0), (0, step))
            for down, right in ends:
                if 0 <= row + down < rows and 0 <= column + right < columns:
                    pixels[row + down, column + right] = ink


def _dotted(pixels: NDArray[np.uint8], start: tuple[int, int], end: tuple[int, int], ink: int) -> None:
    dots = max(2, int(np.hypot(end[0] - start[0], end[1] - start[1]) / 5))
    for row, column in np.linspace(start, end, dots).astype(int):
        pixels[row, column] = ink
