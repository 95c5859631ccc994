"""What a DICOM header says of its pictures: how fast, where, how large."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from ..pixels import Sector
from .dicom_colours import several

_FLAT = 1  # region spatial format: 2D (PS3.3 C.8.5.5)
_TISSUE, _FLOW = 1, 2  # region data types
_CENTIMETRES = 3  # physical units of a region
_SLOWEST, _FASTEST = 0.01, 1000.0  # frames a second that can be believed


def safe_name(path: Path, header: Dataset) -> str:
    """The file's name; one that holds the patient's name or number is not passed on."""
    personal = f"{header.get('PatientName', '')}^{header.get('PatientID', '')}".casefold()
    words = [word for word in personal.replace(" ", "^").replace("=", "^").split("^") if len(word) > 2]
    return "a DICOM file" if any(word in path.name.casefold() for word in words) else path.name


def frames_per_second(header: Dataset) -> float | None:
    """The first that can be believed of FrameTime (ms), FrameTimeVector, ActualFrameDuration, CineRate and
    RecommendedDisplayFrameRate.
    """
    steps = [float(step) for step in several(header.get("FrameTimeVector")) if float(step) > 0]
    times = [
        _first(header, "FrameTime"),
        float(np.mean(steps)) if steps else 0.0,
        _first(header, "ActualFrameDuration"),
    ]
    rates = [1000.0 / step for step in times if step > 0]
    rates += [_first(header, name) for name in ("CineRate", "RecommendedDisplayFrameRate")]
    return next((rate for rate in rates if _SLOWEST <= rate <= _FASTEST), None)


def _first(header: Dataset, name: str) -> float:
    found = several(header.get(name))
    return float(found[0] or 0) if found else 0.0


def region(header: Dataset, shape: tuple[int, int]) -> tuple[Sector, Dataset] | None:
    """Where in pictures of `shape` the ultrasound is, and what says so.

    It is the largest 2D region of tissue, the first of several as large; where there is none, of colour flow.
    """
    for kind in (_TISSUE, _FLOW):
        regions = header.get("SequenceOfUltrasoundRegions") or []
        found = [(box, one) for one in regions if (box := _box(one, kind, shape)) is not None]
        if found:
            return max(found, key=lambda one: one[0].width * one[0].height)
    return None


def _box(one: Dataset, kind: int, shape: tuple[int, int]) -> Sector | None:
    corners = [one.get(f"RegionLocation{corner}") for corner in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
    if (one.get("RegionSpatialFormat"), one.get("RegionDataType")) != (_FLAT, kind) or None in corners:
        return None
    left, top, right, bottom = (int(value) for value in corners)
    # the last pixel belongs to it; some scanners write the one behind
    width, height = min(right + 1, shape[1]) - left, min(bottom + 1, shape[0]) - top
    return Sector(left, top, width, height) if min(left, top) >= 0 and min(width, height) >= 8 else None


def spacing(header: Dataset, region: Dataset | None) -> tuple[float, float] | None:
    """mm per pixel (row, column) from the region's PhysicalDelta (cm), else from PixelSpacing (mm)."""
    if region is not None and (said := _delta(region)) is not None:
        return said
    steps = [float(step) for step in several(header.get("PixelSpacing"))]
    return (steps[0], steps[1]) if len(steps) == 2 and min(steps) > 0 and max(steps) < np.inf else None


def _delta(one: Dataset) -> tuple[float, float] | None:
    units = one.get("PhysicalUnitsXDirection"), one.get("PhysicalUnitsYDirection")
    row, column = (10 * abs(float(one.get(f"PhysicalDelta{axis}") or 0)) for axis in "YX")
    return (
        (row, column) if units == (_CENTIMETRES,) * 2 and min(row, column) > 0 and max(row, column) < np.inf else None
    )
