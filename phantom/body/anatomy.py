"""The shoulder's surfaces as curves over world x (mm), depth down (mm).

Long axis of the supraspinatus, medial to lateral: humeral head, cartilage, tendon down to its footprint on the greater
tuberosity, bursa, peribursal fat, deltoid, fat, skin. Short axis: the round head under a cuff of even thickness, which
ends at the rotator interval, with the biceps tendon beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from .findings import Findings
from .tear import Tear
from .textures import Floats, rough, smoothstep

HALF_WIDTH = 51.2
POINTS = 2048
STEP = 2 * HALF_WIDTH / POINTS
Curve = NDArray[np.float64]


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


@dataclass(frozen=True)
class Build:
    """One person's measures (mm) and the plane the probe lies in."""

    long_axis: bool
    radius: float  # of the humeral head
    centre: float  # its world x
    apex: float  # depth of its highest point
    thickness: float  # of the tendon
    pennation: float  # of the deltoid's fibres, radians

    @classmethod
    def draw(cls, random: np.random.Generator, depth_mm: float) -> Build:
        """Measures that fit into a picture of `depth_mm`."""
        uniform, long_axis = random.uniform, random.random() < 0.72
        return cls(
            long_axis=long_axis,
            radius=uniform(19.0, 27.0),
            centre=uniform(-10.0, -4.0) if long_axis else uniform(-7.0, 4.0),
            apex=float(np.clip(depth_mm * uniform(0.36, 0.58), 10.0, 24.0)),
            thickness=uniform(4.2, 7.2),
            pennation=float(np.deg2rad(uniform(2, 14) * (1 if random.random() < 0.8 else -1))),
        )


class Anatomy:
    """One person's surfaces; `columns` looks them up wherever the probe is."""

    def __init__(self, random: np.random.Generator, build: Build, tear: Tear | None, findings: Findings) -> None:
        uniform = random.uniform
        x = np.linspace(-HALF_WIDTH, HALF_WIDTH, POINTS, endpoint=False)
        grain, wander, shading = (rough(random, POINTS, mm / STEP) for mm in (0.31, 1.35, 2.0))
        relief = 0.12 * (0.25 * grain + 1.2 * wander)
        self.build = build
        outline = _long_axis if build.long_axis else _short_axis
        bone, tendon, s, cartilage_ends = outline(random, x, build, relief)
        bone = bone + _pits(random, x, float(np.interp(0.0, -s, x)), findings.pits)
        tendon = np.minimum(tendon, bone - 0.05)
        cartilage = findings.cartilage_mm * (1 - smoothstep(x, cartilage_ends - 3, cartilage_ends - 0.2))
        cartilage = np.minimum(cartilage, np.maximum(bone - tendon - 0.3, 0))

        fluid = findings.effusion_mm * np.exp(-(((s - findings.effusion_at) / 8) ** 2))
        bursa = tendon - uniform(0.3, 0.9) - fluid
        peribursal = bursa - uniform(0.5, 1.4) * (1 + 0.22 * wander)
        skin = np.full(POINTS, uniform(1.0, 1.8))
        fascia = np.minimum(skin + uniform(1.8, 5.0) + 0.25 * np.sin(x / 5), peribursal - 0.8)
        curves = (skin, fascia, peribursal, bursa, tendon, bone - cartilage, bone, s, shading, wander, grain)
        self._curves = np.stack(curves).astype(np.float32)
        self._x = x
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

    def place(self, s: float, u: float) -> tuple[float, float]:
        """World x and depth (mm) of a point of the tendon."""
        curves = Columns(*self._curves)
        n = int(np.argmin(np.abs(curves.s - s)))
        return float(self._x[n]), float(curves.tendon[n] + u * (curves.cartilage[n] - curves.tendon[n]))


def _circle(x: Curve, centre: float, depth: float, radius: float) -> Curve:
    """The upper side of a circle whose centre lies `depth` deep."""
    return depth - np.sqrt(np.maximum(radius**2 - (x - centre) ** 2, 1.0))


