"""Simulated tears set into real muscle and tendon, so that positives carry real texture too.

An empty real picture alone teaches 'looks real: no tear'. A composite keeps the picture's own speckle, gain and
edges: inside a tear's outline the mean falls to a level below its surroundings while the fine texture stays, or comes
from elsewhere, or is log-compressed Rayleigh speckle of the picture's own grain (Goodman); clouds and strands lie in
it, so that it is as mixed inside as real tears are, and the border is as soft as the grain. A decoy is made the same
way but is no tear: patches that are as bright as their surroundings or brighter, so that the seam never gives the
answer away.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pixels import Grey, Mask

FloatImage = NDArray[np.float32]  # (rows, columns), grey 0..255

RING_AT_LEAST = 34.0  # grey around a tear: where it is darker already, nobody could see one
PLACES_TRIED = 12
DB_PER_GREY = 58.0 / 255.0  # a usual dynamic range over the grey scale


class TearSite(NamedTuple):
    """Where a tear lies: its mask, and the mean grey of the ring around it and its spread (sd)."""

    mask: Mask
    around: float
    spread: float


def composite(picture: Grey, outline: Mask, rng: np.random.Generator) -> tuple[Grey, Mask]:
    """`picture` (rows, columns) without a tear -> the same with one of `outline`'s shape, and its mask.

    `outline` is a tear's mask in another picture of any size. Where no place is found that is bright enough around
    to show a tear, the picture comes back as it was with an empty mask.
    """
    place = find_place(picture, outline, rng)
    if place is None:
        return picture, np.zeros(picture.shape, np.bool_)
    image = picture.astype(np.float32)
    share = float(np.clip(rng.normal(0.47, 0.15), 0.08, 0.82))  # of the ring's grey; 74 real tears have .29 to .76
    image = lesion(image, place, share * place.around, rng)
    return _grey(beyond(image, place.mask, rng)), place.mask


def decoy(picture: Grey, outline: Mask, rng: np.random.Generator) -> Grey:
    """`picture` with a patch of `outline`'s shape that is no tear: as bright as its surroundings, or brighter."""
    place = find_place(picture, outline, rng)
    if place is None:
        return picture
    level = place.around * rng.uniform(0.9, 1.6)
    return _grey(lesion(picture.astype(np.float32), place, level, rng))


def find_place(picture: Grey, outline: Mask, rng: np.random.Generator) -> TearSite | None:
    """Somewhere bright enough for a tear of that shape, turned and sized at random; None where there is no such."""
    shape = turned(outline, max(picture.shape), rng)
    if shape is None or min(np.subtract(picture.shape, shape.shape)) < 8:
        return None
    rows, columns = shape.shape
    kernel = np.ones((13, 13), np.uint8)
    for _ in range(PLACES_TRIED):
        top = int((picture.shape[0] - rows) * rng.uniform(0.05, 0.85))
        left = int(rng.integers(picture.shape[1] - columns))
        mask = np.zeros(picture.shape, np.uint8)
        mask[top : top + rows, left : left + columns] = shape
        ring = (cv2.dilate(mask, kernel) > mask).astype(bool)
        around = picture[ring]
        if could_show(picture[mask > 0], around):
            return TearSite(mask > 0, float(around.mean()), float(around.std()))
    return None


def could_show(inside: Grey, around: Grey) -> bool:
    """Whether a tear could be seen in a place: grey of the pixels `inside` it and `around` it, as they are without one.

    It needs echoes on all sides, neither the sector's border nor deep shadow, and no place that is dark already.
    """
    ring = around.mean()
    return bool(ring >= RING_AT_LEAST and (around > 8).mean() > 0.8 and inside.mean() >= 0.7 * ring)


