"""The beam: what tissue takes away, what bone hides, and how far one scatterer spreads."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d

from ..body.findings import Findings
from ..body.textures import Floats, smoothstep
from ..body.view import TissueView
from .scanner import Scanner, loss_db

REACH = 2.5  # sigmas after which the beam is nothing


def attenuation_db(view: TissueView, alpha: Floats, scanner: Scanner, findings: Findings) -> Floats:
    """dB lost on the way there and back (rows, columns), less time-gain compensation.

    Fluid takes little: that what lies behind it looks brighter emerges here.
    """
    step = float(view.depth[1] - view.depth[0])
    per_row = loss_db(findings.excess_loss, scanner.frequency_mhz) * step
    lost = np.cumsum(alpha, axis=0)
    lost *= np.float32(per_row)
    lost = uniform_filter1d(lost, 9, axis=1)
    gain = scanner.gain_over_depth_db(view.depth)
    lost += (findings.shading_db * smoothstep(view.depth, 1.0, 9.0))[:, None] * view.surfaces.shading
    lost += 3.5 * (2 * view.x / scanner.width_mm) ** 8 - gain[:, None]
    return lost


def hidden_db(view: TissueView, findings: Findings) -> Floats:
    """dB that shadows take (rows, columns): a lost side, a place without gel, a calcification."""
    hidden = np.zeros((view.depth.size, view.x.size), np.float32)
    side = findings.side_shadow
    if side is not None:
        reach = side.side * view.x + np.float32(side.tilt) * (view.depth[:, None] - 15)
        across = smoothstep(reach, side.edge_mm - side.soft_mm, side.edge_mm + side.soft_mm)
        hidden += side.decibels * smoothstep(view.depth, side.from_mm - 2, side.from_mm + 2)[:, None] * across
    if findings.dropout is not None:
        x, half, decibels = findings.dropout
        hidden += decibels * np.exp(-(((view.x - x) / half) ** 4))
    _deposit_shadow(hidden, view, findings)
    return hidden


def bone_shadow_db(view: TissueView) -> tuple[slice, Floats]:
    """The rows below bone, and there 20 dB + 3 dB/mm behind its surface (rows, columns)."""
    bone = view.surfaces.bone
    rows = view.rows_between(bone, view.tissue[-1:] + 1)
    behind = view.tissue[rows, None] - bone
    return rows, (behind > 0.3) * (20 + 3 * behind)


def _deposit_shadow(lost: Floats, view: TissueView, findings: Findings) -> None:
    if findings.calcification is None:
        return
    s, u, half = findings.calcification
    surfaces = view.surfaces
    hidden = findings.calcification_shadow_db * (1 - smoothstep(np.abs(surfaces.s - s), 0.5 * half, half + 0.9))
    start = surfaces.tendon + u * (surfaces.cartilage - surfaces.tendon) + 0.4
    rows = view.rows_between(start, view.tissue[-1:] + 1)
    lost[rows] += hidden * smoothstep(view.tissue[rows, None] - start, 0.0, 1.5)


class PointSpread:
    """The point-spread function as two short kernels, the lateral one different at each depth."""

    def __init__(self, scanner: Scanner, depth: Floats, column_mm: float) -> None:
        row_mm = float(depth[1] - depth[0])
        self._sigma = scanner.lateral_sigma_mm(depth) / np.float32(column_mm)  # (rows,) columns
        self.pad = int(np.ceil(REACH * float(self._sigma.max()))) + 1
        self._axial = _gaussian(max(scanner.axial_sigma_mm / row_mm, 0.45))

    def lateral(self, field: Floats, shift: float) -> Floats:
        """Blur (channels, rows, columns + 2 pad) to (channels, rows, columns), `shift` columns to the right.

        The tissue's columns move with the tissue; the beams are where they are: the part of a
        column between them is made up here, so that the picture slides smoothly.
        """
        columns = field.shape[2] - 2 * self.pad
        taps = np.arange(-self.pad, self.pad + 1, dtype=np.float32) - np.float32(shift)
        weights = np.exp(-0.5 * (taps / self._sigma[:, None]) ** 2)
        weights /= weights.sum(axis=1, keepdims=True)
        out = np.zeros((*field.shape[:2], columns), np.float32)
        part = np.empty_like(out)
        for tap in range(2 * self.pad + 1):
            weight = weights[:, tap]
            for rows in _runs(weight > 0.004):
                product = part[:, rows]
                np.multiply(field[:, rows, tap : tap + columns], weight[rows, None], out=product)
                out[:, rows] += product
        return out

    def axial(self, field: Floats) -> Floats:
        """Blur (channels, rows, columns) in depth."""
        out = field * self._axial[0]
        for tap, weight in enumerate(self._axial[1:], 1):
            side = field * weight
            out[:, tap:] += side[:, :-tap]
            out[:, :-tap] += side[:, tap:]
        return out


def _gaussian(sigma: float) -> list[np.float32]:
    """The right half of a Gaussian of unit sum, its middle first."""
    half = np.exp(-0.5 * (np.arange(int(np.ceil(2.8 * sigma)) + 1) / sigma) ** 2)
    return [np.float32(value) for value in half / (half[0] + 2 * half[1:].sum())]


def _runs(wanted: np.ndarray) -> list[slice]:
    """The unbroken runs of True in `wanted`."""
    edges = np.flatnonzero(np.diff(np.r_[False, wanted, False].astype(np.int8)))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
