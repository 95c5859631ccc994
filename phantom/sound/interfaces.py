"""Specular echoes: smooth surfaces that answer the beam only where they face it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..body.findings import Findings
from ..body.tear import Tear
from ..body.textures import Floats, smoothstep
from ..body.view import TissueView

TO_NEPER = np.float32(np.log(10) / 20)  # dB -> natural logarithm of an amplitude


def amplitude(decibels: Floats | float) -> Floats:
    """dB -> amplitude."""
    return np.exp(np.float32(decibels) * TO_NEPER)


class Echoes:
    """Adds the surfaces' echoes to one picture, each within a narrow band of rows."""

    def __init__(self, view: TissueView) -> None:
        self.view = view
        self.step = float(view.depth[1] - view.depth[0])
        self.field = np.zeros((view.depth.size, view.x.size), np.float32)

    def add(
        self,
        surface: Floats,
        decibels: float,
        width: float,
        on: Floats | float = 1.0,
        facing_degrees: float = 18.0,
    ) -> None:
        """An echo `width` mm deep along `surface` (in terms of view.tissue), weakened with its slope."""
        view, rows = self.view, self.field.shape[0]
        angle = view.slope(surface) / np.float32(np.deg2rad(facing_degrees))
        which = int(17 * width * 100)  # every surface has its own unevenness
        uneven = 0.45 * np.roll(view.surfaces.wander, which) + 0.4 * np.roll(view.surfaces.shading, 3 * which)
        strength = amplitude(decibels) * np.exp(uneven) * np.maximum(np.exp(-angle * angle), 0.04) * on
        depth = np.interp(surface, view.tissue, view.depth, -1e3, 1e3) - (view.depth[0] - self.step / 2)
        reach = int(2.5 * width / self.step) + 1
        middle = np.floor(depth / self.step).astype(np.int64)
        band = middle + np.arange(-reach, reach + 1)[:, None]
        away = ((band + 0.5) * self.step - depth) / width
        echo = strength * np.exp(-away * away)
        echo[(band < 0) | (band >= rows)] = 0
        flat = np.clip(band, 0, rows - 1) * view.x.size + np.arange(view.x.size)
        np.add.at(self.field.ravel(), flat.ravel(), echo.astype(np.float32).ravel())


def echoes(view: TissueView, tear: Tear | None, findings: Findings, openness: float) -> Floats:
    """The amplitude of all specular echoes (rows, columns), before attenuation."""
    surfaces, out = view.surfaces, Echoes(view)
    on_tendon = (surfaces.s > 0).astype(np.float32)
    breaks = findings.cortex_breaks_db * np.clip(0.9 * surfaces.grain + 0.7 * surfaces.wander - 0.25, 0, 1.3)
    cortex = amplitude(-breaks)
    bright = findings.cortex_db
    out.add(surfaces.bone, bright, 0.13, cortex, 24.0)
    out.add(surfaces.bone + 0.25, bright - 9.0, 0.25, cortex, 34.0)
    if findings.reverberation_db > -60:  # again and again below the cortex, each weaker and wider
        for n in (1, 2, 3):
            down = n * findings.reverberation_mm
            out.add(surfaces.bone + down, findings.reverberation_db - 6.0 * (n - 1), 0.35 + 0.1 * n, cortex, 20.0)
    out.add(0.4 * surfaces.skin, -10.0, 0.16)
    out.add(surfaces.skin, -14.0, 0.13)
    out.add(surfaces.fascia, findings.bursa_line_db - 3.0, 0.14)
    out.add(surfaces.peribursal, findings.bursa_line_db - 4.0, 0.13)
    out.add(surfaces.bursa, findings.bursa_line_db, 0.12)
    out.add(surfaces.tendon, findings.bursa_line_db - 6.0, 0.10, on_tendon * ~torn_at(view, tear, 0.06, openness))
    over_cartilage = smoothstep(surfaces.bone - surfaces.cartilage, 0.2, 0.4)
    # fluid above cartilage makes its surface stand out: the cartilage interface sign
    out.add(
        surfaces.cartilage,
        findings.bursa_line_db - 12.0,
        0.09,
        over_cartilage * (1 + 5 * torn_at(view, tear, 0.93, openness)),
    )
    return out.field


def torn_at(view: TissueView, tear: Tear | None, u: float, openness: float) -> NDArray[np.bool_]:
    """Whether the tendon is torn at depth `u`, per column."""
    if tear is None:
        return np.zeros(view.x.size, np.bool_)
    return tear.region(view.surfaces.s, np.full(view.x.size, u, np.float32), openness)
