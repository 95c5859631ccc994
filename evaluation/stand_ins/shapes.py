"""The shapes of gaps: a level that is high in a lens, a wedge, a cleft, branches or a cloud, made ragged."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ...pictures.pixels import Mask

GAP_KINDS = ("lens", "wedge", "cleft", "branches", "cloud")
SHARES = (0.22, 0.22, 0.16, 0.3, 0.1)  # how often each
Field = NDArray[np.float32]


class Axes(NamedTuple):
    """A point's place along and across the gap, in pixels; float32, both of one shape."""

    along: Field
    across: Field

    def turned(self, degrees: float) -> Axes:
        """The same points for a gap that is turned by so much more."""
        cos, sin = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
        return Axes(cos * self.along + sin * self.across, cos * self.across - sin * self.along)


def gap_shape(kind: str, area: float, length_to_width: float, degrees: float, rng: np.random.Generator) -> Mask:
    """A gap of about `area` pixels around the middle of a square, bool (side, side), one part without holes.

    `degrees`: how far its long axis points down to the right. `kind` is one of GAP_KINDS.
    """
    half = float(np.sqrt(area * length_to_width / 2.2))
    wide = half / length_to_width
    reach = int(2.2 * half + 8)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    axes = Axes(columns, rows).turned(degrees)
    level = _level(kind, axes, half, wide, rng)
    ragged = rng.uniform(0.55, 1.4)
    for share, strength in ((0.55, 0.75), (0.22, 0.45), (0.1, 0.22)):
        field = layered_noise(level.shape, share * half, max(share * wide * 1.3, 1.2), degrees, rng)
        level = level + np.float32(ragged * strength) * field
    return _of_area(level, area)


def _level(kind: str, axes: Axes, half: float, wide: float, rng: np.random.Generator) -> Field:
    """1 in the middle, 0 at the border, below outside."""
    if kind == "wedge":  # thick at one end
        place = (axes.along + half) / (2 * half)
        thick = np.clip(1.25 * (1 - place), 0.02, None) * wide
        ends = np.maximum(np.abs(axes.along) / half - 1, 0)
        return (1 - np.abs(axes.across) / thick - 4 * ends).astype(np.float32)
    if kind == "branches":  # two to four arms from one joint: fans, T and L
        joint = rng.uniform(-0.4, 0.4) * half
        level = _arm(axes, half, 0.7 * wide, 0.0)
        moved = Axes(axes.along - np.float32(joint), axes.across)
        for _ in range(int(rng.integers(1, 4))):
            angle = rng.uniform(25, 100) * rng.choice((-1, 1))
            length = rng.uniform(0.5, 1.0) * half
            away = moved.turned(float(angle))
            centred = Axes(away.along - np.float32(0.8 * length), away.across)
            level = np.maximum(level, _arm(centred, length, 0.6 * wide, 0.0))
        return level
    if kind == "cloud":
        return 1 - np.hypot(axes.along / half, axes.across / wide)
    return _arm(axes, half, wide, rng.normal(0, 0.6))  # a lens, or a cleft: it bends


def _arm(axes: Axes, half: float, wide: float, bend: float) -> Field:
    bent = axes.across - np.float32(bend * wide) * ((axes.along / half) ** 2 - np.float32(0.4))
    return 1 - (axes.along / half) ** 2 - np.abs(bent) / wide


def layered_noise(
    shape: tuple[int, ...], along: float, across: float, degrees: float, rng: np.random.Generator
) -> Field:
    """Gaussian noise of mean 0 and sd 1, (rows, columns), longer in one direction; lengths are sigmas in pixels."""
    rows, columns = shape[:2]
    side = int(np.hypot(rows, columns)) + 2
    sigmas = np.maximum((along, across), 0.6)
    shrink = max(1.0, float(sigmas.min()) / 2)  # a coarse field needs no fine pixels
    small = max(8, round(side / shrink))
    field = rng.standard_normal((small, small), np.float32)
    field = cv2.GaussianBlur(field, (0, 0), sigmaX=float(sigmas[0] / shrink), sigmaY=float(sigmas[1] / shrink))
    turn = cv2.getRotationMatrix2D(((small - 1) / 2, (small - 1) / 2), -degrees, side / small)
    turn[:, 2] += np.array([columns - small, rows - small]) / 2
    turned = cv2.warpAffine(field, turn, (columns, rows), borderMode=cv2.BORDER_REFLECT)
    return ((turned - turned.mean()) / (turned.std() + 1e-6)).astype(np.float32)


def _of_area(level: Field, area: float) -> Mask:
    """Where the level is above a height that leaves one part of `area`; that part alone, its holes filled."""
    low, high = float(level.min()), float(level.max())
    part = np.zeros(level.shape, np.bool_)
    for _ in range(14):
        height = (low + high) / 2
        part = largest_part(level > height)
        if part.sum() > area:
            low = height
        else:
            high = height
    return part


def largest_part(mask: Mask) -> Mask:
    """The largest 8-connected part of `mask`, bool (rows, columns), without holes; empty where that is."""
    borders, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask.shape, np.uint8)
    if borders:
        cv2.drawContours(filled, [max(borders, key=cv2.contourArea)], -1, 1, -1)
    return filled > 0
