"""Bytes: everything survives the way, and nothing malformed is let in."""

from __future__ import annotations

import random
import struct
import zlib
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from smartca.stream.frame import Clock, State, Trail
from smartca.stream.link.wire import PREFIX, VERSION, Beat, End, Frame, Grant, Reply, WireError, pack, unpack
from support.frames import make_frame, make_result


def same_frame(one: Frame, other: Frame) -> bool:
    arrays = np.array_equal(one.pixels, other.pixels) and (one.truth is None) == (other.truth is None)
    if one.truth is not None and other.truth is not None:
        arrays = arrays and np.array_equal(one.truth, other.truth)
    names = (
        "source",
        "epoch",
        "seq",
        "captured_ns",
        "live",
        "sector",
        "mm_per_pixel",
        "fps",
        "clock",
        "attached",
    )
    return arrays and all(getattr(one, name) == getattr(other, name) for name in names)


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("truth", [False, True])
def test_a_frame_survives(colour: bool, truth: bool) -> None:
    frame = make_frame(3, colour=colour, truth=truth).with_clock(Clock(-5, 2))
    message = unpack(pack(frame, 7, 12))
    assert (message.epoch, message.number) == (7, 12)
    assert isinstance(message.body, Frame)
    assert same_frame(frame, message.body)


@pytest.mark.parametrize("state", [State.TEAR_OUTLINED, State.UNSURE, State.NO_TEAR_OUTLINED, State.NO_RESULT])
def test_an_answer_survives_with_its_own_frame(state: State) -> None:
    frame = make_frame(4)
    result = make_result(frame, state)
    body = unpack(pack(Reply(frame, result), 1, 2)).body
    assert isinstance(body, Reply)
    assert same_frame(frame, body.frame)
    assert body.result.state is state
    assert body.result.reason == result.reason
    assert body.result.served == result.served
    assert body.result.point == result.point
    assert (body.result.unsure is None) == (result.unsure is None)
    if body.result.unsure is not None and result.unsure is not None:
        assert np.array_equal(body.result.unsure, result.unsure)
    if result.mask is None:
        assert body.result.mask is None
    else:
        assert body.result.mask is not None
        assert np.array_equal(body.result.mask, result.mask)


@pytest.mark.parametrize(
    "body",
    [
        Grant(7, 3, 2, 2, 123, "a feed"),
        Grant(7, 3, 2, 2, 123, "", "searching", 4),
        Beat(5, 3, 4, {"backend": "openvino", "input": [1, 1, 64, 64]}, "note"),
        End("a feed", 7, Trail(7, 9, {"cause": 1}), Trail(8, 8, {}), "it broke"),
    ],
)
def test_small_messages_survive(body: Grant | Beat | End) -> None:
    assert unpack(pack(body, 7)).body == body


def rebuilt(data: bytes, head: object, payload: bytes | None = None) -> bytes:
    """`data` with another head (and payload), its lengths and checksum put right: a clever forgery."""
    _, _, _, _, epoch, number, head_size, _ = PREFIX.unpack_from(data)
    rest = payload if payload is not None else data[PREFIX.size + head_size :]
    encoded = msgspec.msgpack.encode(head)
    crc = zlib.crc32(encoded + rest)
    return PREFIX.pack(b"SMCA", VERSION, 0, crc, epoch, number, len(encoded), len(rest)) + encoded + rest


def head_of(data: bytes) -> dict[str, object]:
    size = PREFIX.unpack_from(data)[6]
    return msgspec.msgpack.decode(data[PREFIX.size : PREFIX.size + size])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"shape": [48, 640]}, "ends early"),
        ({"shape": [48, 6]}, "sector"),
        ({"shape": [24, 64]}, "sector"),
        ({"shape": [48, 64, 2]}, "channels"),
        ({"shape": [1 << 20, 1 << 20]}, "malformed"),
        ({"shape": [-1, 64]}, "malformed"),
        ({"sector": [60, 0, 56, 44]}, "sector"),
        ({"has_truth": False}, "left over"),
        ({"mm_per_pixel": [0.0, -1.0]}, "malformed"),
        ({"source": 5}, "malformed"),
        ({"source": "x" * 501}, "malformed"),
        ({"seq": -1}, "malformed"),
        ({"type": "pickle"}, "malformed"),
    ],
)
def test_a_forged_frame_is_refused_with_a_sentence(change: dict[str, object], says: str) -> None:
    data = pack(make_frame(), 7, 1)
    with pytest.raises(WireError, match=says):
        unpack(rebuilt(data, {**head_of(data), **change}))


