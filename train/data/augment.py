"""Changes that keep an ultrasound picture an ultrasound picture: what scanners, knobs, probes and codecs
vary.

Never a vertical flip: depth runs downwards, and shadow and attenuation with it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ...phantom.corruption import DYNAMIC_RANGE_DB
from ...pictures.composites.composite import noise
from ...pictures.pixels import Grey, Mask
from .texture import bent

FloatImage = NDArray[np.float32]  # (rows, columns), grey in 0..1


def augment(pixels: Grey, mask: Mask, rng: np.random.Generator) -> tuple[Grey, Mask]:
    """One random variation of a picture (rows, columns) and its mask; both may come back at another size."""
    if rng.random() < 0.3:
        pixels, mask = bent(pixels, mask, rng)
    pixels, mask = random_crop(pixels, mask, rng)
    if rng.random() < 0.5:
        pixels, mask = pixels[:, ::-1], mask[:, ::-1]
    image: FloatImage = np.divide(pixels, 255, dtype=np.float32)
    if rng.random() < 0.4:
        image = with_speckle(image, rng)
    image = knobs(image, rng)
    if rng.random() < 0.3:
        image = shadowed(image, rng)
    if rng.random() < 0.25:
        image, mask = bordered(image, mask, rng)
    return codec((np.clip(image, 0, 1) * 255).astype(np.uint8), rng), np.ascontiguousarray(mask)


def random_crop(pixels: Grey, mask: Mask, rng: np.random.Generator) -> tuple[Grey, Mask]:
    """Move each side in by up to 16 %, at times 30 %, or, leaving black, out by up to 6 %: depth, position, a badly
    found sector.
    """
    rows, columns = pixels.shape
    if rng.random() < 0.2:
        return pixels, mask
    most = 0.3 if rng.random() < 0.25 else 0.16
    top, left, bottom, right = (int(n) for n in rng.uniform(-0.06, most, 4) * (rows, columns, rows, columns))
    shift = np.array([[1, 0, -left], [0, 1, -top]], np.float32)
    size = (columns - left - right, rows - top - bottom)
    moved = cv2.warpAffine(pixels, shift, size, flags=cv2.INTER_NEAREST)  # type: ignore[call-overload]
    truth = cv2.warpAffine(mask.astype(np.uint8), shift, size, flags=cv2.INTER_NEAREST)  # type: ignore[call-overload]
    return moved.astype(np.uint8, copy=False), truth > 0


def knobs(image: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Gain, dynamic range, grey curve and depth gain (TGC), as an examiner turns them. Same shape."""
    black = image < 1 / 255  # what lies outside the sector stays black
    image = 1 - (1 - image) * np.float32(rng.uniform(0.75, 1.3)) + np.float32(rng.uniform(-0.1, 0.1))
    slides = np.cumsum(rng.normal(0, 0.05, 5))
    depth = np.interp(np.linspace(0, 4, image.shape[0]), np.arange(5), slides - slides.mean())
    image = np.clip(image + depth[:, None].astype(np.float32), 0, 1)
    image = image ** np.float32(np.exp(rng.uniform(-0.35, 0.35)))
    image[black] = 0
    return image


def with_speckle(image: FloatImage, rng: np.random.Generator) -> FloatImage:
    """More speckle: log-compressed, correlated, unit-mean gamma speckle of L looks (Goodman), dynamic range
    58 dB; half the time at full strength, as the severe-speckle test has it, else weaker.
    """
    looks = int(rng.choice([1, 2, 4, 8]))
    across, along = rng.uniform(1.0, 3.0), rng.uniform(0.6, 1.2)  # correlation in pixels: lateral, axial
    power = np.zeros(image.shape, np.float32)
    for _ in range(2 * looks):
        part = cv2.GaussianBlur(noise(image.shape, rng), (0, 0), sigmaX=across, sigmaY=along)
        power += part * part
    power /= max(float(power.mean()), 1e-12)
    change = 10 * np.log10(np.maximum(power, 1e-6))
    change = (change - change.mean()) / np.float32(DYNAMIC_RANGE_DB)  # its mean in dB is below 0
    strength = np.float32(1.0 if rng.random() < 0.5 else rng.uniform(0.2, 0.9))
    return np.where(image > 0, np.clip(image + strength * change, 0, 1), image)


def gained(pixels: Grey, rng: np.random.Generator) -> Grey:
    """Gain and grey curve turned as little as between two examinations; black stays black. Same shape."""
    image = (
        1 - (1 - pixels / np.float32(255)) * np.float32(rng.uniform(0.85, 1.15)) + np.float32(rng.uniform(-0.05, 0.05))
    )
    image = np.clip(image, 0, 1) ** np.float32(np.exp(rng.uniform(-0.2, 0.2)))
    return np.where(pixels == 0, 0, image * 255).astype(np.uint8)


def shadowed(image: FloatImage, rng: np.random.Generator) -> FloatImage:
    """One or two acoustic shadows: columns darker from some depth down, soft at the sides."""
    rows, columns = image.shape
    for _ in range(int(rng.integers(1, 3))):
        centre, width = rng.uniform(0, columns), rng.uniform(0.02, 0.12) * columns
        side = np.exp(-(np.abs((np.arange(columns) - centre) / width) ** 4))
        deep = np.clip((np.arange(rows) - rng.uniform(0.0, 0.6) * rows) / (0.04 * rows), 0, 1)
        image = image - np.float32(rng.uniform(0.1, 0.5)) * np.outer(deep, side).astype(np.float32)
    return np.clip(image, 0, 1)


def bordered(image: FloatImage, mask: Mask, rng: np.random.Generator) -> tuple[FloatImage, Mask]:
    """Another sector border (steered, trapezoid or convex), or a depth ruler's ticks and a mark."""
    rows, columns = image.shape
    image = image.copy()
    if rng.random() < 0.5:
        inset = rng.uniform(0, 0.2, 4) * columns  # upper left, upper right, lower left, lower right
        corners = [[inset[0], 0], [columns - inset[1], 0], [columns - inset[3], rows], [inset[2], rows]]
        seen = np.zeros(image.shape, np.uint8)
        cv2.fillPoly(seen, [np.array(corners, np.int32)], 1)
        if rng.random() < 0.5:
            radius = int(rows * rng.uniform(1.0, 1.3))
            disc = cv2.circle(np.zeros_like(seen), (columns // 2, rows - radius), radius, 1, -1)
            seen &= disc.astype(np.uint8, copy=False)
        image[seen == 0] = 0
        return image, mask & (seen > 0)
    marks = np.zeros(image.shape, np.uint8)
    side, apart = (2 if rng.random() < 0.5 else columns - 6), max(8, rows // int(rng.integers(6, 14)))
    marks[::apart, side : side + 4] = int(rng.integers(128, 256))
    cv2.putText(marks, "".join(rng.choice(list("PLMZ09"), 2)), (6, 14), cv2.FONT_HERSHEY_PLAIN, 0.9, (230,), 1)
    return np.maximum(image, marks.astype(np.float32) / np.float32(255)), mask


def codec(pixels: Grey, rng: np.random.Generator) -> Grey:
    """What stands between probe and network: a coarser screen, a soft lens, compression."""
    rows, columns = pixels.shape
    if rng.random() < 0.35:
        scale = rng.uniform(0.5, 0.95)
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        pixels = cv2.resize(small, (columns, rows), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
    if rng.random() < 0.25:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.3)).astype(np.uint8, copy=False)
    if rng.random() < 0.5:
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 92))])
        pixels = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE).astype(np.uint8, copy=False)  # type: ignore[union-attr]
    return pixels