def _long_axis(
    random: np.random.Generator, x: Curve, build: Build, relief: Floats
) -> tuple[Curve, Curve, Curve, float]:
    """Bone, tendon's upper side, s, and where the cartilage ends."""
    centre, radius, apex, uniform = build.centre, build.radius, build.apex, random.uniform
    ridge, ridge_depth = centre + radius * uniform(0.72, 0.84), apex + uniform(0.4, 3.2)
    head = _circle(x, centre, apex + radius, radius)
    tuberosity = _tuberosity(x - ridge, ridge_depth, uniform(0.6, 1.7))
    bone = -0.5 * np.logaddexp(-2 * head, -2 * tuberosity) + relief
    between = (x > centre) & (x < ridge)
    neck = float(x[np.argmin(np.where(between, np.abs(head - tuberosity), np.inf))])

    tip = ridge + uniform(3.5, 7.0)
    medial = np.linspace(-34, neck - 5, 9)
    over_head = _circle(medial, centre, apex + radius, radius + 1.0 + build.thickness)
    at_ridge, at_tip = np.interp([ridge, tip], x, bone)
    end = at_ridge - build.thickness * uniform(0.4, 0.75)
    spline = CubicSpline(np.r_[medial, ridge, tip], np.r_[over_head, end, at_tip - 0.05])
    tendon = np.where(x > tip, bone - 0.05, np.minimum(spline(x), bone - 0.05))
    return bone, tendon, _arc_from(x, (tendon + bone) / 2, tip), neck


def _short_axis(
    random: np.random.Generator, x: Curve, build: Build, relief: Floats
) -> tuple[Curve, Curve, Curve, float]:
    """The same across the tendon: it ends at the rotator interval, not in a footprint."""
    centre, radius, apex = build.centre, build.radius, build.apex
    bone = _circle(x, centre, apex + radius, radius) + relief
    edge = centre + random.uniform(7.0, 15.0)
    swell = 1 + 0.12 * rough(random, POINTS, 5.0 / STEP)
    over = radius + build.thickness * swell * (1 - 0.35 * smoothstep(x, edge - 2, edge + 3))
    tendon = apex + radius - np.sqrt(np.maximum(over**2 - (x - centre) ** 2, 1.0))
    return bone, tendon, _arc_from(x, (tendon + bone) / 2, edge), edge


def _arc_from(x: Curve, line: Curve, zero: float) -> Curve:
    """Length along `line` to the medial side of x = `zero` (mm)."""
    arc = np.cumsum(np.hypot(np.gradient(x), np.gradient(line)))
    return np.interp(zero, x, arc) - arc


def _tuberosity(from_ridge: Curve, depth: float, steep: float) -> Curve:
    medial = 3.2 * from_ridge**2
    lateral = 2.2 * from_ridge**2 + 0.10 * np.abs(from_ridge) ** 3
    return depth + 0.010 * steep * np.where(from_ridge < 0, medial, lateral)


def _pits(random: np.random.Generator, x: Curve, tip: float, count: int) -> Curve:
    """Pits and spurs of the cortex at the footprint (mm down)."""
    relief = np.zeros_like(x)
    for _ in range(count):
        at, wide = tip - random.uniform(-2.0, 13.0), random.uniform(0.3, 1.3)
        relief += random.uniform(-0.6, 1.1) * np.exp(-(((x - at) / wide) ** 2))
    return relief


def _sag(tear: Tear | None, s: Curve, thickness: Curve) -> Floats | None:
    """How deep the bursa sinks into an open tear (mm)."""
    if tear is None or tear.sag == 0:
        return None
    start, end = tear.span()
    middle, half = (start + end) / 2, max((end - start) / 2, 0.5)
    return (tear.sag * thickness * np.exp(-(((s - middle) / (1.1 * half)) ** 4))).astype(np.float32)
