"""Speckle put on a finished picture: the severe-speckle test, and the naive one beside it.

A B-mode picture is log-compressed, I = 20 log10(a) / DR, so that speckle, which multiplies the amplitude a,
adds to the grey value:

    g  = (1/L) sum_l |n_l|^2                      n_l complex Gaussian, correlated, E g = 1
    I' = clip(I + (10 log10 g + b_L) / DR, 0, 1)  DR = 58 dB, b_L = -E[10 log10 g]

L = 1 look is fully developed speckle, what a single uncompounded picture has at worst. The paper (Lee et al.,
Sensors 2021;21:2214) tests under "severe speckle noise"; how it was made is not known to us: this is our way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, uniform_filter
from scipy.special import digamma

from ..errors import InputError
from .sound.scanner import FWHM

DYNAMIC_RANGE_DB = 58.0
AXIAL_MM, LATERAL_MM = 0.2, 0.6  # size of a grain: full width at half maximum of the autocovariance of g
ASSUMED_DEPTH_MM = 40.0
LEVELS: dict[str, int | None] = {"none": None, "moderate": 4, "severe": 1}  # looks L
NAIVE = {"naive-.05": 0.05, "naive-.1": 0.1, "naive-.2": 0.2}  # variances
_BLACK = 2  # grey value: video compression leaves 1 or 2 of black
_AROUND = 9  # side of a neighbourhood in pixels

Grey = NDArray[np.uint8]
Spacing = tuple[float, float]


def corrupt(pixels: Grey, level: str, rng: np.random.Generator, mm_per_pixel: Spacing | None = None) -> Grey:
    """`pixels` (rows, columns) with the speckle of a `level` out of LEVELS or NAIVE; a new array.

    Raises ValueError for another level.
    """
    check_level(level)
    if level in NAIVE:
        return naive(pixels, NAIVE[level], rng)
    looks = LEVELS[level]
    return pixels.copy() if looks is None else severe(pixels, looks, rng, mm_per_pixel)


def check_level(level: str) -> None:
    """Raise ValueError unless `level` is one of LEVELS or NAIVE."""
    if level not in LEVELS and level not in NAIVE:
        raise InputError(f"there is no speckle {level!r}; give one of {', '.join([*LEVELS, *NAIVE])}")


def severe(pixels: Grey, looks: int, rng: np.random.Generator, mm_per_pixel: Spacing | None = None) -> Grey:
    """Log-compressed, correlated speckle of `looks` looks on uint8 (rows, columns); the same generator state
    gives the same picture.

    `mm_per_pixel` is (row, column); where it is not known the rows are taken to cover 40 mm, with square
    pixels. Where most pixels around are black (2 or less), as outside a sector or deep in a shadow, black
    stays as it is: speckle multiplies, and there is no echo to multiply.
    Raises ValueError if there is no look, or a pixel has no size.
    """
    speckle = speckle_db(pixels.shape, looks, rng, mm_per_pixel)
    speckle *= np.float32(255 / DYNAMIC_RANGE_DB)
    speckle += pixels
    black = pixels <= _BLACK
    speckle -= _sunk(pixels, black)
    np.maximum(speckle, pixels, out=speckle, where=black)
    np.rint(speckle, out=speckle)
    return np.clip(speckle, 0, 255, out=speckle).astype(np.uint8)


def naive(pixels: Grey, variance: float, rng: np.random.Generator) -> Grey:
    """J = I + n I with n white, uniform, of mean 0 and the given variance: what image toolboxes call speckle.

    It takes grey values for amplitudes and neighbours for independent, neither of which holds for B-mode.
    """
    half = np.sqrt(3 * variance)
    noisy = pixels * (1 + rng.uniform(-half, half, pixels.shape))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def speckle_db(
    shape: tuple[int, ...], looks: int, rng: np.random.Generator, mm_per_pixel: Spacing | None = None
) -> NDArray[np.float32]:
    """10 log10 g + b_L in dB, float32 of `shape` (rows, columns), mean 0; sd 5.57, 3.49, 2.31 for L = 1, 2, 4."""
    row_mm, column_mm = mm_per_pixel or (ASSUMED_DEPTH_MM / shape[0],) * 2
    if looks < 1 or min(row_mm, column_mm) <= 0:
        raise InputError(f"speckle of {looks} looks at {row_mm} x {column_mm} mm a pixel cannot be drawn; give > 0")
    axial, lateral = _gaussian(AXIAL_MM / row_mm), _gaussian(LATERAL_MM / column_mm)
    g = np.zeros(shape, np.float32)
    part, smooth = np.empty_like(g), np.empty_like(g)
    for _ in range(2 * looks):  # the real and the imaginary part of each n_l
        rng.standard_normal(out=part, dtype=np.float32)
        # 'wrap', so that the variance is the same at the edges
        correlate1d(part, axial, axis=0, mode="wrap", output=smooth)
        correlate1d(smooth, lateral, axis=1, mode="wrap", output=part)
        g += np.square(part, out=part)
    g *= np.float32(0.5 / looks)
    np.log10(np.maximum(g, np.float32(1e-12), out=g), out=g)
    g *= 10
    g += np.float32(bias_db(looks))
    return g


def bias_db(looks: int) -> float:
    """b_L = -E[10 log10 g], g gamma-distributed with L looks: 2.51, 1.17, .57 dB for L = 1, 2, 4."""
    return float(10 / np.log(10) * (np.log(looks) - digamma(looks)))


def _gaussian(width: float) -> NDArray[np.float64]:
    """Kernel of that full width at half maximum in pixels, which keeps the variance of white noise.

    The autocovariance of |n|^2 is the square of that of n: as wide as the kernel itself.
    """
    sigma = width / FWHM
    taps = np.arange(-int(3 * sigma + 0.5), int(3 * sigma + 0.5) + 1)
    weights = np.exp(-0.5 * (taps / max(sigma, 1e-6)) ** 2)
    return weights / np.sqrt(np.sum(weights**2))


def _sunk(pixels: Grey, black: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How far below the display's floor black lies (grey values): what the display cut off is not known.

    Among echoes (four fifths of the neighbours or more) black is the floor itself; where little more than
    half of them are black too it is so far below that no speckle lifts it. In between it passes over, so
    that no edge appears where none was.
    """
    echoes = uniform_filter(np.where(black, np.float32(0), np.float32(1)), _AROUND, mode="nearest")
    depth = np.float32(255 * 20 / DYNAMIC_RANGE_DB)
    return depth * np.clip((np.float32(0.8) - echoes) * 4, 0, 1) * black
