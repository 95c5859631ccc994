"""Tears as exact regions of the tendon's own coordinates.

s: mm along the tendon from the lateral tip of its footprint; u: depth in the tendon, 0 at its bursal and 1 at its
articular side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from ..recipes import USUAL_RECIPE, ShoulderRecipe
from .limbs import LIMBS, MARGIN_MM, TEXEL_MM, Draft, Extent, depth_inside, upside_down
from .textures import Floats, smoothstep

KINDS = ("intact", "full", "articular", "intact", "bursal", "intratendinous")
LENGTH_MM = 26.0  # of the tendon that a tear may lie in


def kind_of(seed: int) -> str:
    """The kind of shoulder that belongs to `seed`; every third is intact."""
    return KINDS[seed % len(KINDS)]


@dataclass(frozen=True)
class Tear:
    """One tear: a field that says how deep (mm) a point of the tendon lies inside it, and what fills it."""

    kind: str
    shape: str
    thickness: float  # of the tendon it was drawn for, mm
    extent: Extent
    field: Floats  # (rows over v, columns over s), mm inside
    most: float  # the field's greatest value
    width: float  # antero-posterior, mm: how far the probe may leave the plane before the tear is gone
    fall_db: float  # how much weaker than tendon the inside answers
    debris_db: float  # how uneven the inside is
    strands_db: float  # how bright the fibres left in it are
    fluid: float  # share of the inside that is clear fluid
    soft_mm: float  # over which the border turns from tendon to tear
    sag: float  # of the tendon's thickness that the bursa sinks into a full-thickness gap

    @classmethod
    def draw(
        cls, kind: str, random: np.random.Generator, thickness: float, recipe: ShoulderRecipe = USUAL_RECIPE
    ) -> Tear | None:
        """A tear of `kind` and a shape of `recipe`, or None for an intact tendon."""
        if kind == "intact":
            return None
        uniform, shapes = random.uniform, recipe.shapes[kind]
        shape = shapes[int(random.integers(len(shapes)))]
        start = uniform(1.2, 6.5) if kind == "full" else uniform(1.5, 8.0)
        rows, columns = (int((mm + 2 * MARGIN_MM) / TEXEL_MM) for mm in (thickness, LENGTH_MM))
        extent = Extent(-MARGIN_MM, -MARGIN_MM, columns, rows)
        limbs = LIMBS[shape](Draft(random, thickness, start))
        if kind == "bursal" and shape != "bursal lens":  # the others begin at the bone
            limbs = upside_down(limbs, thickness)
        ragged = uniform(0.25, 0.75)
        field = depth_inside(limbs, extent, ragged, random)
        field = _few_parts(np.minimum(field, _own_side(kind, thickness, extent, random)))
        width = uniform(5.0, 7.0) if uniform() < 0.1 else uniform(9.0, 20.0)
        return cls(
            kind=kind,
            shape=shape,
            thickness=thickness,
            extent=extent,
            field=field,
            most=float(field.max()),
            width=width,
            fall_db=uniform(*recipe.fall_db),
            debris_db=uniform(4.0, 9.0),
            strands_db=uniform(4.0, 12.0) if uniform() < 0.4 else 0.0,
            fluid=uniform(0.2, 0.8) if uniform() < 0.7 else 0.0,
            soft_mm=uniform(0.5, 1.1) if shape == "cloud" else uniform(0.12, 0.5),
            sag=uniform(0.0, 0.4) if kind == "full" and shape == "gap" else 0.0,
        )

    def openness(self, elevation: float) -> float:
        """1 in the tear's middle plane, 0 where it ends: an ellipse across the plane."""
        return float(np.sqrt(max(0.0, 1.0 - (2 * elevation / self.width) ** 2)))

    def inside_mm(self, s: Floats, u: Floats, openness: float) -> Floats:
        """How deep points (s (columns,), u (rows, columns)) lie inside the tear, mm; below 0 outside of it.

        Where the probe leaves the middle plane, the thin parts close first.
        """
        column = ((s - self.extent.s) * np.float32(1 / TEXEL_MM)).astype(np.int32)
        row = ((u * np.float32(self.thickness) - self.extent.v) * np.float32(1 / TEXEL_MM)).astype(np.int32)
        known = (column >= 0) & (column < self.extent.columns)
        np.clip(column, 0, self.extent.columns - 1, out=column)
        np.clip(row, 0, self.extent.rows - 1, out=row)
        found = self.field.take(row * self.extent.columns + column)
        inside = known & (s > 0.2) & (u >= 0) & (u < 1)
        return np.where(inside, found - np.float32((1 - openness) * self.most), np.float32(-9.0))

    def region(self, s: Floats, u: Floats, openness: float) -> NDArray[np.bool_]:
        """Which points are torn; the same field draws picture and mask."""
        if openness <= 0.05:
            return np.zeros(np.broadcast_shapes(s.shape, u.shape), np.bool_)
        return self.inside_mm(s, u, openness) > 0

    def share(self, s: Floats, u: Floats, openness: float) -> Floats:
        """How much of a point is torn, 0..1: a border that is as soft as the fibres are frayed."""
        if openness <= 0.05:
            return np.zeros(np.broadcast_shapes(s.shape, u.shape), np.float32)
        return smoothstep(self.inside_mm(s, u, openness), -0.5 * self.soft_mm, 0.5 * self.soft_mm)

    def middle(self) -> tuple[float, float]:
        """(s, u) of the torn points' centre in the middle plane."""
        rows, columns = np.nonzero(self.field > 0)
        if not rows.size:
            return LENGTH_MM / 4, 0.5
        s, v = self.extent.s + TEXEL_MM * columns.mean(), self.extent.v + TEXEL_MM * rows.mean()
        return float(s), float(np.clip(v / self.thickness, 0, 1))

    def span(self) -> tuple[float, float]:
        """Where the tear starts and ends in s (mm), in the middle plane."""
        columns = np.flatnonzero((self.field > 0).any(0))
        if not columns.size:
            return LENGTH_MM / 4, LENGTH_MM / 4
        return self.extent.s + TEXEL_MM * float(columns[0]), self.extent.s + TEXEL_MM * float(columns[-1])


def _own_side(kind: str, thickness: float, extent: Extent, random: np.random.Generator) -> Floats:
    """How deep (mm) a point lies in the part of the tendon that `kind` may tear, (rows over v, 1).

    A partial tear leaves fibres on the other side, one within the tendon on both.
    """
    v = (extent.v + TEXEL_MM * np.arange(extent.rows, dtype=np.float32))[:, None]
    left = np.float32(thickness * random.uniform(0.12, 0.4))
    if kind == "articular":
        return v - left
    if kind == "bursal":
        return np.float32(thickness) - left - v
    if kind == "intratendinous":
        return np.minimum(v - 0.4 * left, np.float32(thickness) - 0.4 * left - v)
    return np.full_like(v, np.inf)


def _few_parts(field: Floats) -> Floats:
    """The field with its specks closed: parts of less than a quarter of the largest."""
    labels, count = label(field > 0)  # type: ignore[misc]
    if count < 2:
        return field
    sizes = np.bincount(labels.ravel())[1:]
    specks = np.isin(labels, 1 + np.flatnonzero(sizes < 0.25 * sizes.max()))
    return np.where(specks, np.float32(-0.2), field)
