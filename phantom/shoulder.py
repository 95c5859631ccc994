"""The simulated shoulder: B-mode pictures of a moving probe, the tear's exact mask, exact millimetres."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .body.anatomy import Anatomy, Build
from .body.findings import Findings
from .body.layers import Tissue
from .body.motion import PERIOD, Motion, Pose
from .body.tear import KINDS, Tear, kind_of
from .body.textures import Floats
from .body.view import TissueView, tissue_view
from .overlay import calipers
from .recipes import USUAL_RECIPE, recipe_of
from .sound.beam import PointSpread, attenuation_db, bone_shadow_db, hidden_db
from .sound.interfaces import amplitude, echoes
from .sound.scanner import Scanner
from .sound.speckle import Scatterers, compress
from .window import Close, tendon_window, whole_window

PHANTOM_VERSION = 2  # goes up whenever the same seed would give other pixels
ECHO_GAIN = np.float32(3.0)
TISSUE_CLUTTER_DB = 9.0  # weaker above the bone, which throws most of it
HIDDEN_DB = 12.0  # of shadow, above which nobody could outline a tear


@dataclass(frozen=True)
class PhantomFrame:
    """One picture and its truth."""

    pixels: NDArray[np.uint8]  # (rows, columns)
    mask: NDArray[np.bool_]  # (rows, columns), the tear
    mm_per_pixel: tuple[float, float]  # (row, column)
    t: float  # frames since the start of the loop


class Phantom:
    """One person, one scanner, one way of moving the probe: all of it follows from `seed` and the recipe's name.

    `frame(t)` gives the same bytes for the same (seed, t), whatever was drawn before. `close` is how near the picture
    goes: None shows the whole sector, a `Close` a window about the tendon, at the same number of pixels.
    Raises ValueError for an unknown `kind` or `recipe`, or a picture smaller than 64 x 64.
    """

    period = PERIOD

    def __init__(
        self,
        seed: int,
        rows: int = 384,
        columns: int = 256,
        scanner: Scanner | None = None,
        kind: str | None = None,
        recipe: str = USUAL_RECIPE.name,
        close: Close | None = None,
    ) -> None:
        self.seed, self.rows, self.columns = seed, rows, columns
        self.kind = kind_of(seed) if kind is None else kind
        if self.kind not in KINDS:
            raise InputError(
                f"there is no kind of shoulder called {kind!r}; choose one of {', '.join(sorted(set(KINDS)))}"
            )
        if min(rows, columns) < 64:
            raise InputError(f"a phantom of {rows} x {columns} pixels is too small; ask for 64 x 64 or more")
        family = recipe_of(recipe)
        self.scanner = Scanner.of(seed, family) if scanner is None else scanner
        random = np.random.default_rng((seed, 2))
        self.motion = Motion.draw(random)
        build = Build.draw(random, self.scanner.depth_mm)
        self.tear = Tear.draw(self.kind, random, build.thickness, family)
        self.findings = Findings.draw(seed, self.tear, random)
        self.anatomy = Anatomy(random, build, self.tear, self.findings)
        self.tissue = Tissue(random, build, self.tear, self.findings, family)
        self._look(close)

    def seen(self, close: Close | None) -> Phantom:
        """The same person and scanner in another window; what both share is not made again."""
        other = copy(self)
        other._look(close)
        return other

    def _look(self, close: Close | None) -> None:
        whole = whole_window(self.scanner)
        self.window = whole if close is None else tendon_window(close, self.seed, whole, self.anatomy, self.tear)
        self._lay_out()

    def _lay_out(self) -> None:
        """Everything that depends on the window and the number of pixels."""
        window, rows, columns = self.window, self.rows, self.columns
        self.mm_per_pixel = window.depth / rows, window.width / columns
        self._depth = (window.top + (np.arange(rows) + 0.5) * self.mm_per_pixel[0]).astype(np.float32)
        self._spread = PointSpread(self.scanner, self._depth, self.mm_per_pixel[1])
        self._scatterers = Scatterers(self.seed, self.scanner.looks, rows, columns + 2 * self._spread.pad)
        tgc = self.scanner.gain_over_depth_db(self._depth)
        self._noise_level = (amplitude(tgc + self.scanner.noise_db) / np.sqrt(2))[:, None]
        self._haze = (amplitude(-16.0) * np.exp(-self._depth / 1.5))[:, None]  # reverberation near the probe

    def frame(self, t: float) -> PhantomFrame:
        """The picture at `t` frames (any number; it repeats with `period`) and its exact mask."""
        t = float(t) % self.period
        pose = self.motion.at(t)
        openness = 0.0 if self.tear is None else self.tear.openness(pose.elevation)
        pixels = self._picture(pose, openness, t)
        return PhantomFrame(pixels, self._mask(pose, openness), self.mm_per_pixel, t)

    def _x(self, columns: NDArray[np.integer], shift: float = 0.0) -> Floats:
        """mm from the middle of the picture for column numbers that may lie outside it."""
        return ((columns + 0.5 - shift) * self.mm_per_pixel[1] + self.window.left).astype(np.float32)

    def _picture(self, pose: Pose, openness: float, t: float) -> NDArray[np.uint8]:
        # Columns of scatterers stay with the tissue; the beams fall `shift` of a column beside them.
        slid = pose.slide / self.mm_per_pixel[1]
        whole = round(slid)
        shift, pad = slid - whole, self._spread.pad
        columns = np.arange(-pad, self.columns + pad)
        view = tissue_view(self.anatomy, pose, openness, self._depth, self._x(columns, shift))
        diffuse, coherent = self._echo_strength(view, openness, pose.elevation)
        field = self._scatterers.seen(view, whole, pose.elevation)
        field *= diffuse
        field[0::2] += coherent
        field = self._spread.lateral(field, shift)
        field += self._scatterers.noise(t, self.rows, self.columns) * self._noise_level
        field = self._spread.axial(field)
        pixels = compress(field, self.scanner, self.findings.brightness_db, self.mm_per_pixel[0])
        calipers(pixels, self.findings.calipers, self.seed)
        return pixels

    def _echo_strength(self, view: TissueView, openness: float, elevation: float) -> tuple[Floats, Floats]:
        """Amplitudes (rows, columns) of what scatters and of what reflects."""
        canvas, findings = self.tissue.paint(view, elevation), self.findings
        hidden = hidden_db(view, findings)
        lost = attenuation_db(view, canvas.alpha, self.scanner, findings) + hidden
        specular = echoes(view, self.tear, findings, openness) * amplitude(-lost)
        level = np.subtract(canvas.backscatter, lost, out=lost)
        rows, shadow = bone_shadow_db(view)
        level[rows] -= shadow
        diffuse = amplitude(level)
        diffuse += self._haze
        diffuse += amplitude(self._clutter_db(view) - 0.7 * hidden)
        diffuse += 0.6 * specular
        diffuse *= ECHO_GAIN / np.float32(np.sqrt(2))  # real and imaginary part each carry half
        specular *= ECHO_GAIN * np.float32(0.8)
        return diffuse, specular

    def _clutter_db(self, view: TissueView) -> Floats:
        """Haze of echoes that came back by other ways: cloudy, weaker with depth; it alone fills what bone hides."""
        depth = view.tissue[:, None] + view.offset
        clouds = 3 * self.tissue.coarse.sample(view.world, depth, (5.0, 1.6), 16)
        grains = 2 * self.tissue.fine.sample(view.world, depth, (0.9, 0.15), 17)
        fade = np.float32(self.findings.clutter_fade_db) * (view.depth[:, None] - np.float32(15.0))
        above = np.float32(TISSUE_CLUTTER_DB) * (view.tissue[:, None] < view.surfaces.bone)
        return np.float32(self.findings.clutter_db) + clouds + grains - fade - above

    def _mask(self, pose: Pose, openness: float) -> NDArray[np.bool_]:
        """The torn pixels, by the very rule that painted them."""
        mask = np.zeros((self.rows, self.columns), np.bool_)
        if self.tear is None:
            return mask
        view = tissue_view(self.anatomy, pose, openness, self._depth, self._x(np.arange(self.columns)))
        rows = view.rows_between(view.surfaces.tendon, view.surfaces.cartilage)
        mask[rows] = self.tear.region(view.surfaces.s, view.across(rows), openness)
        mask[rows] &= view.tissue[rows, None] < view.surfaces.cartilage  # where the tendon is thinner than a pixel
        mask[rows] &= hidden_db(view, self.findings)[rows] < HIDDEN_DB  # a shadow is never a tear
        return mask


def isotropic(frame: PhantomFrame, longest: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_], float]:
    """The picture with square pixels, its longest side `longest` pixels: (pixels, mask, mm per pixel)."""
    depth, width = (n * mm for n, mm in zip(frame.pixels.shape, frame.mm_per_pixel, strict=True))
    mm = max(depth, width) / longest
    return *resample(frame, max(1, round(depth / mm)), max(1, round(width / mm))), mm


def resample(frame: PhantomFrame, rows: int, columns: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Picture (linear) and mask (nearest) at another number of pixels, over the same millimetres."""
    y = (np.arange(rows) + 0.5) * (frame.pixels.shape[0] / rows) - 0.5
    x = (np.arange(columns) + 0.5) * (frame.pixels.shape[1] / columns) - 0.5
    pixels = _linear(_linear(frame.pixels.astype(np.float32), y).T, x).T
    row, column = (
        np.clip(np.rint(at), 0, size - 1).astype(int) for at, size in zip((y, x), frame.mask.shape, strict=True)
    )
    return np.rint(pixels).astype(np.uint8), frame.mask[row[:, None], column]


def _linear(image: Floats, at: NDArray[np.float64]) -> Floats:
    """Rows of `image` at fractional positions, by linear interpolation."""
    at = np.clip(at, 0, image.shape[0] - 1)
    whole = np.minimum(at.astype(int), image.shape[0] - 2)
    part = (at - whole).astype(np.float32)[:, None]
    return image[whole] * (1 - part) + image[whole + 1] * part
