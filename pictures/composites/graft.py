"""Real lesions of another organ, with their own edges, set into muscle and tendon: they stand in for tears in training.

The lesion comes as grey relative to its own surroundings, so that it takes on the brightness of its new ones.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pixels import Grey, Mask
from .breast_lesions import Lesion
from .composite import PLACES_TRIED, could_show

FLATTENED = (1.0, 2.6)  # a tear is flatter than a lump
AREA = (0.008, 0.075)  # share of the picture, evenly in its logarithm: of 74 real tears 90 % have .012 to .069
DARKER = (0.12, 0.8)  # mean grey inside / around that is sought; real tears have .29 to .76
RIM = 7  # pixels around it that say how bright its surroundings are

FloatImage = NDArray[np.float32]


def grafted(picture: Grey, lesion: Lesion, rng: np.random.Generator) -> tuple[Grey, Mask]:
    """`picture` (rows, columns) without a tear -> the same with the lesion in it, and its mask.

    Where no place is found that is bright enough around it, the picture comes back as it was with an empty mask.
    """
    piece = reshaped(lesion, float(np.exp(rng.uniform(*np.log(AREA)))) * picture.size, rng)
    place = None if piece is None else find_corner(picture, piece.mask, rng)
    if piece is None or place is None:
        return picture, np.zeros(picture.shape, np.bool_)
    rows, columns = piece.mask.shape
    part = (slice(place[0], place[0] + rows), slice(place[1], place[1] + columns))
    image, mask = picture.astype(np.float32), np.zeros(picture.shape, np.bool_)
    mask[part] = piece.mask
    image[part] = blended(image[part], piece, rng)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), mask


def reshaped(lesion: Lesion, area: float, rng: np.random.Generator) -> Lesion | None:
    """The lesion flattened, turned by up to 25 degrees, mirrored, and scaled to `area` pixels; None if it vanishes."""
    flat = rng.uniform(*FLATTENED)
    scale = float(np.sqrt(area / lesion.mask.sum() / flat))
    rows, columns = lesion.mask.shape
    size = (max(8, round(columns * scale * flat)), max(8, round(rows * scale)))
    grey = cv2.resize(lesion.grey, size, interpolation=cv2.INTER_AREA)
    mask = cv2.resize(lesion.mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)
    turn = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), rng.uniform(-25, 25), 1.0)
    grey = cv2.warpAffine(grey, turn, size, borderMode=cv2.BORDER_REFLECT)
    mask = cv2.warpAffine(mask, turn, size)
    if rng.random() < 0.5:
        grey, mask = grey[:, ::-1], mask[:, ::-1]
    inside = np.ascontiguousarray(mask) > 127
    return Lesion(np.ascontiguousarray(grey).astype(np.uint8), inside, lesion.name) if inside.sum() > 20 else None


def find_corner(picture: Grey, shape: Mask, rng: np.random.Generator) -> tuple[int, int] | None:
    """Upper left corner of a place with echoes all around `shape`; None where there is no such."""
    room = np.subtract(picture.shape, shape.shape)
    if min(room) < 8:
        return None
    around = _rim(shape)
    for _ in range(PLACES_TRIED):
        top, left = (int(rng.integers(size)) for size in room)
        there = picture[top : top + shape.shape[0], left : left + shape.shape[1]]
        if could_show(there[shape], there[around]):
            return top, left
    return None


def blended(there: FloatImage, piece: Lesion, rng: np.random.Generator) -> FloatImage:
    """The picture's part `there` with the lesion over it: relative to its own rim, deepened to the contrast sought."""
    around, own = _rim(piece.mask), piece.grey.astype(np.float32)
    relative = np.maximum(own, 1) / np.float32(max(float(own[around].mean()), 8.0))
    wanted, level = rng.uniform(*DARKER), float(there[around].mean())
    low, high = 0.2, 4.0  # steepness: the darker parts fall, what is as bright as the rim stays
    for _ in range(8):
        steep = (low + high) / 2
        low, high = (steep, high) if (relative[piece.mask] ** steep).mean() > wanted else (low, steep)
    source = np.float32(level) * relative ** np.float32((low + high) / 2)
    width = rng.uniform(1.0, 3.0)
    reach = cv2.dilate(piece.mask.astype(np.float32), np.ones((5, 5), np.uint8))
    soft = cv2.GaussianBlur(reach, (0, 0), sigmaX=width, sigmaY=0.7 * width).astype(np.float32, copy=False)
    return there * (1 - soft) + source * soft


def _rim(shape: Mask) -> Mask:
    kernel = np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)
    return (cv2.dilate(shape.astype(np.uint8), kernel) > 0) & ~shape
