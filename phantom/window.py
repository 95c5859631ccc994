"""Which part of the sector a picture shows: all of it, or a window about the tendon, as papers and clinics cut it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .body.anatomy import Anatomy
from .body.tear import Tear
from .sound.scanner import Scanner

LEAST_MM = 14.0  # of depth


class Close(NamedTuple):
    """How near a picture goes: spans of its width / depth, and of its width as a share of the sector's.

    `draw` numbers the windows of one seed.
    """

    aspect: tuple[float, float] = (0.8, 2.2)
    share: tuple[float, float] = (0.55, 1.0)
    draw: int = 0


class Window(NamedTuple):
    """A rectangle of the sector in mm: depths from `top`, and x from `left`, 0 being the probe's middle."""

    top: float
    depth: float
    left: float
    width: float


def whole_window(scanner: Scanner) -> Window:
    """The whole sector."""
    return Window(0.0, scanner.depth_mm, -scanner.width_mm / 2, scanner.width_mm)


def tendon_window(close: Close, seed: int, whole: Window, anatomy: Anatomy, tear: Tear | None) -> Window:
    """A window about the tendon that follows from `seed`, with the tear somewhere near its middle.

    Without a tear the place where one might be takes its part, so that the framing tells nothing.
    """
    random = np.random.default_rng((seed, 5, close.draw))
    s, u = tear.middle() if tear is not None else (random.uniform(3.0, 12.0), random.uniform(0.2, 0.9))
    x, deep = anatomy.place(s, u)
    width = whole.width * random.uniform(*close.share)
    depth = min(max(width / random.uniform(*close.aspect), LEAST_MM), whole.depth)
    left = x - width * float(np.clip(random.normal(0.5, 0.13), 0.15, 0.85))
    top = deep - depth * float(np.clip(random.normal(0.45, 0.09), 0.2, 0.7))
    left = float(np.clip(left, whole.left, whole.left + whole.width - width))
    top = float(np.clip(top, 0.0, whole.depth - depth))
    return Window(top, depth, left, width)
