"""Outline a tear in a numpy array. Prints the outlined area in pixels and its mean confidence.

    python examples/segment_array.py

The array here is a frame of the simulated shoulder; yours may come from anywhere: uint8, grey (rows, columns) or BGR
(rows, columns, 3).
"""

from __future__ import annotations

import smartca


def main() -> None:
    """Outline one picture."""
    with smartca.open_source("phantom:frames=1") as source:
        pixels = next(source.pictures()).pixels
    with smartca.open_segmenter() as segment:
        found = segment(pixels)
    print(f"{pixels.shape[0]} x {pixels.shape[1]} pixels: {found.area} outlined, confidence {found.confidence:.3f}")


if __name__ == "__main__":
    main()
