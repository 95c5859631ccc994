"""The scanner's settings, and what they say about its pulse and beam."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..body.textures import Floats, smoothstep
from ..recipes import USUAL_RECIPE, ShoulderRecipe

SOUND_MM_PER_US = 1.54
FWHM = 2.355  # full width at half maximum of a Gaussian, in its sigmas


@dataclass(frozen=True)
class Scanner:
    """What the examiner sets, and what differs between machines."""

    depth_mm: float = 36.0
    width_mm: float = 38.0
    frequency_mhz: float = 9.0
    dynamic_range_db: float = 58.0
    gain_db: float = 0.0
    noise_db: float = -84.0  # electronic noise before time-gain compensation
    looks: int = 2  # independent pictures averaged into one (spatial compounding)
    focus_mm: float = 18.0
    grey_curve: float = 1.0  # exponent of the grey map; above 1 is darker
    s_curve: float = 0.0  # 0..1: how much steeper the grey map is in its middle
    smoothing_mm: float = 0.0  # sigma of the speckle reduction
    bandwidth: float = 0.55  # of the pulse, as a fraction of the frequency
    f_number: float = 2.2

    def __post_init__(self) -> None:
        if min(self.depth_mm, self.width_mm, self.frequency_mhz, self.dynamic_range_db, self.looks) <= 0:
            raise InputError(f"{self} cannot draw a picture; depth, width, frequency, range and looks must be > 0")

    @classmethod
    def of(cls, seed: int, recipe: ShoulderRecipe = USUAL_RECIPE) -> Scanner:
        """The settings that belong to `seed`: they vary as between real examinations."""
        random = np.random.default_rng((seed, 1))
        frequency = random.uniform(*recipe.frequency_mhz)
        depth = random.uniform(24.0, 50.0)
        return cls(
            depth_mm=round(depth, 1),
            width_mm=round(random.uniform(32.0, 46.0), 1),
            frequency_mhz=round(frequency, 2),
            dynamic_range_db=round(random.uniform(*recipe.dynamic_range_db), 1),
            gain_db=round(random.uniform(-5.0, 4.0), 1),
            noise_db=round(random.uniform(-92.0, -80.0) - 2.5 * (frequency - 9.0), 1),
            looks=int(random.choice([1, 1, 2, 2, 2, 3])),
            focus_mm=round(random.uniform(0.3, 0.6) * depth, 1),
            grey_curve=round(random.uniform(*recipe.grey_curve), 2),
            s_curve=round(random.uniform(*recipe.s_curve), 2),
            smoothing_mm=round(random.uniform(*recipe.smoothing_mm), 3),
        )

    @cached_property
    def grey_map(self) -> NDArray[np.uint8]:
        """What becomes of each grey value (256,)."""
        grey = np.arange(256, dtype=np.float32) / 255
        steep = (1 - self.s_curve) * grey + self.s_curve * smoothstep(grey, 0.0, 1.0)
        return np.rint(255 * steep**self.grey_curve).astype(np.uint8)

    @property
    def wavelength_mm(self) -> float:
        return SOUND_MM_PER_US / self.frequency_mhz

    @property
    def axial_sigma_mm(self) -> float:
        """Sigma of the pulse-echo envelope in depth: 0.5 c / (2 pi sigma_f)."""
        sigma_mhz = self.bandwidth * self.frequency_mhz / FWHM
        return 0.5 * SOUND_MM_PER_US / (2 * np.pi * sigma_mhz)

    def lateral_sigma_mm(self, depth: Floats) -> Floats:
        """Sigma of the two-way beam at `depth` (mm): narrowest at the focus."""
        narrowest = 0.9 * self.wavelength_mm * self.f_number / FWHM
        field_mm = 7.0 * self.wavelength_mm * self.f_number**2
        return narrowest * np.sqrt(1 + ((depth - self.focus_mm) / field_mm) ** 2)

    def gain_over_depth_db(self, depth: Floats) -> Floats:
        """Time-gain compensation: it assumes 0.68 dB/cm/MHz, there and back."""
        return loss_db(0.68, self.frequency_mhz) * depth


def loss_db(alpha: float, frequency_mhz: float) -> float:
    """Two-way loss in dB per mm for `alpha` in dB/cm/MHz.

    The .62 stands for the lower frequencies of the pulse, which reach deeper.
    """
    return 2 * alpha * frequency_mhz * 0.62 / 10
