"""Which part of the sector a picture shows: all of it, or a window about the tendon, as papers and clinics cut it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .body.anatomy import Anatomy
from .body.tear import Tear
from .sound.scanner import Scanner

ASPECT = (0.8, 2.2)  # width / depth
LEAST_MM = 14.0  # of depth


class Window(NamedTuple):
    """A rectangle of the sector in mm: depths from `top`, and x from `left`, 0 being the probe's middle."""

    top: float
    depth: float
    left: float
    width: float


def whole_window(scanner: Scanner) -> Window:
    """The whole sector."""
    return Window(0.0, scanner.depth_mm, -scanner.width_mm / 2, scanner.width_mm)


def tendon_window(
    random: np.random.Generator,
    whole: Window,
    anatomy: Anatomy,
    tear: Tear | None,
    aspect: tuple[float, float] = ASPECT,
    share: tuple[float, float] = (0.55, 1.0),
) -> Window:
    """A window of `share` of the sector's width and an `aspect` (width / depth), with the tear somewhere near its middle.

    Without a tear the place where one might be takes its part, so that the framing tells nothing.
    """
    s, u = tear.middle() if tear is not None else (random.uniform(3.0, 12.0), random.uniform(0.2, 0.9))
    x, deep = anatomy.place(s, u)
    width = whole.width * random.uniform(*share)
    depth = min(max(width / random.uniform(*aspect), LEAST_MM), whole.depth)
    left = x - width * float(np.clip(random.normal(0.5, 0.13), 0.15, 0.85))
    top = deep - depth * float(np.clip(random.normal(0.44, 0.09), 0.2, 0.7))
    left = float(np.clip(left, whole.left, whole.left + whole.width - width))
    top = float(np.clip(top, 0.0, whole.depth - depth))
    return Window(top, depth, left, width)
