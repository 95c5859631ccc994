"""Bytes <-> messages, as pure functions: length-framed, versioned, checked, never a pickle, never a socket.

One message is one ZeroMQ part: PREFIX, a MessagePack head, then the pixels and packed masks.

    magic 4s 'SMCA' | version u8 | kind u8 | crc32 u32 of all that follows the prefix |
    epoch u64 of the sender | number u64 of this message | head length u32 | payload length u64

`unpack` trusts nothing: every length is checked against the bytes there are before anything is made of them.
"""

from __future__ import annotations

import math
import struct
import zlib
from typing import cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from ...errors import UNDECODABLE, InputError
from ...pictures.pixels import Mask, Sector, check_not_tiny, check_picture
from ..frame import Frame, Result, State
from .messages import LONGEST_SIDE, AnswerHead, Beat, Body, End, FrameHead, Grant, Message, Point, Reply

VERSION = 2
MAGIC = b"SMCA"
PREFIX = struct.Struct("<4sBBIQQIQ")
LARGEST_HEAD = 1 << 16
LARGEST_MESSAGE = 1 << 27  # bytes; an 8192 x 4096 BGR frame with all its masks still fits

JUDGED = (State.TEAR_OUTLINED, State.UNSURE, State.NO_TEAR_OUTLINED)  # the states with a mask


def check_carried(pixels: object) -> None:
    """Raises InputError for what is no picture (see `check_picture`), or one too large to travel."""
    check_picture(pixels)
    assert isinstance(pixels, np.ndarray)
    check_shape(pixels.shape)


