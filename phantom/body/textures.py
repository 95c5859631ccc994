"""Smooth random patterns: fibres, striae, patches, and the roughness of edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Floats = NDArray[np.floating]  # float32 wherever it is as large as a picture

SIGMA = 4.0  # texels a pattern is smoothed by, in both directions
FAR = 1 << 14  # added before truncation so that coordinates are positive (a multiple of both sizes)


def smoothstep(x: Floats, start: float, end: float) -> Floats:
    """0 before `start`, 1 after `end`, smooth between."""
    t = np.clip((x - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


def rough(random: np.random.Generator, texels: int, sigma: float) -> Floats:
    """A periodic random curve of `texels` values, unit variance, smoothed by `sigma` texels."""
    spectrum = np.asarray(fft.rfft(random.standard_normal(texels)))
    spectrum *= np.exp(-0.5 * (2 * np.pi * sigma * fft.rfftfreq(texels)) ** 2)
    curve = np.asarray(fft.irfft(spectrum, texels))
    return ((curve - curve.mean()) / curve.std()).astype(np.float32)


class Texture:
    """A periodic random pattern of unit variance, sampled at the nearest texel.

    One pattern serves many tissues: each looks at it from another corner and at another scale. Woven 'ridged', it has
    thin bright crests instead of round spots.
    """

    rows, columns = 512, 256

    def __init__(self, random: np.random.Generator, weave: str = "smooth") -> None:
        white = random.standard_normal((self.rows, self.columns), np.float32)
        across = np.exp(-0.5 * (2 * np.pi * SIGMA * fft.fftfreq(self.rows)) ** 2)
        along = np.exp(-0.5 * (2 * np.pi * SIGMA * fft.rfftfreq(self.columns)) ** 2)
        window = (across[:, None] * along).astype(np.float32)
        pattern = np.asarray(fft.irfft2(np.asarray(fft.rfft2(white)) * window, white.shape))
        if weave == "ridged":
            pattern = -np.sqrt(np.abs(pattern))
        self._texels = ((pattern - pattern.mean()) / pattern.std()).astype(np.float32).ravel()

    def sample(self, along: Floats, across: Floats, lengths: tuple[float, float], corner: int = 0) -> Floats:
        """Values at (along, across) mm, broadcast; `lengths` are the smoothing sigmas (mm) of each."""
        a = texel(along, SIGMA / lengths[0], 37 * corner) & (self.columns - 1)
        b = texel(across, SIGMA / lengths[1], 101 * corner) & (self.rows - 1)
        return self._texels.take(b * self.columns + a)


def texel(mm: Floats, per_mm: float, corner: int) -> NDArray[np.int32]:
    """The whole texel that `mm` falls on, as a positive number."""
    return (mm * np.float32(per_mm) + np.float32(FAR + corner)).astype(np.int32)