def turned(outline: Mask, longest: int, rng: np.random.Generator) -> NDArray[np.uint8] | None:
    """A tear's outline cut out, tilted by up to 25 degrees and scaled for a picture of `longest` pixels."""
    rows, columns = np.flatnonzero(outline.any(1)), np.flatnonzero(outline.any(0))
    if not rows.size:
        return None
    shape = outline[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.uint8)
    scale = rng.uniform(0.8, 1.6) * longest / max(outline.shape)
    wide = max(shape.shape) * 1.3
    turn = cv2.getRotationMatrix2D((shape.shape[1] / 2, shape.shape[0] / 2), rng.uniform(-25, 25), scale)
    side = int(wide * scale) + 4
    turn[:, 2] += side / 2 - np.array([shape.shape[1] / 2, shape.shape[0] / 2])
    if rng.random() < 0.5:
        shape = np.ascontiguousarray(shape[:, ::-1])
    soft = cv2.warpAffine(shape * 255, turn, (side, side), flags=cv2.INTER_LINEAR)
    shape = (soft.astype(np.float32) > 127).astype(np.uint8)
    rows, columns = np.flatnonzero(shape.any(1)), np.flatnonzero(shape.any(0))
    if rows.size < 4 or columns.size < 4:
        return None
    return shape[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def grain(image: FloatImage) -> tuple[float, float]:
    """Speckle's correlation (lateral, axial) as Gaussian sigmas in pixels, from the picture's own fine texture.

    By Rice's formula: the mean square of a Gaussian-correlated texture's slope is its variance over 2 sigma^2.
    """
    fine = image - cv2.GaussianBlur(image, (0, 0), 5.0)
    fine = fine[image > 12] if (image > 12).sum() > 400 else fine.ravel()
    power = float(np.mean(fine**2)) + 1e-6
    across = float(np.mean(np.diff(image, axis=1) ** 2)) + 1e-6
    along = float(np.mean(np.diff(image, axis=0) ** 2)) + 1e-6
    return float(np.clip(np.sqrt(power / across), 0.6, 3.0)), float(np.clip(np.sqrt(power / along), 0.5, 2.5))


def lesion(image: FloatImage, place: TearSite, level: float, rng: np.random.Generator) -> FloatImage:
    """The image with the place's inside at mean grey `level`, as mixed as its surroundings, softly bordered."""
    lateral, axial = grain(image)
    texture = speckled(image, (lateral, axial), rng)
    texture /= np.float32(texture[place.mask].std() + 1e-3)
    debris = cloud(image.shape, rng, apart=int(rng.integers(5, 18)))
    share = np.float32(rng.uniform(0.2, 1.0))  # of debris and synovium: cloudy, not black
    mixed = texture + share * debris
    # 74 real tears: their spread is .86 of the ring's at the median; grey that would lie below 0 takes some away
    wanted = rng.uniform(0.5, 1.5) * place.spread
    mixed *= np.float32(wanted / (float(mixed[place.mask].std()) + 1e-3))
    if rng.random() < 0.35:
        mixed += strands(image.shape, rng)
    soft = softened(place.mask, lateral, axial, rng)
    inside = levelled(mixed, image, soft, place.mask, level)
    return (image * (1 - soft) + inside * soft).astype(np.float32, copy=False)


def levelled(mixed: FloatImage, image: FloatImage, soft: FloatImage, mask: Mask, level: float) -> FloatImage:
    """`mixed` moved up or down so that, blended in by `soft`, the mask's mean is `level`; no grey below 0."""
    inside, own, weight = mixed[mask], image[mask], soft[mask]
    low, high = -255.0, 255.0
    for _ in range(9):
        middle = (low + high) / 2
        mean = float((own * (1 - weight) + np.maximum(inside + np.float32(middle), 0) * weight).mean())
        low, high = (middle, high) if mean < level else (low, middle)
    return np.maximum(mixed + np.float32((low + high) / 2), 0)


def speckled(image: FloatImage, sizes: tuple[float, float], rng: np.random.Generator) -> FloatImage:
    """Fine texture of mean 0: the image's own, its own from another place, or simulated in its grain."""
    kind = rng.random()
    if kind < 0.35:
        return rayleigh(image.shape, *sizes, rng)
    fine = image - cv2.GaussianBlur(image, (0, 0), rng.uniform(2.0, 6.0))
    if kind < 0.6:
        return fine
    rows, columns = (int(rng.integers(size // 5, size - size // 5)) for size in image.shape)
    return np.roll(fine, (rows, columns), (0, 1))


def strands(shape: tuple[int, ...], rng: np.random.Generator) -> FloatImage:
    """One to three bright lines, grey, roughly lying: fibres that are left, folds of synovium."""
    lines = np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        angle, row = rng.normal(0, 0.3), rng.uniform(0, shape[0])
        rise = round(np.tan(np.clip(angle, -1.2, 1.2)) * shape[1] / 2)
        cv2.line(lines, (0, round(row) - rise), (shape[1], round(row) + rise), 1.0, int(rng.integers(1, 3)))
    broken = cloud(shape, rng) > rng.uniform(-0.6, 0.6)
    return cv2.GaussianBlur(lines * broken, (0, 0), 0.9) * np.float32(rng.uniform(30, 140))


def rayleigh(shape: tuple[int, ...], lateral: float, axial: float, rng: np.random.Generator) -> FloatImage:
    """Log-compressed fully developed speckle of mean 0, in grey."""
    power = np.zeros(shape, np.float32)
    for _ in range(2):
        part = cv2.GaussianBlur(noise(shape, rng), (0, 0), sigmaX=lateral, sigmaY=axial)
        power += part * part
    decibel = 10 * np.log10(np.maximum(power, 1e-7) / max(float(power.mean()), 1e-9)) + 2.51
    return (decibel / np.float32(DB_PER_GREY)).astype(np.float32)


def cloud(shape: tuple[int, ...], rng: np.random.Generator, apart: int = 16) -> FloatImage:
    """Smooth noise of mean 0 and sd 1, its blotches about `apart` pixels apart."""
    coarse = rng.standard_normal((max(2, shape[0] // apart), max(2, shape[1] // apart)), np.float32)
    return cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC).astype(np.float32, copy=False)


def softened(mask: Mask, lateral: float, axial: float, rng: np.random.Generator) -> FloatImage:
    """The mask as weights 0..1 with a border as soft as the grain, and as uneven."""
    width = rng.uniform(0.6, 1.6)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigmaX=width * lateral, sigmaY=width * axial)
    uneven = np.float32(rng.uniform(0, 0.25)) * cv2.GaussianBlur(
        noise(mask.shape, rng), (0, 0), sigmaX=lateral * 2, sigmaY=axial * 2
    )
    steep = np.float32(rng.uniform(1.0, 2.5))
    return np.clip((soft + uneven * 4 * soft * (1 - soft) - 0.5) * steep + 0.5, 0, 1)


def beyond(image: FloatImage, mask: Mask, rng: np.random.Generator) -> FloatImage:
    """What a fluid-filled gap does around it: more echo beneath, and often a bright line where its floor begins."""
    if rng.random() < 0.5:
        below = shifted(mask, int(rng.integers(3, 12))) & ~mask
        deep = cv2.GaussianBlur(below.astype(np.float32), (0, 0), 4.0)
        image = image + np.float32(rng.uniform(4, 22)) * deep
    if rng.random() < 0.4:
        floor = shifted(mask, int(rng.integers(1, 3))) & ~mask
        image = image + np.float32(rng.uniform(15, 70)) * cv2.GaussianBlur(floor.astype(np.float32), (0, 0), 0.8)
    return image


def shifted(mask: Mask, rows: int) -> Mask:
    """The mask moved down by `rows`."""
    moved = np.zeros_like(mask)
    moved[rows:] = mask[:-rows]
    return moved


def _grey(image: FloatImage) -> Grey:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def noise(shape: tuple[int, ...], rng: np.random.Generator) -> FloatImage:
    """Gaussian noise of sd 1, a random part of one large field where that suffices: drawing it anew is half of an
    augmentation's time.
    """
    field = _field()
    top, left = field.shape[0] - shape[0], field.shape[1] - shape[1]
    if min(top, left) < 64:
        return rng.standard_normal(shape, np.float32)
    row, column = int(rng.integers(top)), int(rng.integers(left))
    part = field[row : row + shape[0], column : column + shape[1]]
    return part[:, ::-1] if rng.random() < 0.5 else part


@cache
def _field() -> FloatImage:
    return np.random.default_rng(0).standard_normal((1536, 1536), np.float32)
