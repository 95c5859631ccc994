"""Scatterers that move with the tissue, and what a scanner makes of their echoes."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..body.textures import Floats
from ..body.view import TissueView
from .scanner import Scanner

PLANE_MM = 0.89  # between planes of scatterers: speckle correlates as exp(-(d / 0.8 mm)^2) for small d
PLANES = 16
MARGIN = 48  # pixels, at the least, that the probe can move by
POOL = 1 << 19


class Scatterers:
    """One pool of Gaussian numbers, seen through a different window for every plane and channel.

    Channels are the real and the imaginary parts of each look, (2 * looks) in all.
    """

    def __init__(self, seed: int, looks: int, rows: int, columns: int) -> None:
        random = np.random.default_rng((seed, 3))
        self.seed, self.channels = seed, 2 * looks
        self._above, self._beside = max(MARGIN, rows // 8), max(MARGIN, columns // 8)
        self._stride = columns + 2 * self._beside
        self._rows = rows + 2 * self._above
        extent = self._rows * self._stride
        self._pool = random.standard_normal(max(POOL, 2 * extent), np.float32)
        self._corners = random.integers(0, self._pool.size - extent, (PLANES, self.channels))

    def seen(self, view: TissueView, first_column: int, elevation: float) -> Floats:
        """The scatterers in a view (channels, rows, columns): the nearest of a fixed map.

        Interpolating in the picture would make speckle flicker; between two planes it does not.
        """
        row_mm = float(view.depth[1] - view.depth[0])
        depth = view.tissue[:, None] + view.offset - view.depth[0]
        row = (depth * np.float32(1 / row_mm) + np.float32(self._above)).astype(np.int32)
        np.clip(row, 0, self._rows - 1, out=row)
        column = np.arange(view.x.size) + (first_column + self._beside)
        at = row.astype(np.intp) * self._stride + np.clip(column, 0, self._stride - 1)
        plane = elevation / PLANE_MM + PLANES / 2
        lower = int(np.clip(np.floor(plane), 0, PLANES - 2))
        turn = np.pi / 2 * min(max(plane - lower, 0.0), 1.0)
        near, far = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        out = np.empty((self.channels, *at.shape), np.float32)
        for channel in range(self.channels):
            a, b = (self._pool[corner:] for corner in self._corners[lower : lower + 2, channel])
            np.multiply(a.take(at), near, out=out[channel])
            out[channel] += far * b.take(at)
        return out

    def noise(self, t: float, rows: int, columns: int) -> Floats:
        """Electronic noise (channels, rows, columns): another window for every t, the same for the same t."""
        (bits,) = struct.unpack("<Q", struct.pack("<d", t))
        random = np.random.default_rng((self.seed, 4, bits))
        corners = random.integers(0, self._pool.size - rows * columns, self.channels)
        return np.stack([self._pool[c : c + rows * columns].reshape(rows, columns) for c in corners])


def compress(field: Floats, scanner: Scanner, gain_db: float, row_mm: float = 0.0) -> NDArray[np.uint8]:
    """Echoes (channels, rows, columns) -> envelope, mean intensity of the looks, log, grey map: uint8.

    `row_mm` is what a row covers, for the scanner's speckle reduction; 0 leaves that out.
    """
    intensity = np.einsum("crx,crx->rx", field, field)
    intensity += np.float32(1e-12)
    decibels = np.log10(intensity, out=intensity)
    decibels *= np.float32(10 * 255 / scanner.dynamic_range_db)
    offset = gain_db + scanner.gain_db + scanner.dynamic_range_db - 2 - 10 * np.log10(field.shape[0])
    decibels += np.float32(offset * 255 / scanner.dynamic_range_db)
    np.clip(decibels, 0, 255, out=decibels)
    if row_mm and scanner.smoothing_mm / row_mm > 0.3:
        decibels = gaussian_filter(decibels, scanner.smoothing_mm / row_mm, truncate=2.5)
    return scanner.grey_map.take(decibels.astype(np.uint8))
