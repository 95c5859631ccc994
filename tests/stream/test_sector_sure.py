"""Whether the sector is sure travels with the frame, and is told."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import msgspec
from smartca.stream.frame import Frame
from smartca.stream.link.wire import PREFIX, pack, unpack
from smartca.stream.tally import Tally
from support.frames import make_frame, make_result


def test_it_comes_back() -> None:
    for sure in (True, False):
        body = unpack(pack(replace(make_frame(), sector_sure=sure), 5, 6)).body
        assert isinstance(body, Frame) and body.sector_sure is sure


def test_a_message_of_before_is_read_as_sure() -> None:
    data = pack(replace(make_frame(), sector_sure=False), 5, 6)
    *front, _, epoch, number, head_size, payload_size = PREFIX.unpack_from(data)
    head = msgspec.msgpack.decode(data[PREFIX.size : PREFIX.size + head_size])
    del head["sector_sure"]
    rest = msgspec.msgpack.encode(head) + data[PREFIX.size + head_size :]
    sizes = struct.unpack("<QQIQ", struct.pack("<QQIQ", epoch, number, len(rest) - payload_size, payload_size))
    body = unpack(PREFIX.pack(*front, zlib.crc32(rest), *sizes) + rest).body
    assert isinstance(body, Frame) and body.sector_sure


def test_the_report_counts_the_frames_of_which_it_was_not_sure() -> None:
    tally, other = Tally(), Tally()
    for seq in range(5):
        frame = replace(make_frame(seq), sector_sure=seq >= 3)
        (tally if seq < 4 else other).add(frame, make_result(frame), 10.0, seq)
    tally.merge(other)
    assert tally.as_report()["sector_not_sure"] == 3
