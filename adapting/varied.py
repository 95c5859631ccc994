"""A clinic's frame as it might have been taken a little otherwise."""

from __future__ import annotations

import cv2
import numpy as np

from ..pictures.pixels import Grey, Mask
from ..train.batches import Pair


def jittered(pixels: Grey, mask: Mask, rng: np.random.Generator) -> Pair:
    """The frame turned by up to 10 degrees, zoomed by up to a fifth and softly bent; same shape, black around it."""
    rows, columns = pixels.shape
    turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), float(rng.normal(0, 5)), float(np.exp(rng.normal(0, 0.1))))
    turn[:, 2] += rng.normal(0, 0.03, 2) * (columns, rows)
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    strength = rng.uniform(0, 0.02) * min(rows, columns)
    coarse = rng.normal(0, strength, (2, 5, 5)).astype(np.float32)
    dx, dy = (cv2.resize(part, (columns, rows), interpolation=cv2.INTER_CUBIC) for part in coarse)
    back = cv2.invertAffineTransform(turn).astype(np.float32)
    across = back[0, 0] * x + back[0, 1] * y + back[0, 2] + dx
    along = back[1, 0] * x + back[1, 1] * y + back[1, 2] + dy
    moved = cv2.remap(pixels, across, along, cv2.INTER_LINEAR)
    truth = cv2.remap(mask.astype(np.uint8) * 255, across, along, cv2.INTER_LINEAR)
    return moved.astype(np.uint8, copy=False), truth > 127
