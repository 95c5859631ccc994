"""How the examiner's hand moves the probe: smooth, and back where it began after one period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

PERIOD = 240  # frames in one loop


class Pose(NamedTuple):
    """Where the probe is, relative to the middle of its loop."""

    slide: float  # mm to the lateral side
    tilt: float  # heel-toe, radians
    press: float  # mm that the tissue above the bone is squeezed by
    elevation: float  # mm out of the tear's middle plane


class Wave(NamedTuple):
    """amplitude * sin(2 pi cycles t / PERIOD + phase): whole cycles, so that the loop closes."""

    amplitude: float
    cycles: int
    phase: float

    def at(self, t: float) -> float:
        return self.amplitude * float(np.sin(2 * np.pi * self.cycles * t / PERIOD + self.phase))


@dataclass(frozen=True)
class Motion:
    """A sum of sines for each way of moving."""

    slide: tuple[Wave, ...]
    tilt: tuple[Wave, ...]
    press: tuple[Wave, ...]
    elevation: tuple[Wave, ...]

    @classmethod
    def draw(cls, random: np.random.Generator) -> Motion:
        def waves(slow: tuple[float, float], cycles: int, tremor: float) -> tuple[Wave, ...]:
            return (
                Wave(random.uniform(*slow), cycles, random.uniform(0, 2 * np.pi)),
                Wave(
                    random.uniform(0.4, 1.0) * tremor,
                    int(random.integers(3, 6)),
                    random.uniform(0, 2 * np.pi),
                ),
            )

        return cls(
            slide=waves((1.6, 2.8), 2, 0.3),
            tilt=waves((0.02, 0.045), 1, 0.008),
            press=waves((0.15, 0.4), 3, 0.1),
            elevation=waves((1.3, 2.5), 2, 0.4),
        )

    def at(self, t: float) -> Pose:
        """The pose at `t` frames."""
        slide, tilt, press, elevation = (
            sum(wave.at(t) for wave in way) for way in (self.slide, self.tilt, self.press, self.elevation)
        )
        return Pose(slide, tilt, 0.5 + press, elevation)
