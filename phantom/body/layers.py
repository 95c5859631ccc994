"""Tissue by tissue: how strongly it scatters (dB) and how much sound it takes away (dB/cm/MHz)."""

from __future__ import annotations

import numpy as np

from ..recipes import USUAL_RECIPE, ShoulderRecipe
from .anatomy import Build
from .findings import Findings
from .tear import Tear
from .textures import Floats, Texture, smoothstep
from .view import TissueView


class Canvas:
    """Backscatter and attenuation, painted from the skin down: a layer covers all below its surface."""

    def __init__(self, view: TissueView) -> None:
        self.view = view
        shape = (view.depth.size, view.x.size)
        self.backscatter = np.full(shape, -70.0, np.float32)
        self.alpha = np.full(shape, 0.6, np.float32)

    def paint(self, rows: slice, top: Floats, level: Floats | float, alpha: float) -> None:
        """Everything in `rows` below `top` (columns,)."""
        below = self.view.tissue[rows, None] >= top
        np.copyto(self.backscatter[rows], np.float32(level), where=below)
        np.copyto(self.alpha[rows], np.float32(alpha), where=below)


class Tissue:
    """The textures of one person's tissues, and how to paint them."""

    def __init__(
        self,
        random: np.random.Generator,
        build: Build,
        tear: Tear | None,
        findings: Findings,
        recipe: ShoulderRecipe = USUAL_RECIPE,
    ) -> None:
        self.tear, self.findings, self.build = tear, findings, build
        self.fibre = random.uniform(*recipe.fibre_mm)
        self.fine, self.coarse = (Texture(random, recipe.weave) for _ in range(2))

    def paint(self, view: TissueView, elevation: float) -> Canvas:
        """All layers of one view, `elevation` mm out of the tear's middle plane."""
        canvas = Canvas(view)
        self._superficial(canvas)
        self._deltoid(canvas)
        self._bursa(canvas)
        self._vessel(canvas)
        self._tendon(canvas, elevation)
        self._deposit(canvas)
        self._biceps(canvas)
        surfaces = view.surfaces
        rows = view.rows_between(surfaces.cartilage, surfaces.bone)
        canvas.paint(rows, surfaces.cartilage, self.findings.tendon_db - 20.0, 0.3)
        below = view.rows_between(surfaces.bone, view.tissue[-1:] + 1)
        canvas.paint(below, surfaces.bone, -62.0, 0.0)
        return canvas

    def _superficial(self, canvas: Canvas) -> None:
        view, surfaces = canvas.view, canvas.view.surfaces
        rows = view.rows_between(view.tissue[:1], surfaces.fascia)
        depth = view.tissue[rows, None] + view.offset
        skin = 3 * self.fine.sample(view.world, 2 * depth, (2.5, 0.12), 1) - 21
        canvas.paint(rows, np.full_like(view.x, -1.0), skin, 0.5)
        lobules = self.coarse.sample(view.world + 0.4 * depth, depth - 0.05 * view.world, (2.5, 0.12), 2)
        fat = 2.5 * self.fine.sample(view.world, depth, (1.0, 0.25), 3) + 14 * np.clip(lobules - 0.7, 0, 1.2) - 38
        canvas.paint(rows, surfaces.skin, fat, 0.6)

    def _deltoid(self, canvas: Canvas) -> None:
        view, surfaces = canvas.view, canvas.view.surfaces
        rows = view.rows_between(surfaces.fascia, surfaces.peribursal)
        depth = view.tissue[rows, None] + view.offset
        follow = depth - 0.35 * (surfaces.tendon + view.offset)
        cos, sin = np.float32(np.cos(self.build.pennation)), np.float32(np.sin(self.build.pennation))
        along, across = cos * view.world + sin * follow, cos * follow - sin * view.world
        fibres = self.fine.sample(along, across, (1.5 * self.fibre, 0.09), 4)
        level = 2.6 * fibres + self.findings.stria_db * np.clip(fibres - 0.9, 0, 1.6) + self.findings.deltoid_db
        # fasciae between the muscle's bundles: few, long and bright
        bundles = self.coarse.sample(along, across, (6.0, 0.28), 13)
        level += 1.3 * self.findings.stria_db * np.clip(bundles - 1.2, 0, 1.0)
        level += 3.2 * self.coarse.sample(view.world, depth, (6.0, 3.0), 5)
        canvas.paint(rows, surfaces.fascia, level, 0.75)

    def _bursa(self, canvas: Canvas) -> None:
        view, surfaces = canvas.view, canvas.view.surfaces
        rows = view.rows_between(surfaces.peribursal, surfaces.tendon)
        depth = view.tissue[rows, None] + view.offset
        fat = 3 * self.coarse.sample(4 * view.world, depth, (6.0, 3.0), 6) + self.findings.tendon_db + 7
        canvas.paint(rows, surfaces.peribursal, fat, 0.7)
        fluid = 1.5 * self.fine.sample(view.world, depth, (1.0, 0.25), 7) + self.findings.bursa_db
        canvas.paint(rows, surfaces.bursa, fluid, 0.1)

    def _tendon(self, canvas: Canvas, elevation: float) -> None:
        view, surfaces, findings = canvas.view, canvas.view.surfaces, self.findings
        rows = view.rows_between(surfaces.tendon, surfaces.bone)
        u, s = view.across(rows), surfaces.s
        across = np.float32(self.build.thickness) * u
        level = findings.fibre_db * self.fine.sample(s, across, (self.fibre, 0.07), 8)
        level += 2.8 * self.coarse.sample(s, across, (0.7, 0.05), 9)
        level += findings.patches_db * self.coarse.sample(s, across, (3.0, 1.6), 10)
        level -= 5 * smoothstep(u, 0.8, 1.0)
        level -= self._anisotropy(view, u)
        level -= findings.tendinosis_db * np.exp(-(((s - findings.tendinosis_at) / 4) ** 2))
        level += findings.tendon_db
        canvas.paint(rows, surfaces.tendon, level, 0.9)
        if self.tear is None:
            return
        filled = self._filled(s, u, elevation)
        fill = self._fill(self.tear, view, rows, across)
        canvas.backscatter[rows] += filled * (fill - level)
        canvas.alpha[rows] -= filled * np.float32(0.2 + 0.5 * self.tear.fluid)

    def _fill(self, tear: Tear, view: TissueView, rows: slice, across: Floats) -> Floats:
        """What a tear holds (dB): debris, clear fluid here and there, strands of fibres that are left."""
        depth, s = view.tissue[rows, None] + view.offset, view.surfaces.s
        debris = self.coarse.sample(view.world, depth, (0.8, 0.45), 11)
        fill = self.findings.tendon_db - tear.fall_db + tear.debris_db * (debris + np.clip(debris - 1.0, 0, 1.5))
        pools = self.coarse.sample(view.world, depth, (1.4, 0.8), 14)
        clear = smoothstep(pools, 1.1 - 2.4 * tear.fluid, 1.7 - 2.4 * tear.fluid) if tear.fluid else np.float32(0)
        fill -= clear * np.maximum(fill - (self.findings.tendon_db - 32), 0)
        strands = self.fine.sample(s - 0.5 * across, across, (2.0, 0.16), 12)
        return fill + tear.strands_db * np.clip(strands - 1.2, 0, 1)

    def _filled(self, s: Floats, u: Floats, elevation: float) -> Floats:
        """How much of the beam's slice is tear, 0 to 1.

        The slice is about 1 mm thick: part of it lies where the tear is smaller, which is why the ends of real tears
        are not clean.
        """
        assert self.tear is not None
        middle = self.tear.share(s, u, self.tear.openness(elevation))
        side = self.tear.share(s, u, self.tear.openness(abs(elevation) + 0.9))
        return np.float32(0.7) * middle + np.float32(0.3) * side

    def _anisotropy(self, view: TissueView, u: Floats) -> Floats:
        """dB lost where fibres do not lie square to the beam; they follow the nearer surface."""
        half = max(3, int(2.4 / abs(float(view.x[1] - view.x[0]))))
        box = np.ones(half, np.float32) / half
        edges = (half // 2, half - 1 - half // 2)
        top, bottom = (
            np.convolve(np.pad(view.slope(surface), edges, mode="edge"), box, "valid").astype(np.float32)
            for surface in (view.surfaces.tendon, view.surfaces.cartilage)
        )
        angle = top + np.clip(u, 0, 1) * (0.6 * (bottom - top)) - np.float32(self.findings.rocked)
        angle *= np.float32(1 / np.deg2rad(self.findings.anisotropy_degrees))
        return self.findings.anisotropy_db * (1 - np.exp(-angle * angle))

    def _deposit(self, canvas: Canvas) -> None:
        """A calcification: a bright bow in the tendon (its shadow is the beam's matter)."""
        if self.findings.calcification is None:
            return
        view, surfaces = canvas.view, canvas.view.surfaces
        s, u, half = self.findings.calcification
        rows = view.rows_between(surfaces.tendon, surfaces.cartilage)
        along = (surfaces.s - s) / half
        bow = np.abs(view.across(rows) - u - 0.12 * along**2) * self.build.thickness
        np.copyto(canvas.backscatter[rows], np.float32(-8.0), where=(np.abs(along) < 1) & (bow < 0.4))

    def _vessel(self, canvas: Canvas) -> None:
        """A dark vessel with a bright wall in the muscle."""
        vessel, view = self.findings.vessel, canvas.view
        if vessel is None:
            return
        surfaces = view.surfaces
        middle = surfaces.fascia + vessel.height * (surfaces.peribursal - surfaces.fascia)
        rows = view.rows_between(middle - vessel.radius_mm - 1, middle + vessel.radius_mm + 1)
        off = view.tissue[rows, None] - middle, (view.world - vessel.x) / vessel.length
        away = np.hypot(*off) - vessel.radius_mm
        np.copyto(canvas.backscatter[rows], np.float32(self.findings.deltoid_db + 8), where=np.abs(away) < 0.25)
        np.copyto(canvas.backscatter[rows], np.float32(-66.0), where=away <= -0.25)

    def _biceps(self, canvas: Canvas) -> None:
        """The biceps tendon in the short axis: a bright oval in a dark sheath, beyond the rotator interval."""
        if self.build.long_axis:
            return
        view, findings = canvas.view, self.findings
        half = findings.biceps_mm
        column = int(np.argmin(np.abs(view.surfaces.s + 1.5 * half)))
        middle = float(view.surfaces.bone[column]) - 0.75 * half
        rows = view.rows_between(np.full(1, middle - 6), np.full(1, middle + 6))
        away = np.hypot((view.tissue[rows, None] - middle) / 0.7, view.world - view.world[column]) - half
        dark = np.float32(findings.tendon_db - 18)
        np.copyto(canvas.backscatter[rows], dark, where=(away > 0) & (away < findings.sheath_mm + 0.3))
        fibrils = self.fine.sample(view.world, view.tissue[rows, None] + view.offset, (0.3, 0.2), 15)
        np.copyto(canvas.backscatter[rows], findings.tendon_db + 4 + 3 * fibrils, where=away <= 0)
