"""A tear's shape as limbs: thick lines in the tendon, joined, bent and roughened by smooth noise.

Where a torn tendon has come apart is seldom one smooth hole. Each shape is a handful of limbs, a limb is a line with a
radius at each of its points, and the shape's field says for every point of the tendon how many mm it lies inside
(above 0) or outside. One field gives the exact mask, the softness of the border, and how the tear closes where the
probe leaves its middle.

s runs along the tendon from the lateral tip of its footprint, v across it, from the bursal side (0) to the articular
side (the tendon's thickness), both in mm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import fft

from .textures import Floats

TEXEL_MM = 0.08
MARGIN_MM = 1.0  # of the field beyond both sides of the tendon
Random = np.random.Generator


class Limb(NamedTuple):
    """A line of points (s, v) in mm with a radius (mm) at each."""

    s: list[float]
    v: list[float]
    radius: list[float]


class Extent(NamedTuple):
    """Where a field lies: its first s and v (mm) and its size in texels."""

    s: float
    v: float
    columns: int
    rows: int


class Draft(NamedTuple):
    """What a shape is given: the tendon's thickness, and where along it the tear's lateral end lies (mm)."""

    random: Random
    thickness: float
    start: float


def _gap(draft: Draft) -> list[Limb]:
    """A full-thickness gap with a retracted, bowed stump."""
    random, thick, start = draft
    length = random.uniform(5.0, 14.0)
    ends = start + random.uniform(-0.8, 0.8, 3), start + length * random.uniform(0.75, 1.15, 3)
    heights = np.array([0.0, 0.5, 1.0]) * thick
    limbs = []
    for left, right, v in zip(*ends, heights, strict=True):
        limbs.append(Limb([left, right], [float(v)] * 2, [thick * random.uniform(0.3, 0.42) for _ in range(2)]))
    return limbs


def _cleft(draft: Draft) -> list[Limb]:
    """A narrow cleft through the whole tendon, slanting."""
    random, thick, start = draft
    s = start + np.cumsum(random.normal(0, 0.9, 4)) + random.uniform(-3, 3) * np.linspace(0, 1, 4)
    v = np.linspace(-0.3, thick + 0.3, 4)
    return [Limb(s.tolist(), v.tolist(), random.uniform(0.8, 2.1, 4).tolist())]


def _tee(draft: Draft) -> list[Limb]:
    """A cleft that runs on along the bone or beneath the bursa: a T or an L."""
    random, thick, start = draft
    at = start + random.uniform(0.5, 3)
    foot = thick * (random.uniform(0.75, 0.95) if random.random() < 0.7 else random.uniform(0.05, 0.2))
    left, right = random.uniform(0.0, 5.0), random.uniform(3.0, 11.0)
    width = random.uniform(0.7, 1.5)
    upright = Limb([at + random.normal(0, 0.8), at], [thick - foot, foot], [width, random.uniform(0.8, 1.7)])
    along = Limb(
        [at - left, at, at + right],
        (foot + random.normal(0, 0.3, 3)).tolist(),
        [random.uniform(0.4, 1.0), random.uniform(0.9, 1.7), random.uniform(0.4, 1.1)],
    )
    return [upright, along]


def _wedge(draft: Draft) -> list[Limb]:
    """A thin wedge along the bone, thickest at one end."""
    random, thick, start = draft
    length = random.uniform(6.0, 15.0)
    s = start + length * np.linspace(0, 1, 5)
    thickest = random.uniform(1.3, 2.6)
    radius = thickest * np.linspace(1, random.uniform(0.1, 0.4), 5)
    v = thick - 0.5 * radius + random.normal(0, 0.25, 5)
    if random.random() < 0.3:
        radius = radius[::-1]
    return [Limb(s.tolist(), v.tolist(), radius.tolist())]


def _lens(draft: Draft, v: float | None = None) -> list[Limb]:
    """A flat, lens-shaped gap."""
    random, thick, start = draft
    length, middle = random.uniform(6.0, 13.0), thick * random.uniform(0.35, 0.7) if v is None else v
    along = np.linspace(0, 1, 7)
    bow = random.uniform(-0.7, 0.7) * 4 * along * (1 - along)
    radius = random.uniform(1.0, 2.0) * np.sqrt(np.maximum(4 * along * (1 - along), 0.04))
    return [Limb((start + length * along).tolist(), (middle + bow).tolist(), radius.tolist())]


def _fan(draft: Draft) -> list[Limb]:
    """Branches that spread from one point."""
    random, thick, start = draft
    root = start, thick * random.uniform(0.5, 1.0)
    limbs = []
    for angle in random.uniform(-1.2, 1.2, int(random.integers(3, 6))):
        reach = random.uniform(4.0, 11.0) * (0.5 + 0.5 * np.cos(angle))
        bend = angle + random.normal(0, 0.4)
        s = [root[0], root[0] + 0.5 * reach * np.cos(angle), root[0] + reach * np.cos(bend)]
        v = [root[1], root[1] - 0.5 * reach * np.sin(angle), root[1] - reach * np.sin(bend)]
        limbs.append(Limb(s, v, [random.uniform(0.9, 1.6), random.uniform(0.6, 1.3), random.uniform(0.3, 0.8)]))
    return limbs


def _delamination(draft: Draft) -> list[Limb]:
    """One or two long, thin splits between the tendon's layers."""
    random, thick, start = draft
    limbs = []
    for _ in range(int(random.integers(1, 3))):
        length, middle = random.uniform(6.0, 15.0), thick * random.uniform(0.3, 0.8)
        s = start + random.uniform(0, 3) + length * np.linspace(0, 1, 5)
        v = middle + np.cumsum(random.normal(0, 0.3, 5))
        limbs.append(Limb(s.tolist(), v.tolist(), random.uniform(0.5, 1.2, 5).tolist()))
    return limbs


