"""The shoulder's surfaces as curves over world x (mm, medial to lateral), depth down (mm).

Long axis of the supraspinatus: humeral head, cartilage, tendon down to its footprint on the
greater tuberosity, bursa, peribursal fat, deltoid, fat, skin.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from .findings import Findings
from .scanner import Floats
from .tear import Tear
from .textures import rough, smoothstep

HALF_WIDTH = 51.2
POINTS = 2048
STEP = 2 * HALF_WIDTH / POINTS


class Columns(NamedTuple):
    """Depth (mm) of every surface at each column, from the skin down, and the tendon's s there."""

    skin: Floats
    fascia: Floats
    peribursal: Floats
    bursa: Floats
    tendon: Floats
    cartilage: Floats
    bone: Floats
    s: Floats
    shading: Floats  # unit-variance curves that wander over 2 mm,
    wander: Floats  # over 1.3 mm,
    grain: Floats  # and over 0.3 mm


class Anatomy:
    """One person's surfaces; `columns` looks them up wherever the probe is."""

    def __init__(self, random: np.random.Generator, tear: Tear | None, findings: Findings) -> None:
        uniform = random.uniform
        x = np.linspace(-HALF_WIDTH, HALF_WIDTH, POINTS, endpoint=False)
        grain, wander, shading = (rough(random, POINTS, mm / STEP) for mm in (0.31, 1.35, 2.0))
        radius, centre, apex = uniform(22, 25), uniform(-9, -5), uniform(17.2, 20.5)
        ridge, ridge_depth = uniform(11.5, 14), apex + uniform(0.6, 1.8)
        self.thickness = uniform(4.8, 6.2)
        self.pennation = np.deg2rad(uniform(6, 14))  # of the deltoid's fibres

        head = _circle(x, centre, apex + radius, radius)
        tuberosity = _tuberosity(x - ridge, ridge_depth)
        bone = -0.5 * np.logaddexp(-2 * head, -2 * tuberosity) + 0.12 * (0.25 * grain + 1.2 * wander)
        between = (x > centre) & (x < ridge)
        neck = x[np.argmin(np.where(between, np.abs(head - tuberosity), np.inf))]
        cartilage = findings.cartilage_mm * (1 - smoothstep(x, neck - 3, neck - 0.2))

        tip = ridge + 5.2
        medial = np.linspace(-34, neck - 5, 9)
        over_head = _circle(medial, centre, apex + radius, radius + 1.0 + self.thickness)
        at_ridge, at_tip = np.interp([ridge, tip], x, bone)
        spline = CubicSpline(np.r_[medial, ridge, tip], np.r_[over_head, at_ridge - 2.6, at_tip - 0.05])
        tendon = np.where(x > tip, bone - 0.05, np.minimum(spline(x), bone - 0.05))
        arc = np.cumsum(np.hypot(np.gradient(x), np.gradient((tendon + bone) / 2)))
        s = np.interp(tip, x, arc) - arc

        fluid = findings.effusion_mm * np.exp(-(((s - findings.effusion_at) / 8) ** 2))
        bursa = tendon - uniform(0.4, 0.9) - fluid
        peribursal = bursa - uniform(0.6, 1.1) * (1 + 0.22 * wander)
        skin = np.full(POINTS, uniform(1.1, 1.6))
        fascia = np.minimum(skin + uniform(2.6, 5.0) + 0.25 * np.sin(x / 5), peribursal - 0.8)
        curves = (skin, fascia, peribursal, bursa, tendon, bone - cartilage, bone, s, shading, wander, grain)
        self._curves = np.stack(curves).astype(np.float32)
        self._sag = _sag(tear, s, bone - tendon)

    def columns(self, x: Floats, openness: float) -> Columns:
        """The surfaces at world x (columns,); `openness` of the tear lets the bursa sink into it."""
        at = np.clip((x + HALF_WIDTH) / STEP, 0, POINTS - 2)
        whole = at.astype(np.int32)
        part = (at - whole).astype(np.float32)
        left, right = self._curves[:, whole], self._curves[:, whole + 1]
        curves = Columns(*(left + (right - left) * part))
        if self._sag is None:
            return curves
        sag = openness * self._sag[whole]
        return curves._replace(
            tendon=curves.tendon + sag, bursa=curves.bursa + sag, peribursal=curves.peribursal + 0.8 * sag
        )


def _circle(x: NDArray[np.float64], centre: float, depth: float, radius: float) -> NDArray[np.float64]:
    """The upper side of a circle whose centre lies `depth` deep."""
    return depth - np.sqrt(np.maximum(radius**2 - (x - centre) ** 2, 1.0))


def _tuberosity(from_ridge: NDArray[np.float64], depth: float) -> NDArray[np.float64]:
    medial = 3.2 * from_ridge**2
    lateral = 2.2 * from_ridge**2 + 0.10 * np.abs(from_ridge) ** 3
    return depth + 0.010 * np.where(from_ridge < 0, medial, lateral)


def _sag(tear: Tear | None, s: NDArray[np.float64], thickness: NDArray[np.float64]) -> Floats | None:
    """How deep the bursa sinks into an open tear (mm)."""
    if tear is None or tear.sag == 0:
        return None
    middle, half = tear.start + tear.length / 2, tear.length / 2
    return (tear.sag * thickness * np.exp(-(((s - middle) / (1.1 * half)) ** 4))).astype(np.float32)
