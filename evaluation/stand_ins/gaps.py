"""A gap cut in the decibel domain: the echo falls, residue and strands stay, and the beam blurs the rim."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from ...pictures.pixels import Grey, Mask
from ...scores.appearance import RING, dilated
from .places import Seen
from .shapes import Field, layered_noise

RANGE_DB = 60.0  # a usual dynamic range over the grey scale
PER_DB = np.float32(255.0 / RANGE_DB)
BEAM = (0.0024, 0.0046)  # sigma of the beam, axial and lateral, as a share of the picture's width
LOSS_DB = (0.0, 45.0)  # between what is tried to reach the wanted contrast


def cut_gap(seen: Seen, mask: Mask, contrast: float, rng: np.random.Generator) -> Grey:
    """The picture with a gap in `mask`, bool (rows, columns); mean grey inside / ring is `contrast` where it can be.

    Inside is the picture's own speckle from another place (moved, not smoothed), k decibels down, with a log-normal
    residue. Grey counts as decibels, RANGE_DB over 0..255. k is found by bisection.
    """
    image = seen.grey.astype(np.float32)
    weight = rim(mask, rng)
    texture = elsewhere(seen, mask, rng)
    residue = remains(seen, mask, rng)
    fluid = rng.random() < 0.5
    behind = fluid_effect(mask, seen, rng) if fluid else np.float32(0)

    def made(loss: float) -> Field:
        inside = texture + residue - np.float32(loss) * PER_DB
        power = (1 - weight) * _power(image + behind) + weight * _power(np.maximum(inside, 0))
        return _grey_of(power)

    return np.clip(np.rint(solved(made, mask, contrast)), 0, 255).astype(np.uint8)


def solved(made: Callable[[float], Field], mask: Mask, contrast: float) -> Field:
    """The picture whose inside / ring comes closest to `contrast`, among those that LOSS_DB can make."""
    ring = dilated(mask, RING) & ~mask
    low, high = LOSS_DB
    for _ in range(9):
        middle = (low + high) / 2
        picture = np.clip(made(middle), 0, 255)
        if picture[mask].mean() > contrast * picture[ring].mean():
            low = middle
        else:
            high = middle
    return np.clip(made((low + high) / 2), 0, 255)


def rim(mask: Mask, rng: np.random.Generator) -> Field:
    """How much of a pixel the gap fills, 0..1: the beam is wider than deep, and tissue frays into the gap."""
    axial, lateral = (max(share * mask.shape[1] * rng.uniform(0.7, 1.5), 0.5) for share in BEAM)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigmaX=lateral, sigmaY=axial)
    fray = layered_noise(mask.shape, 2.5 * lateral, 1.5 * axial, 0.0, rng)
    uneven = np.clip(soft + np.float32(rng.uniform(0.2, 0.8)) * fray * soft * (1 - soft) * 2, 0, 1)
    # echoes add as power, so that half a pixel of tissue hardly looks darker: the rim is drawn where the eye sees it
    return uneven ** np.float32(0.5)


def elsewhere(seen: Seen, mask: Mask, rng: np.random.Generator) -> Field:
    """The picture moved so that echo from another place fills `mask`, and levelled to what surrounds the gap there."""
    rows, columns = np.nonzero(mask)
    box = (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)
    best, level = None, float(seen.local[mask].mean())
    for _ in range(24):
        top = int(rng.integers(0, seen.grey.shape[0] - (box[1] - box[0])))
        left = int(rng.integers(0, seen.grey.shape[1] - (box[3] - box[2])))
        if abs(top - box[0]) + abs(left - box[2]) < (box[3] - box[2]) / 3:
            continue  # what was there would still be there
        there = seen.local[top : top + box[1] - box[0], left : left + box[3] - box[2]]
        off = abs(float(there.mean()) - level) + float(there.std())
        if best is None or off < best[0]:
            best = (off, top, left)
    _, top, left = best or (0.0, int(box[0]), int(box[2]))
    patch = seen.grey[top : top + box[1] - box[0], left : left + box[3] - box[2]].astype(np.float32)
    if rng.random() < 0.5:
        patch = patch[:, ::-1]
    broad = cv2.GaussianBlur(patch, (0, 0), max(4.0, 0.02 * seen.grey.shape[1]))
    level_out = np.float32(rng.uniform(0.5, 1.0))  # how far its own layers are taken out
    full = np.zeros(seen.grey.shape, np.float32)
    full[box[0] : box[1], box[2] : box[3]] = patch - level_out * (broad - np.float32(level))
    return full


def remains(seen: Seen, mask: Mask, rng: np.random.Generator) -> Field:
    """What is left in the gap, in grey: clouds of debris, log-normal in power, and strands along the fibres."""
    size, degrees = mask.shape[1], float(seen.degrees[mask].mean())
    clouds = layered_noise(mask.shape, rng.uniform(0.012, 0.035) * size, rng.uniform(0.006, 0.016) * size, degrees, rng)
    left = np.float32(rng.uniform(3.0, 8.0)) * clouds
    for _ in range(int(rng.integers(0, 3))):
        tilt = degrees + rng.normal(0, 18)
        lines = layered_noise(mask.shape, 0.022 * size, rng.uniform(0.0028, 0.0055) * size, tilt, rng)
        left += np.float32(rng.uniform(4.0, 12.0)) * np.clip(lines - np.float32(rng.uniform(0.8, 1.4)), 0, 1.2)
    return left * PER_DB


def fluid_effect(mask: Mask, seen: Seen, rng: np.random.Generator) -> Field:
    """What fluid does to the echo beneath it, in grey: more of it, fading with depth; and a shadow at its sides."""
    rows, columns = mask.shape
    path = np.zeros(mask.shape, np.float32)  # how much gap lies above
    np.cumsum(mask, axis=0, out=path)
    path[mask] = 0
    bottom = int(np.nonzero(mask)[0].max())
    fade = np.exp(-np.maximum(np.arange(rows) - bottom, 0) / (0.12 * rows)).astype(np.float32)[:, None]
    gain = np.float32(rng.uniform(1.0, 4.5)) * np.minimum(path / (0.04 * rows), 1) * fade
    decibel = cv2.GaussianBlur(gain, (0, 0), sigmaX=0.008 * columns, sigmaY=1.0)
    if rng.random() < 0.5:
        side = np.abs(np.diff(path > 0, axis=1, prepend=False).astype(np.float32)) * fade
        shadow = cv2.GaussianBlur(side, (0, 0), sigmaX=0.005 * columns, sigmaY=0.012 * rows)
        decibel = decibel - np.float32(rng.uniform(1.0, 4.0)) * shadow / max(float(shadow.max()), 1e-6)
    # black stays black: there is nothing to enhance
    return decibel * PER_DB * np.clip(seen.grey.astype(np.float32) / 24, 0, 1)


def _power(grey: Field) -> Field:
    return np.power(np.float32(10.0), grey / (PER_DB * 10))


def _grey_of(power: NDArray[np.floating]) -> Field:
    return (PER_DB * 10 * np.log10(np.maximum(power, 1e-9))).astype(np.float32)
