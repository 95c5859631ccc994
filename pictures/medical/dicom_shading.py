"""Decoded DICOM pixels -> what a viewer shows: greys by window or depth, palettes, colours as BGR."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi

from ...errors import InputError
from ..depth import Depth
from .dicom_colours import palette_of, photometric, several

_LINEAR = ("", "LINEAR", "LINEAR_EXACT")
_RANGE = 4  # a picture that fills more than this part of its range cannot be one flat grey


class Shading:
    """How the pictures of one file are shown. Call it with each in turn."""

    def __init__(self, header: Dataset, big_endian: bool) -> None:
        self.kind = photometric(header)
        self.header = header
        self.allocated = int(header.get("BitsAllocated") or 8)
        self.stored = int(header.get("BitsStored") or self.allocated)
        self.left = max(0, int(header.get("HighBit", self.stored - 1)) - self.stored + 1)
        self.window = _window(header)
        self.palette = palette_of(header, big_endian) if self.kind == "PALETTE COLOR" else None
        # all bits are what is written by those who do not know
        known = self.stored < self.allocated or self.allocated < 8
        self._depth = Depth(self.stored if known else None, signed=header.get("PixelRepresentation") == 1)

    def __call__(self, image: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Grey (rows, columns) or RGB (rows, columns, 3) of any depth -> uint8, grey or BGR.

        Raises ValueError where the header's window or palette leaves nothing of a picture that is there.
        """
        image = self._aligned(image)
        if image.ndim == 3:
            return np.ascontiguousarray(self._depth(image)[..., 2::-1])
        if self.palette is not None:
            first, table = self.palette
            shown = table[np.clip(image.astype(np.int64) - first, 0, len(table) - 1)]
            return self._checked(image, shown, "colour table")
        shown = self._depth(image) if self.window is None else self._checked(image, self.window(image), "window")
        return 255 - shown if self.kind == "MONOCHROME1" else shown

    def _aligned(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        """Without the bits below those that count, where the header puts these at the upper end and they are."""
        if not self.left or image.dtype.itemsize == 1:
            return image
        whole = image.astype(np.int64)
        return image if (whole & ((1 << self.left) - 1)).any() else whole >> self.left

    def _checked(self, image: NDArray[np.generic], shown: NDArray[np.uint8], by: str) -> NDArray[np.uint8]:
        if shown.min(initial=255) == shown.max(initial=0):
            low, high = int(image.min(initial=0)), int(image.max(initial=0))
            if (high - low) * _RANGE > 1 << min(self.stored, 8 * image.dtype.itemsize):
                what = f"pixels from {low} to {high}, of which its {by} leaves one flat colour"
                raise InputError(f"it has {what}; export it again, with another {by} or without")
        return shown


@dataclass(frozen=True, slots=True)
class _Window:
    """The window of PS3.3 C.11.2 after rescaling: pixels -> 0..255."""

    centre: float
    width: float
    slope: float
    intercept: float
    exact: bool

    def __call__(self, image: NDArray[np.generic]) -> NDArray[np.uint8]:
        value = image.astype(np.float32) * self.slope + self.intercept
        centre, width = (self.centre, self.width) if self.exact else (self.centre - 0.5, self.width - 1)
        level = (value - centre) / max(width, 1e-6) + 0.5
        return np.rint(np.clip(level, 0, 1) * 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class _Table:
    """A window in another form, which pydicom knows: a sigmoid, or a table."""

    header: Dataset

    def __call__(self, image: NDArray[np.generic]) -> NDArray[np.uint8]:
        table = self.header.get("VOILUTSequence")
        value = apply_modality_lut(image, self.header)
        if table:
            most = (1 << int(table[0].LUTDescriptor[2])) - 1
            return np.rint(np.clip(apply_voi(value, self.header) / most, 0, 1) * 255).astype(np.uint8)
        centre, width = (float(several(self.header.get(name))[0]) for name in ("WindowCenter", "WindowWidth"))
        level = 1 / (1 + np.exp(-4 * (np.asarray(value, np.float32) - centre) / width))
        return np.rint(level * 255).astype(np.uint8)


def _window(header: Dataset) -> _Window | _Table | None:
    if header.get("VOILUTSequence"):
        return _Table(header)
    centre, width = (several(header.get(name)) for name in ("WindowCenter", "WindowWidth"))
    function = str(header.get("VOILUTFunction") or "")
    exact = function == "LINEAR_EXACT"
    if not centre or not width or not float(width[0]) >= (1e-3 if exact else 1):
        return None
    if function not in _LINEAR or header.get("ModalityLUTSequence"):
        return _Table(header)
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    return _Window(float(centre[0]), float(width[0]), float(slope or 1), float(intercept or 0), exact)