def test_an_answer_whose_state_and_mask_disagree_is_refused() -> None:
    data = pack(Reply(make_frame(), make_result(make_frame())), 7, 1)
    with pytest.raises(WireError, match="says otherwise"):
        unpack(rebuilt(data, {**head_of(data), "state": "no result"}))


def doubtful(unsure: np.ndarray | None = None) -> bytes:
    """An answer with an outline and unsure regions beside it, or those given."""
    result = make_result(make_frame())
    box = np.zeros((48, 64), np.bool_)
    box[34:40, 6:15] = True
    return pack(Reply(make_frame(), replace(result, unsure=box if unsure is None else unsure)), 7, 1)


def test_an_outline_and_unsure_regions_come_together() -> None:
    body = unpack(doubtful()).body
    assert isinstance(body, Reply) and body.result.unsure is not None
    assert (body.result.state, int(body.result.unsure.sum())) == (State.TEAR_OUTLINED, 54)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"has_unsure": False}, "left over"),
        ({"has_unsure": 3}, "malformed"),
        ({"state": "unsure"}, "says otherwise"),
        ({"state": "no tear outlined"}, "says otherwise"),
        ({"state": "stale"}, "says otherwise"),
        ({"state": "no result"}, "says otherwise"),
        ({"state": "certain"}, "malformed"),
        ({"has_mask": False}, "says otherwise"),
        ({"point": "bold"}, "malformed"),
        ({"point": 2}, "malformed"),
    ],
)
def test_a_forged_doubt_is_refused(change: dict[str, object], says: str) -> None:
    data = doubtful()
    with pytest.raises(WireError, match=says):
        unpack(rebuilt(data, {**head_of(data), **change}))


def test_unsure_regions_without_a_pixel_or_on_the_outline_are_refused() -> None:
    with pytest.raises(WireError, match="without a pixel"):
        unpack(doubtful(np.zeros((48, 64), np.bool_)))
    with pytest.raises(WireError, match="both outlined and unsure"):
        unpack(doubtful(np.ones((48, 64), np.bool_)))


def test_no_result_brings_no_unsure_region() -> None:
    nothing = make_result(make_frame(), State.NO_RESULT)
    with pytest.raises(WireError, match="unsure regions and no result"):
        unpack(pack(Reply(make_frame(), replace(nothing, unsure=np.ones((48, 64), np.bool_))), 7, 1))


@pytest.mark.parametrize("change", [{"point": "bold"}, {"point": None}, {"asked": -1}])
def test_a_forged_wish_is_refused(change: dict[str, object]) -> None:
    data = pack(Grant(7, 3, 2, 2, 123, "", "careful", 1), 7)
    with pytest.raises(WireError, match="malformed"):
        unpack(rebuilt(data, {**head_of(data), **change}))


def test_versions_and_strangers_are_told_apart() -> None:
    data = pack(Grant(1, 1, 1, 1, 1), 1)
    with pytest.raises(WireError, match="wire version 9"):
        unpack(data[:4] + b"\x09" + data[5:])
    with pytest.raises(WireError, match="some other program"):
        unpack(b"HTTP" + data[4:])
    with pytest.raises(WireError, match="shorter"):
        unpack(data[:10])


def test_random_and_mutated_bytes_never_pass_and_never_crash() -> None:
    chance = random.Random(1)
    good = [
        pack(make_frame(), 7, 1),
        pack(Reply(make_frame(), make_result(make_frame())), 7, 1),
        doubtful(),
        pack(Grant(7, 3, 2, 2, 123, "", "careful", 1), 7),
        pack(Beat(1), 7),
    ]
    for _ in range(3000):
        data = bytearray(chance.choice(good))
        for _ in range(chance.randint(1, 4)):
            # bytes 5 (kind, unused) and 10-25 (epoch and number) carry no redundancy
            where = chance.choice([*range(5), *range(6, 10), *range(26, len(data))])
            data[where] ^= chance.randint(1, 255)
        with pytest.raises(WireError):
            unpack(bytes(data))
    for _ in range(3000):
        with pytest.raises(WireError):
            unpack(chance.randbytes(chance.randint(0, 400)))


def test_a_length_that_lies_allocates_nothing() -> None:
    data = pack(make_frame(), 7, 1)
    huge = data[: PREFIX.size - 8] + struct.pack("<Q", 1 << 62) + data[PREFIX.size :]
    with pytest.raises(WireError, match="bytes but has"):
        unpack(huge)
