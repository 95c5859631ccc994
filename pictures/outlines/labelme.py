"""LabelMe's files, one JSON file a picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from math import dist, isfinite
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image

from ...errors import InputError
from ..pixels import Mask
from .annotated import Annotations, Entry, labels_of
from .decoding import decoded
from .shapes import Ellipse, MarkedOutline, no_outline


class _Shape(msgspec.Struct):
    label: str
    points: list[tuple[float, float]]
    shape_type: str | None = "polygon"
    mask: str | None = None  # a PNG in base64, between the two points


class _LabelMe(msgspec.Struct, rename="camel"):
    shapes: list[_Shape]
    image_path: str
    image_height: int | None = None
    image_width: int | None = None


def read_labelme(root: Path, files: Sequence[Path]) -> Annotations:
    """LabelMe's files, one a picture; pictures without a file are not labelled and left out."""
    entries = []
    for path in files:
        found = decoded(path, _LabelMe, "a LabelMe file with shapes and imagePath")
        outlines = tuple(_outline(shape, path) for shape in found.shapes)
        entries.append(Entry(found.image_path, found.image_height or 0, found.image_width or 0, outlines))
    return Annotations(root, root, entries, labels_of(entries))


def _outline(shape: _Shape, path: Path) -> MarkedOutline:
    kind, points = shape.shape_type or "polygon", shape.points
    if kind == "mask" and shape.mask is not None and points:
        return MarkedOutline(shape.label, patch=_patch(shape.mask, path), corner=_corner(points[0], path))
    if kind == "polygon":
        return MarkedOutline(shape.label, polygon=tuple(number for point in points for number in point))
    if kind == "circle":  # its centre, and a point on its edge
        if len(points) != 2:
            return MarkedOutline(shape.label, flaw="is no circle of a centre and a point on its edge")
        radius = dist(*points)
        return MarkedOutline(shape.label, ellipse=Ellipse(*points[0], radius, radius))
    return MarkedOutline(shape.label, flaw=no_outline(kind))


def _patch(drawn: str, path: Path) -> Mask:
    try:
        with Image.open(io.BytesIO(base64.b64decode(drawn))) as image:
            patch = np.asarray(image) > 0
    except Exception as error:  # each part of a PNG has its own errors
        raise InputError(f"{path} has a mask that cannot be read; draw it again") from error
    return patch.max(axis=2) if patch.ndim == 3 else patch


def _corner(point: tuple[float, float], path: Path) -> tuple[int, int]:
    if not all(map(isfinite, point)):
        raise InputError(f"{path} has a mask at no place; draw it again")
    return round(point[1]), round(point[0])