def check_shape(shape: tuple[int, ...]) -> None:
    """Raises InputError for pixels (rows, columns[, 3]) too few to show anything, or too many to travel."""
    check_not_tiny(shape)
    rows, columns = shape[:2]
    size = math.prod(shape) + 3 * rows * (columns // 8 + 1) + LARGEST_HEAD  # with truth, mask and unsure regions
    if max(rows, columns) > LONGEST_SIDE or size > LARGEST_MESSAGE:
        raise InputError(
            f"a picture of {columns} x {rows} pixels is too large to be shown: {LONGEST_SIDE} pixels a side and "
            f"{LARGEST_MESSAGE >> 20} MiB are the most; scale it first"
        )


class WireError(InputError):
    """Bytes that are no message of ours; the sentence says what is wrong with them."""


_heads = msgspec.msgpack.Decoder(FrameHead | AnswerHead | Grant | Beat | End)
_encode = msgspec.msgpack.Encoder().encode


def pack(body: Body, epoch: int, number: int = 0) -> bytes:
    """A message as bytes."""
    head, arrays = _parts(body)
    encoded = _encode(head)
    crc, size = zlib.crc32(encoded), 0
    for array in arrays:
        crc, size = zlib.crc32(array, crc), size + len(array)
    prefix = PREFIX.pack(MAGIC, VERSION, 0, crc, epoch, number, len(encoded), size)
    return b"".join([prefix, encoded, *arrays])


def unpack(data: bytes | memoryview) -> Message:
    """Bytes -> message; pixel arrays are read-only views of `data`. Raises WireError with one sentence."""
    if len(data) < PREFIX.size:
        raise WireError(f"a message of {len(data)} bytes is shorter than the {PREFIX.size} of its prefix")
    magic, version, _, crc, epoch, number, head_size, payload_size = PREFIX.unpack_from(data)
    if magic != MAGIC:
        raise WireError("the message does not begin with SMCA: some other program is sending here")
    if version != VERSION:
        raise WireError(f"the message has wire version {version}, this smartca speaks {VERSION}: update both sides")
    if head_size > LARGEST_HEAD or PREFIX.size + head_size + payload_size != len(data):
        raise WireError(f"the message says {head_size} + {payload_size} bytes but has {len(data) - PREFIX.size}")
    if epoch >= 1 << 62 or number >= 1 << 62:
        raise WireError("the message's epoch or number is out of range")
    rest = memoryview(data)[PREFIX.size :]
    if zlib.crc32(rest) != crc:
        raise WireError("the message's checksum does not fit: it was damaged on its way")
    try:
        head = _heads.decode(rest[:head_size])
    except UNDECODABLE as error:
        raise WireError(f"the message's head is malformed: {error}") from error
    return Message(epoch, number, _body(head, rest[head_size:]))


def _parts(body: Body) -> tuple[msgspec.Struct, list[bytes | memoryview]]:
    if isinstance(body, Frame):
        return _frame_head(body), _frame_arrays(body)
    if isinstance(body, Reply):
        result = body.result
        masks = [_pack_mask(mask) for mask in (result.mask, result.unsure) if mask is not None]
        head = AnswerHead(
            _frame_head(body.frame),
            result.state,
            result.mask is not None,
            result.confidence,
            result.reason[:500],
            result.engine,
            result.inference_ns,
            result.served,
            result.unsure is not None,
            cast(Point, result.point),
        )
        return head, [*_frame_arrays(body.frame), *masks]
    return body, []


def _frame_head(frame: Frame) -> FrameHead:
    return FrameHead(
        list(frame.pixels.shape),
        frame.source,
        frame.epoch,
        frame.seq,
        frame.captured_ns,
        frame.live,
        (frame.sector.x, frame.sector.y, frame.sector.width, frame.sector.height),
        frame.mm_per_pixel,
        frame.fps,
        frame.truth is not None,
        frame.clock,
        frame.attached,
        frame.feed,
        frame.sector_sure,
    )


def _frame_arrays(frame: Frame) -> list[bytes | memoryview]:
    pixels = np.ascontiguousarray(frame.pixels).data.cast("B")
    return [pixels] if frame.truth is None else [pixels, _pack_mask(frame.truth)]


def _pack_mask(mask: Mask) -> bytes:
    return np.packbits(mask).tobytes()


def _body(head: FrameHead | AnswerHead | Grant | Beat | End, payload: memoryview) -> Body:
    if isinstance(head, FrameHead):
        reader = _Reader(payload)
        return reader.finish(_frame(head, reader))
    if isinstance(head, AnswerHead):
        reader = _Reader(payload)
        frame = _frame(head.frame, reader)
        return reader.finish(Reply(frame, _result(head, frame.pixels.shape[:2], reader)))
    if len(payload):
        raise WireError(f"a {type(head).__name__.lower()} carries no payload, yet {len(payload)} bytes follow it")
    return head


def _result(head: AnswerHead, shape: tuple[int, ...], reader: _Reader) -> Result:
    mask = reader.mask(shape) if head.has_mask else None
    unsure = reader.mask(shape) if head.has_unsure else None
    if (head.state in JUDGED) != (mask is not None) or head.state is State.STALE:
        raise WireError(f"an answer says {head.state.value!r} but its mask says otherwise")
    if unsure is not None and not unsure.any():
        raise WireError("an answer has unsure regions without a pixel")
    if mask is not None and State.of(mask, unsure) is not head.state:
        raise WireError(f"an answer says {head.state.value!r} but its mask says otherwise")
    if unsure is not None and mask is None:
        raise WireError("an answer has unsure regions and no result")
    if mask is not None and unsure is not None and (mask & unsure).any():
        raise WireError("an answer has pixels that are both outlined and unsure")
    return Result(
        head.state,
        mask,
        head.confidence,
        head.reason,
        head.engine,
        head.inference_ns,
        head.served,
        unsure,
        head.point,
    )


def _frame(head: FrameHead, reader: _Reader) -> Frame:
    shape = tuple(head.shape)
    if len(shape) == 3 and shape[2] != 3:
        raise WireError(f"a frame has {shape[2]} channels; it must be grey or have 3 (BGR)")
    pixels = reader.pixels(shape)
    truth = reader.mask(shape[:2]) if head.has_truth else None
    try:
        sector = Sector(*head.sector).check(shape)
    except InputError as error:
        raise WireError(str(error)) from error
    return Frame(
        pixels,
        head.source,
        head.epoch,
        head.seq,
        head.captured_ns,
        head.live,
        sector,
        head.mm_per_pixel,
        head.fps,
        truth,
        head.clock,
        head.attached,
        head.feed,
        head.sector_sure,
    )


class _Reader:
    """Takes arrays off the front of a payload, and insists that all of it is used."""

    def __init__(self, payload: memoryview) -> None:
        self._rest = payload

    def _take(self, size: int) -> memoryview:
        if size > len(self._rest):
            raise WireError(f"the payload ends early: {size} bytes wanted, {len(self._rest)} there")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def pixels(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        size = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(self._take(size), np.uint8).reshape(shape)

    def mask(self, shape: tuple[int, ...]) -> Mask:
        size = shape[0] * shape[1]
        bits = np.frombuffer(self._take((size + 7) // 8), np.uint8)
        return np.unpackbits(bits, count=size).view(np.bool_).reshape(shape[:2])

    def finish(self, body: Body) -> Body:
        if len(self._rest):
            raise WireError(f"{len(self._rest)} bytes are left over after the message's arrays")
        return body