def _cloud(draft: Draft) -> list[Limb]:
    """A heap of round spots that run into each other."""
    random, thick, start = draft
    spots = int(random.integers(4, 9))
    s = start + random.uniform(0.0, random.uniform(5.0, 11.0), spots)
    v = thick * np.clip(random.normal(random.uniform(0.4, 0.75), 0.2, spots), 0.05, 0.95)
    return [Limb([a], [b], [r]) for a, b, r in zip(s, v, random.uniform(0.9, 2.2, spots), strict=True)]


def _articular_lens(draft: Draft) -> list[Limb]:
    return _lens(draft, draft.thickness * draft.random.uniform(0.75, 1.0))


def _bursal_lens(draft: Draft) -> list[Limb]:
    return _lens(draft, draft.thickness * draft.random.uniform(0.0, 0.25))


def _hook(draft: Draft) -> list[Limb]:
    """Held out of training: a curve that turns back on itself."""
    random, thick, start = draft
    turn = np.linspace(0, random.uniform(2.6, 4.2), 9)
    radius = random.uniform(0.4, 0.5) * thick
    s = start + 3 + radius * np.cos(turn + random.uniform(0, 6)) * random.uniform(1.0, 1.8)
    v = 0.55 * thick + radius * np.sin(turn)
    return [Limb(s.tolist(), v.tolist(), random.uniform(0.5, 1.2, 9).tolist())]


def _steps(draft: Draft) -> list[Limb]:
    """Held out of training: a staircase through the layers."""
    random, thick, start = draft
    count = int(random.integers(3, 5))
    s, v = [start], [thick]
    for n in range(1, count + 1):
        s += [s[-1] + random.uniform(1.2, 3.0)] * 2
        v += [v[-1], thick * (1 - n / count)]
    return [Limb(s, v, random.uniform(0.45, 1.1, len(s)).tolist())]


def _scattered(draft: Draft) -> list[Limb]:
    """Held out of training: two or three separate holes."""
    random, thick, start = draft
    limbs = []
    for n in range(int(random.integers(2, 4))):
        at, v = start + 5.0 * n + random.uniform(0, 1.5), thick * random.uniform(0.15, 0.9)
        limbs.append(Limb([at, at + random.uniform(0.8, 2.5)], [v, v], random.uniform(0.7, 1.7, 2).tolist()))
    return limbs


LIMBS: dict[str, Callable[[Draft], list[Limb]]] = {
    "gap": _gap, "cleft": _cleft, "tee": _tee, "wedge": _wedge, "lens": _lens, "articular lens": _articular_lens,
    "bursal lens": _bursal_lens, "fan": _fan, "delamination": _delamination, "cloud": _cloud,
    "hook": _hook, "steps": _steps, "scattered": _scattered,
}  # fmt: skip


def upside_down(limbs: list[Limb], thickness: float) -> list[Limb]:
    """The limbs with bursal and articular side exchanged."""
    return [limb._replace(v=[thickness - v for v in limb.v]) for limb in limbs]


def depth_inside(limbs: list[Limb], extent: Extent, ragged_mm: float, random: Random) -> Floats:
    """mm inside (above 0) or outside the limbs, roughened (rows over v, columns over s), float32."""
    s = extent.s + TEXEL_MM * np.arange(extent.columns, dtype=np.float32)
    v = extent.v + TEXEL_MM * np.arange(extent.rows, dtype=np.float32)
    shape = (extent.rows, extent.columns)
    coarse = ragged_mm * 1.3
    bent_s = s + coarse * _noise(random, shape, 1.6)
    bent_v = v[:, None] + 0.6 * coarse * _noise(random, shape, 1.6)
    field = np.full(shape, -np.inf, np.float32)
    for limb in limbs:
        np.maximum(field, _inside(limb, bent_s, bent_v), out=field)
    return field + np.float32(0.55 * ragged_mm) * _noise(random, shape, 0.35)


def _inside(limb: Limb, s: Floats, v: Floats) -> Floats:
    """The radius at the nearest point of a limb, less the distance to it."""
    best = np.full(s.shape, -np.inf, np.float32)
    ends = list(zip(limb.s, limb.v, limb.radius, strict=True))
    for (s0, v0, r0), (s1, v1, r1) in zip(ends, ends[1:] or ends, strict=False):
        ds, dv = s1 - s0, v1 - v0
        along = np.clip(((s - s0) * ds + (v - v0) * dv) / max(ds * ds + dv * dv, 1e-9), 0, 1)
        away = np.hypot(s - s0 - along * ds, v - v0 - along * dv)
        np.maximum(best, r0 + (r1 - r0) * along - away, out=best)
    return best


def _noise(random: Random, shape: tuple[int, int], sigma_mm: float) -> Floats:
    """Smooth noise of unit variance, correlated over `sigma_mm`."""
    spectrum = np.asarray(fft.rfft2(random.standard_normal(shape, np.float32)))
    down, along = fft.fftfreq(shape[0]), fft.rfftfreq(shape[1])
    reach = 2 * np.pi * sigma_mm / TEXEL_MM
    spectrum *= np.exp(-0.5 * reach**2 * (down[:, None] ** 2 + along**2)).astype(np.float32)
    field = np.asarray(fft.irfft2(spectrum, shape))
    return ((field - field.mean()) / field.std()).astype(np.float32)
