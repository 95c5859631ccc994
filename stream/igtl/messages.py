"""OpenIGTLink's bytes to pictures and back, by pyigtl's messages; its header is read here, for its checksum.

Of pyigtl only the messages are used. Its client cannot tell a connection that was lost from one that is quiet, takes
any size for a body, prints its exceptions and goes on; its server has one client and drops what it cannot send.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, MissingPackage
from ...pictures.depth import Depth
from ...pictures.pixels import Mask

if TYPE_CHECKING:
    from pyigtl.messages import ImageMessage, MessageBase

HEADER = struct.Struct("> H 12s 20s I I Q Q")  # version, type, device, seconds, their fraction, bytes behind, checksum
_EXTENDED = struct.Struct("> H H I I")  # its own size, that of the metadata's head and of the metadata, an id
_SHAPE = struct.Struct("> H B B B B H H H")  # version, components, scalar type, endian, coordinates, columns, rows, k
LARGEST_BODY = 1 << 26  # bytes: a picture of 4096 x 4096 in colours still fits
_THINNEST, _WIDEST = 1e-3, 10.0  # mm a pixel that an ultrasound picture can have


class Header(NamedTuple):
    """What stands before every message."""

    version: int
    kind: str  # IMAGE, STRING, TRANSFORM, ...
    device: str
    time_ns: int | None  # since 1970; None where the sender gives none
    size: int  # bytes behind it
    crc: int


@dataclass(frozen=True, slots=True)
class IgtlImage:
    """A picture: uint8 grey (rows, columns) or BGR (rows, columns, 3); millimetres where it says any to be believed."""

    pixels: NDArray[np.uint8]
    mm_per_pixel: tuple[float, float] | None  # (row, column)


def need_pyigtl() -> None:
    """Raises MissingPackage where pyigtl is not installed."""
    try:
        import pyigtl.messages  # noqa: F401
    except ImportError as error:
        raise MissingPackage("OpenIGTLink needs pyigtl; install it with `pip install 'smartca[slicer]'`") from error


def igtl_header(data: bytes) -> Header:
    """The 58 bytes before a message. Raises InputError for what is no OpenIGTLink."""
    version, kind, device, seconds, fraction, size, crc = HEADER.unpack(data)
    name = _word(kind)
    if not 1 <= version <= 3 or not name.replace("_", "").isalnum():
        raise InputError("what it sends is no OpenIGTLink; check the port")
    if size > LARGEST_BODY:
        raise InputError(f"it announces a message of {size} bytes, where {LARGEST_BODY} are the most; check the server")
    time_ns = seconds * 1_000_000_000 + (fraction * 1_000_000_000 >> 32)
    return Header(version, name, _word(device), time_ns or None, size, crc)


def _word(field: bytes) -> str:
    return field.split(b"\0")[0].rstrip().decode("utf-8", "replace")


def igtl_image(header: Header, body: bytes, depth: Depth) -> IgtlImage:
    """The picture of an IMAGE message. Raises InputError, with one sentence, where it is none or damaged."""
    from pyigtl.messages import CRC64

    if header.crc and CRC64(body) != header.crc:  # 0: the sender computes none
        raise InputError("an image of its was damaged on the way (its checksum does not fit); check the network")
    content = _content(header, body)
    if len(content) < _SHAPE.size:
        raise InputError("it sends an image that is cut off; update what sends it")
    slices = _SHAPE.unpack_from(content)[-1]
    if slices != 1:
        raise InputError(f"it sends a volume of {slices} slices; let it send the single pictures of the probe")
    message = _unpacked(header, content)
    image = np.asarray(message.image)[0]
    if image.ndim == 3:
        if image.shape[2] not in (3, 4):
            raise InputError(f"its pixels have {image.shape[2]} components; let it send grey or RGB")
        image = image[..., 2::-1]  # RGB to BGR; how transparent it is says nothing
    return IgtlImage(
        np.ascontiguousarray(depth(image)), _millimetres(np.asarray(message.ijk_to_world_matrix, np.float64))
    )


def _content(header: Header, body: bytes) -> bytes:
    """The message without its extended header and its metadata, which begin with header version 2."""
    if header.version == 1:
        return body
    if len(body) < _EXTENDED.size:
        raise InputError("it sends a message that is cut off; update what sends it")
    size, head, metadata, _ = _EXTENDED.unpack_from(body)
    end = len(body) - head - metadata
    if not _EXTENDED.size <= size <= end:
        raise InputError("it sends a message whose parts do not fit into it; update what sends it")
    return body[size:end]


def _unpacked(header: Header, content: bytes) -> ImageMessage:
    from pyigtl.messages import ImageMessage

    message = ImageMessage()
    fields = {"header_version": 1, "message_type": "IMAGE", "device_name": header.device, "timestamp": 0.0}
    try:
        message.unpack(fields, content)
    except NotImplementedError as error:
        raise InputError("it sends parts of images; let it send whole ones") from error
    except Exception as error:  # of bytes that do not fit pyigtl raises whatever its parts raise
        raise InputError("it sends an image that is damaged or cut off; update what sends it") from error
    return message


def _millimetres(matrix: NDArray[np.float64]) -> tuple[float, float] | None:
    """(row, column) by the lengths of the matrix's axes; None where they are no measure.

    A sender without a calibration fills in ones: exactly one millimetre both ways is not believed.
    """
    across, down = (float(np.linalg.norm(matrix[:3, axis])) for axis in (0, 1))
    if across == down == 1.0 or not (_THINNEST <= across <= _WIDEST and _THINNEST <= down <= _WIDEST):
        return None
    return down, across


def image_bytes(
    device: str, pixels: NDArray[np.uint8] | Mask, mm_per_pixel: tuple[float, float] | None, time_ns: int
) -> bytes:
    """An IMAGE message: grey or a mask (rows, columns), or BGR (rows, columns, 3), its corner at the origin.

    mm_per_pixel is (row, column); where it is not known, 1 is sent, as PLUS does too.
    """
    from pyigtl.messages import ImageMessage

    row, column = mm_per_pixel or (1.0, 1.0)
    stored = np.asarray(pixels).view(np.uint8)  # a mask's True is 1
    stored = stored if stored.ndim == 2 else cv2.cvtColor(stored, cv2.COLOR_BGR2RGB)
    matrix = np.diag([column, row, 1.0, 1.0])
    return _packed(ImageMessage(stored[np.newaxis], matrix, "lps"), device, time_ns)


def string_bytes(device: str, words: str, time_ns: int) -> bytes:
    """A STRING message of ASCII `words`, 65535 at most."""
    from pyigtl.messages import StringMessage

    return _packed(StringMessage(words), device, time_ns)


def _packed(message: MessageBase, device: str, time_ns: int) -> bytes:
    message.device_name = device
    message.timestamp = time_ns / 1e9
    return message.pack()
