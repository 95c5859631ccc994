"""Colours as DICOM stores them -> red, green, blue: lumas and chromas, whole or halved, and tables of colours."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_color_lut

from ...errors import InputError

WHOLE_CHROMAS = ("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422")
HALVED_CHROMAS = ("YBR_FULL_422", "YBR_PARTIAL_422")
_CHANNELS = ("Red", "Green", "Blue")
# luma 16..235 and chromas 16..240 about 128, as ITU-R BT.601 has them
_PARTIAL = np.array(
    [[1.16438, 0, 1.59603, -222.921], [1.16438, -0.39176, -0.81297, 135.576], [1.16438, 2.01723, 0, -276.836]],
    np.float32,
)


def several(value: Any) -> list[Any]:
    """A DICOM value of none, one or many, as a list."""
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, (MultiValue, list, tuple)) else [value]


def photometric(header: Dataset) -> str:
    """The photometric interpretation, however it is spelled; '' where it is not said."""
    return str(header.get("PhotometricInterpretation") or "").strip().upper()


def from_ybr(pixels: NDArray[np.uint8], partial: bool = False) -> NDArray[np.uint8]:
    """Y, Cb, Cr -> R, G, B, both uint8 (rows, columns, 3); OpenCV does it ten times as fast as pydicom.

    `partial`: the luma goes from 16 to 235 only.
    """
    if partial:
        return np.asarray(cv2.transform(pixels, _PARTIAL), np.uint8)
    y, blue, red = cv2.split(pixels)
    return np.asarray(cv2.cvtColor(cv2.merge((y, red, blue)), cv2.COLOR_YCrCb2RGB), np.uint8)


def with_whole_chromas(stored: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Y1 Y2 Cb Cr of two neighbours each (PS3.3 C.7.6.3.1.2), in one row -> Y, Cb, Cr of `shape` (rows, columns).

    Where there are more than `shape` has, each row ends with one that is not shown.
    """
    rows, columns = shape
    pairs = stored[: len(stored) // 4 * 4].reshape(-1, 4)
    pixels = np.empty((len(pairs), 2, 3), np.uint8)
    pixels[..., 0], pixels[..., 1], pixels[..., 2] = pairs[:, :2], pairs[:, 2:3], pairs[:, 3:4]
    wide = columns + columns % 2 if 2 * len(pairs) >= rows * (columns + columns % 2) else columns
    return np.ascontiguousarray(pixels.reshape(-1, 3)[: rows * wide].reshape(rows, wide, 3)[:, :columns])


def palette_of(header: Dataset, big_endian: bool) -> tuple[int, NDArray[np.uint8]]:
    """The first pixel value that is in the table, and BGR (entries, 3) from there on.

    Raises ValueError where there is no table, or less of one than it says.
    """
    described = several(header.get("RedPaletteColorLookupTableDescriptor"))
    if len(described) != 3:
        raise InputError("it has a palette's pixels and no colour table")
    entries, first = int(described[0]) or 1 << 16, int(described[1])
    if first >= 1 << 15 and header.get("PixelRepresentation") == 1:
        first -= 1 << 16
    if f"{_CHANNELS[0]}PaletteColorLookupTableData" in header:
        found = np.stack([_table(header, channel, entries, big_endian) for channel in _CHANNELS], axis=-1)
    else:  # in segments, which pydicom knows
        found = np.asarray(apply_color_lut(np.arange(first, first + entries), header)[..., :3])
    # tables of 16 bits with values of 8 are what some scanners write
    found = found.astype(np.uint16) >> (8 if int(found.max(initial=0)) > 0xFF else 0)
    return first, np.ascontiguousarray(found.astype(np.uint8)[:, ::-1])


def _table(header: Dataset, channel: str, entries: int, big_endian: bool) -> NDArray[np.uint16]:
    """One channel's values: words where there are as many bytes as those need, else bytes; the header may be wrong."""
    stored = header.get(f"{channel}PaletteColorLookupTableData")
    if not isinstance(stored, bytes):  # as numbers
        values = np.asarray(several(stored), np.int64).astype(np.uint16)
    elif len(stored) >= 2 * entries:
        values = np.frombuffer(stored[: 2 * entries], ">u2" if big_endian else "<u2").astype(np.uint16)
    else:
        even = np.frombuffer(stored + bytes(len(stored) % 2), "<u2")
        values = np.frombuffer((even.byteswap() if big_endian else even).tobytes(), np.uint8).astype(np.uint16)
    if len(values) < entries:
        raise InputError(f"its colour table has {len(values)} of {entries} entries; export it again")
    return values[:entries]
