"""Parts of a picture that hold a lesion, or nothing of any."""

from __future__ import annotations

import cv2
import numpy as np

from ...pictures.pixels import Grey, Mask

TRIES = 40


def crop_with_or_without(pixels: Grey, mask: Mask, holding: bool, rng: np.random.Generator) -> tuple[Grey, Mask]:
    """A random part, a third to two thirds of each side, `holding` more than half of a lesion, or no pixel of any.

    Where the picture has no such part, it comes back whole.
    """
    lesion = _one_lesion(mask, rng) if holding else mask
    size = int(np.count_nonzero(lesion))
    if holding and not size:
        return pixels, mask
    for _ in range(TRIES):
        rows, columns = (max(8, int(n * rng.uniform(1 / 3, 2 / 3))) for n in mask.shape)
        low, high = np.zeros(2, int), np.maximum(np.array(mask.shape) - (rows, columns), 0)
        if holding:  # somewhere around a pixel of it
            at = np.argwhere(lesion)[int(rng.integers(size))]
            low, high = np.clip(at - (rows, columns) + 1, 0, high), np.minimum(at, high)
        top, left = (int(n) for n in rng.integers(low, high + 1))
        part = np.s_[top : top + rows, left : left + columns]
        held = int(np.count_nonzero(lesion[part]))
        if held * 2 > size if holding else not held:
            return np.ascontiguousarray(pixels[part]), np.ascontiguousarray(mask[part])
    return pixels, mask


def _one_lesion(mask: Mask, rng: np.random.Generator) -> Mask:
    """One connected lesion of a mask, any of them; the mask itself where it is empty."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    return np.equal(labels, int(rng.integers(1, count))) if count > 1 else mask
