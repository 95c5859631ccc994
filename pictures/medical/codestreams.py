"""Compressed frames as their own bytes read_codestream them: JPEG, JPEG 2000, and the names of what is not read here.

Where a DICOM header says otherwise, the codestream is right: archives that compress anew leave old headers behind.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import JPEG2000, UID, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLSLossless, RLELossless

from ...errors import InputError
from .dicom_colours import from_ybr

_JP2 = b"\0\0\0\x0cjP  "
_J2K = b"\xff\x4f\xff\x51"  # SOC, SIZ
_JPEG = b"\xff\xd8\xff"
_SOF = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
_BY_PILLOW = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive; each with 8 bits
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_RLE_HEADER, _RLE_MOST = 64, 15  # bytes, segments


@dataclass(frozen=True, slots=True)
class Codestream:
    """What a compressed frame says of itself."""

    syntax: UID  # the nearest of DICOM's
    name: str  # for people
    rows: int
    columns: int
    channels: int
    bits: int
    by_pillow: bool  # whether Pillow reads it
    transformed: bool | None  # whether its colours are stored as a luma and two chromas; None where it does not say

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.rows, self.columns) if self.channels == 1 else (self.rows, self.columns, 3)


def begins(head: bytes) -> UID | None:
    """Which compression a frame begins as, so that where one frame ends and the next begins is seen; None: none."""
    if head.startswith(_JPEG):
        return JPEGBaseline8Bit
    if head.startswith((_J2K, _JP2)):
        return JPEG2000
    segments, first = np.frombuffer(head[:8].ljust(8, b"\0"), "<u4")
    return RLELossless if 1 <= segments <= _RLE_MOST and first == _RLE_HEADER else None


def read_codestream(frame: bytes) -> Codestream | None:
    """What `frame` says of itself; None where it is no JPEG and no JPEG 2000, or is broken off before it says so."""
    try:
        if frame.startswith(_JPEG):
            return _jpeg(frame)
        if frame.startswith((_J2K, _JP2)):
            return _jpeg2000(frame)
    except IndexError:
        return None
    return None


def decode_colours(frame: bytes, said: Codestream, header: str) -> NDArray[np.uint8]:
    """A frame of JPEG or JPEG 2000 with 8 bits -> grey (rows, columns) or RGB (rows, columns, 3).

    `header` is DICOM's photometric interpretation, which decides only where the codestream says nothing. Raises
    ValueError for kinds of colours nobody uses, and what Pillow raises on damaged bytes.
    """
    image = Image.open(io.BytesIO(frame), formats=("JPEG", "JPEG2000"))
    plain = said.transformed is None and header == "RGB"
    if image.format == "JPEG" and plain and image.mode == "RGB":
        image.draft("YCbCr", image.size)  # so that Pillow leaves the three channels as they are
        return np.asarray(image).copy()
    if image.mode not in ("L", "RGB", "YCbCr"):
        raise InputError(f"its colours are {image.mode}, not grey or RGB; export it uncompressed")
    pixels = np.asarray(image if image.mode != "YCbCr" else image.convert("RGB"))
    stored = image.format == "JPEG2000" and said.transformed is None and header.startswith("YBR_FULL")
    return from_ybr(pixels) if stored and pixels.ndim == 3 else pixels.copy()


def _jpeg(frame: bytes) -> Codestream | None:
    place, named, transform = 2, False, None
    while True:
        while frame[place] == 0xFF and frame[place + 1] == 0xFF:  # as many as the writer likes
            place += 1
        if frame[place] != 0xFF:
            return None
        marker, place = frame[place + 1], place + 2
        if marker in _ALONE:
            continue
        length = _number(frame, place)
        part = frame[place + 2 : place + length]
        if marker == 0xE0 and part.startswith(b"JFIF\0"):
            named = True
        elif marker == 0xEE and part.startswith(b"Adobe") and len(part) > 11:
            transform = part[11]
        elif marker in _SOF:
            return _of_frame_header(marker, part, named, transform)
        elif marker in (0xDA, 0xD9) or length < 2:
            return None
        place += length


def _of_frame_header(marker: int, part: bytes, jfif: bool, adobe: int | None) -> Codestream:
    bits, rows, columns, channels = part[0], _number(part, 1), _number(part, 3), part[5]
    parts = [part[6 + 3 * number : 9 + 3 * number] for number in range(channels)]
    scaled = len({one[1] for one in parts}) > 1  # which nobody does to red, green and blue
    transformed = True if jfif or scaled else adobe != 0 if adobe is not None else None
    if bytes(one[0] for one in parts) == b"RGB":
        transformed = False
    syntax, name = JPEGBaseline8Bit, "JPEG"
    if marker == 0xC1:
        syntax, name = JPEGExtended12Bit, "JPEG Extended"
    elif marker == 0xC3:
        syntax, name = JPEGLossless, "JPEG Lossless"
    elif marker == 0xF7:
        syntax, name = JPEGLSLossless, "JPEG-LS"
    elif marker not in _BY_PILLOW:
        syntax, name = UID(""), "JPEG with arithmetic or hierarchical coding"
    known = marker in _BY_PILLOW and bits == 8
    return Codestream(syntax, f"{name} with {bits} bits", rows, columns, channels, bits, known, transformed)


def _jpeg2000(frame: bytes) -> Codestream | None:
    start = frame.find(_J2K) if frame.startswith(_JP2) else 0
    if start < 0:
        return None
    size = start + 4  # behind the two markers
    columns = _number(frame, size + 4, 4) - _number(frame, size + 12, 4)
    rows = _number(frame, size + 8, 4) - _number(frame, size + 16, 4)
    channels, bits = _number(frame, size + 36), (frame[size + 38] & 0x7F) + 1
    place = start + 2
    while frame[place : place + 2] != b"\xff\x52":  # COD
        if frame[place] != 0xFF or frame[place + 1] == 0x90:
            return None
        place += 2 + _number(frame, place + 2)
    transformed = bool(frame[place + 8]) or None
    if frame.startswith(_JP2) and b"colr\x01\0\0\0\0\0\x12" in frame[:start]:
        transformed = True  # sYCC, which Pillow undoes
    known = bits <= 8
    return Codestream(JPEG2000, f"JPEG 2000 with {bits} bits", rows, columns, channels, bits, known, transformed)


def _number(content: bytes, place: int, size: int = 2) -> int:
    if place + size > len(content):
        raise IndexError(place)
    return int.from_bytes(content[place : place + size], "big")
