"""Tears as exact regions of the tendon's own coordinates.

s: mm along the tendon from the lateral tip of its footprint; u: depth in the tendon, 0 at its
bursal and 1 at its articular side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .scanner import Floats
from .textures import rough

KINDS = ("intact", "full", "articular", "intact", "bursal", "intratendinous")
EDGE_PER_MM = 12.0  # texels of the ragged edge


def kind_of(seed: int) -> str:
    """The kind of shoulder that belongs to `seed`; every third is intact."""
    return KINDS[seed % len(KINDS)]


@dataclass(frozen=True)
class Tear:
    """One tear; depths between `bursal` and `articular` (in u) are torn, from `start` over `length` mm."""

    kind: str
    start: float
    length: float
    bursal: float
    articular: float
    width: float  # antero-posterior, mm: how far the probe may leave the plane before the tear is gone
    fill_db: float  # -33 debris ... -58 fluid
    debris_db: float  # how uneven the fill is
    strands_db: float  # how bright the fibres left in it are
    sag: float  # of the tendon's thickness that the bursa sinks into a full-thickness gap
    bow: float  # mm that the stump bulges
    edge: Floats  # ragged outline, unit variance, periodic
    ragged: float  # mm

    @classmethod
    def draw(cls, kind: str, random: np.random.Generator) -> Tear | None:
        """A tear of `kind`, or None for an intact tendon."""
        if kind == "intact":
            return None
        uniform = random.uniform
        edge = rough(random, 256, 4.0)
        width = uniform(4.2, 5.5) if uniform() < 0.1 else uniform(6.4, 14.0)
        common = {"kind": kind, "width": width, "debris_db": uniform(1.5, 5.0), "edge": edge}
        common["strands_db"] = uniform(4.0, 16.0) if uniform() < 0.5 else 0.0
        if kind == "full":
            return cls(
                start=uniform(0.8, 3.5), length=uniform(7.0, 17.0), bursal=0.0, articular=1.0,
                fill_db=uniform(-58.0, -38.0), sag=uniform(0.12, 0.5), bow=uniform(0.3, 1.6),
                ragged=uniform(0.25, 0.7), **common,
            )  # fmt: skip
        bursal, articular = {
            "articular": (uniform(0.38, 0.58), 1.0),
            "bursal": (0.0, uniform(0.42, 0.6)),
            "intratendinous": (uniform(0.24, 0.34), uniform(0.62, 0.74)),
        }[kind]
        return cls(
            start=uniform(2.5, 8.0), length=uniform(5.0, 11.0), bursal=bursal, articular=articular,
            fill_db=uniform(-56.0, -37.0), sag=uniform(0.0, 0.15) if kind == "bursal" else 0.0, bow=0.0,
            ragged=uniform(0.2, 0.6), **common,
        )  # fmt: skip

    def openness(self, elevation: float) -> float:
        """1 in the tear's middle plane, 0 where it ends: an ellipse across the plane."""
        return float(np.sqrt(max(0.0, 1.0 - (2 * elevation / self.width) ** 2)))

    def span(self, openness: float) -> tuple[float, float]:
        """Where the tear starts and ends in s (mm)."""
        if self.kind == "full":  # the stump comes back towards the footprint
            return self.start, self.start + self.length * openness
        lost = self.length * (1 - openness) / 2
        return self.start + lost, self.start + self.length - lost

    def region(self, s: Floats, u: Floats, openness: float) -> NDArray[np.bool_]:
        """Which points (s (columns,), u (rows, columns)) are torn; the same rule draws picture and mask."""
        if openness <= 0.05:
            return np.zeros(np.broadcast_shapes(s.shape, u.shape), np.bool_)
        start, end = self.span(openness)
        inside = (u >= 0) & (u < 1) & (s > 0.2)
        if self.kind == "full":
            ragged = self.ragged * self._edge_at(5.0 * u)
            stump = end + ragged - self.bow * (4 * (u - 0.5) ** 2 - 0.5)
            return inside & (s > start + 0.3 * ragged) & (s < stump)
        across = np.sqrt(np.clip(1 - ((s - (start + end) / 2) / ((end - start) / 2)) ** 2, 0, 1))
        across = across * np.sqrt(openness) + 0.08 * self.ragged * self._edge_at(s) * (across > 0)
        height = self.articular - self.bursal
        inside &= across > 0
        if self.kind == "articular":
            return inside & (u > self.articular - height * across)
        if self.kind == "bursal":
            return inside & (u < self.bursal + height * across)
        middle = self.bursal + height / 2 + 0.04 * self._edge_at(0.5 * s + 9)
        return inside & (np.abs(u - middle) < height / 2 * across)

    def _edge_at(self, mm: Floats) -> Floats:
        at = (mm * np.float32(EDGE_PER_MM) + np.float32(1 << 12)).astype(np.int32)
        return self.edge.take(at & (self.edge.size - 1))
