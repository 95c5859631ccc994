"""What the probe sees in one pose: the anatomy's surfaces in the coordinates of the picture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .anatomy import Anatomy, Columns
from .motion import Pose
from .textures import Floats, smoothstep


class TissueView(NamedTuple):
    """Rows run over depth and columns over the width; surfaces are compared with `tissue`."""

    depth: Floats  # (rows,) mm below the probe
    tissue: Floats  # (rows,) the same before the probe pressed
    x: Floats  # (columns,) mm from the middle of the picture
    world: Floats  # (columns,) the same in the shoulder's own x
    offset: Floats  # (columns,) mm the tilted probe starts deeper
    surfaces: Columns  # depth of every surface in terms of `tissue`

    def rows_between(self, top: Floats, bottom: Floats) -> slice:
        """The rows that any part of a layer from `top` to `bottom` lies in."""
        first, last = np.searchsorted(self.tissue, [top.min(), bottom.max()])
        return slice(max(int(first) - 1, 0), min(int(last) + 1, self.tissue.size))

    def across(self, rows: slice) -> Floats:
        """u (rows, columns): depth within the tendon, 0 bursal to 1 articular."""
        top, bottom = self.surfaces.tendon, self.surfaces.cartilage
        return (self.tissue[rows, None] - top) * (1 / np.maximum(bottom - top, np.float32(0.15)))

    def slope(self, surface: Floats) -> Floats:
        """Angle (radians) between a surface and the probe's face, per column."""
        return np.arctan(np.gradient(surface, self.x)).astype(np.float32)


def tissue_view(anatomy: Anatomy, pose: Pose, openness: float, depth: Floats, x: Floats) -> TissueView:
    """The view from `pose` at the given rows (depth, mm) and columns (x, mm from the middle)."""
    world = x + np.float32(pose.slide)
    offset = (np.tan(pose.tilt) * x).astype(np.float32)
    tissue = (depth + pose.press * smoothstep(depth, 1.0, 10.0)).astype(np.float32)
    curves = anatomy.columns(world, openness)
    surfaces = curves._replace(**{name: getattr(curves, name) - offset for name in Columns._fields[:7]})
    return TissueView(depth, tissue, x, world, offset, surfaces)
