"""Real texture on simulated anatomy, and tissue bent otherwise: what a simulator's own speckle and surfaces lack.

The picture's local mean says how strongly tissue answers; what lies on top of it, speckle and streaks, is taken from a
real picture, divided by that picture's own local mean. So the anatomy is the phantom's and the texture a scanner's.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ...pictures.composites.composite import cloud
from ...pictures.pixels import Grey, Mask

FloatImage = NDArray[np.float32]  # (rows, columns), grey 0..255
DARKEST = 12.0  # grey of a local mean: below, its texture would be noise


def retextured(pixels: Grey, real: Sequence[Grey], rng: np.random.Generator) -> Grey:
    """`pixels` (rows, columns) with the texture of one of the `real` pictures; same shape."""
    image = pixels.astype(np.float32)
    mean = cv2.GaussianBlur(image, (0, 0), sigmaX=rng.uniform(1.2, 3.5), sigmaY=rng.uniform(0.8, 1.8))
    texture = relative_texture(real[int(rng.integers(len(real)))], image.shape, rng)
    kept = np.float32(rng.uniform(0.0, 0.6))
    laid = mean * (1 + np.float32(rng.uniform(0.6, 1.2)) * texture) + kept * (image - mean)
    laid *= np.exp(np.float32(rng.uniform(0.0, 0.3)) * cloud(image.shape, rng))
    return np.clip(laid, 0, 255).astype(np.uint8)


def relative_texture(picture: Grey, shape: tuple[int, ...], rng: np.random.Generator) -> FloatImage:
    """What a real picture shows above its local mean, over that mean; laid out by mirroring to `shape`."""
    scale = rng.uniform(0.8, 1.5)
    real = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    mean = cv2.GaussianBlur(real, (0, 0), rng.uniform(3.0, 7.0))
    texture = ((real - mean) / np.maximum(mean, np.float32(DARKEST))).astype(np.float32, copy=False)
    rows, columns = (max(0, wanted - had) for wanted, had in zip(shape, texture.shape, strict=True))
    texture = np.pad(texture, ((0, rows), (0, columns)), mode="symmetric")
    top, left = (int(rng.integers(had - wanted + 1)) for had, wanted in zip(texture.shape, shape, strict=True))
    return texture[top : top + shape[0], left : left + shape[1]]


def bent(pixels: Grey, mask: Mask, rng: np.random.Generator) -> tuple[Grey, Mask]:
    """Picture and mask tilted, bowed and waved together, as other shoulders and other hands would show them."""
    rows, columns = pixels.shape
    x, y = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
    middle = rng.uniform(0.2, 0.8) * columns
    bow = rng.uniform(-0.25, 0.45) * rows / columns**2
    tilt = np.tan(np.deg2rad(rng.uniform(-12, 12)))
    wave = np.float32(rng.uniform(0.5, 4.0))
    to_x = x + wave * cloud(pixels.shape, rng)
    to_y = (y - bow * (x - middle) ** 2 + tilt * (x - middle)).astype(np.float32) + 0.5 * wave * cloud(
        pixels.shape, rng
    )
    moved = cv2.remap(pixels, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    truth = cv2.remap(mask.astype(np.uint8), to_x, to_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    return moved.astype(np.uint8, copy=False), truth > 0
