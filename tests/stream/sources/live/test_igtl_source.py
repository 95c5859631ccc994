"""OpenIGTLink in: pictures of pyigtl's own server; what is lost, silent or hostile is told in one sentence."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from smartca.stream.sources import Picture, open_source
from smartca.stream.sources.live import igtl
from support.igtl import free_port, pyigtl_server, raw_server
from support.live_run import live_run

pyigtl = pytest.importorskip("pyigtl", reason="pyigtl (the extra 'slicer') is not installed")


def pictures(options: dict[str, object], count: int = 3, device: str = "") -> tuple[list[Picture], object, str]:
    with pyigtl_server(json.dumps(options)) as port, open_source(f"igtl://127.0.0.1:{port}{device}") as source:
        assert source.live and source.endless and source.count is None
        return list(itertools.islice(source.pictures(), count)), source.mm_per_pixel, source.name


@pytest.mark.parametrize("version", [1, 2, 3])
def test_images_come_with_their_millimetres_and_times(version: int) -> None:
    across, down = [0.0, 0.2, 0.0], [0.0, 0.0, -0.1]  # a probe that is held askew: lengths count, not directions
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 3] = across, down, (3, 4, 5)
    found, mm, name = pictures({"matrix": matrix.tolist(), "version": version})
    assert mm == pytest.approx((0.1, 0.2)) and name.startswith("Image_Probe at 127.0.0.1:")
    for picture in found:
        assert picture.pixels.shape == (48, 64) and picture.pixels.dtype == np.uint8
        assert (picture.pixels[:8, :16] == 200).all() and (picture.pixels[8:] == 40).all()
    times = [picture.media_ns for picture in found]
    assert times[0] == 0 and all(now is not None for now in times)
    steps = np.diff(np.array(times, float)) / 20e6
    assert (steps > 0.9).all() and np.abs(steps - steps.round()).max() < 1e-3  # 50 a second, by the sender's clock


def only(message: bytes) -> NDArray[np.uint8]:
    """What becomes of a server that sends this again and again."""
    with raw_server(sends(message)) as port, open_source(f"igtl://127.0.0.1:{port}") as source:
        return next(iter(source.pictures())).pixels


def test_colours_are_bgr_here_and_deep_pixels_become_bytes() -> None:
    found, mm, _ = pictures({"shape": [1, 48, 64, 3], "level": 7}, 1)
    assert found[0].pixels.shape == (48, 64, 3) and mm is None  # no matrix was given: no millimetres are claimed
    for dtype in ("uint16", "int16"):
        found, _, _ = pictures({"dtype": dtype, "level": 1024, "corner": 4095}, 1)
        assert found[0].pixels.dtype == np.uint8
        assert (int(found[0].pixels[0, 0]), int(found[0].pixels[-1, -1])) == (255, 64)
    large_first = image(dtype="uint16", level=0x0102)  # pyigtl sends the small end first; the other way round
    assert only(with_field(large_first, 4, b"\1"))[0, 0] == 0x0201 >> 2


def test_red_of_the_sender_is_red_here() -> None:
    red = np.zeros((1, 32, 40, 4), np.uint8)
    red[..., 0], red[..., 3] = 250, 255
    pixels = only(pyigtl.ImageMessage(red, device_name="A").pack())
    assert pixels.shape == (32, 40, 3) and pixels[0, 0].tolist() == [0, 0, 250]


def test_one_device_is_shown_and_never_another_in_turns() -> None:
    with pyigtl_server(json.dumps({"devices": ["First", "Second"]})) as port:
        for wanted in ("", "Second"):
            with open_source(f"igtl://127.0.0.1:{port}/{wanted}") as source:
                assert source.name.startswith(wanted or "First")


def test_a_consumer_that_is_slow_gets_the_newest() -> None:
    with pyigtl_server() as port, open_source(f"igtl://127.0.0.1:{port}") as source:
        stream = iter(source.pictures())
        first = next(stream).media_ns
        time.sleep(1.0)
        second = next(stream).media_ns  # what was sent meanwhile gave way
    assert first is not None and second is not None and second - first > 0.7e9


def told(port: int, rest: str = "") -> str:
    """What a person is told, at opening or at the first picture that is not as it should be."""
    with pytest.raises(OSError) as caught, open_source(f"igtl://127.0.0.1:{port}{rest}") as source:
        for _ in source.pictures():
            pass
    words = str(caught.value)
    assert "\n" not in words and "Errno" not in words and len(words) < 320
    assert threads() == []
    return words


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "feed"]


def sends(*parts: bytes, pause_s: float = 0.02, most: int = 500) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        for number in range(most):
            connection.sendall(parts[min(number, len(parts) - 1)])
            time.sleep(pause_s)

    return serve


def image(
    shape: tuple[int, ...] = (1, 48, 64), device: str = "A", dtype: str = "uint8", mm: float = 0.2, level: int = 9
) -> bytes:
    return pyigtl.ImageMessage(np.full(shape, level, dtype), np.diag([mm, mm, 1, 1]), device_name=device).pack()


def test_nobody_there_and_addresses_that_are_none() -> None:
    assert "there is no OpenIGTLink server at 127.0.0.1" in told(free_port())
    for rest in ("", "//", "//host:port", "//host/" + "x" * 21, "//host:18944?x=1", "//me@host"):
        with pytest.raises(ValueError, match="is no address of OpenIGTLink; write igtl://HOST:18944"):
            open_source(f"igtl:{rest}")


def test_a_server_that_goes_away_ends_the_feed() -> None:
    with pyigtl_server(json.dumps({"stop_after": 20})) as port:
        assert "has ended the connection" in told(port)


def test_a_server_that_falls_silent_ends_the_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(igtl, "SILENT_S", 0.5)
    quiet = pyigtl.StringMessage("only words", device_name="S").pack()
    with raw_server(sends(quiet)) as port:
        assert "sends no IMAGE: nothing for" in told(port)
    with raw_server(sends(image(device="Other"))) as port:
        assert "sends no IMAGE of the device 'Mine' (only of Other)" in told(port, "/Mine")
    with raw_server(
        sends(image(), image(), image()[:200], b"", pause_s=0.1, most=20)
    ) as port:  # stops within a message
        assert "sends no IMAGE of the device 'A'" in told(port)
    drip = image(device="Slow")

    def drips(connection: socket.socket) -> None:
        for byte in range(len(drip)):
            connection.sendall(drip[byte : byte + 1])
            time.sleep(0.01)

    with raw_server(drips) as port:  # a byte now and then is no sign of life
        assert "sends no IMAGE" in told(port)


def with_field(message: bytes, offset: int, field: bytes) -> bytes:
    """`message` with other bytes at `offset` of its body, and a checksum that fits."""
    body = bytearray(message[58:])
    body[offset : offset + len(field)] = field
    return message[:50] + struct.pack("> Q", pyigtl.messages.CRC64(bytes(body))) + bytes(body)


def announcing(size: int, kind: bytes = b"IMAGE", version: int = 1) -> bytes:
    return struct.pack("> H 12s 20s II Q Q", version, kind, b"A", 0, 0, size, 0)


SECOND = announcing(12, version=2)
WRONG = {
    "no OpenIGTLink; check the port": b"HTTP/1.1 400 Bad Request\r\nServer: none\r\nContent-Length: 0\r\n\r\n",
    "announces a message of 18446744073709551615 bytes": announcing((1 << 64) - 1),
    "an image that is cut off": announcing(10) + b"\0" * 10,
    "a message that is cut off": announcing(10, version=2) + b"\0" * 10,
    "whose parts do not fit": SECOND + struct.pack("> H H I I", 12, 9, 1 << 31, 0),
    "a volume of 5 slices": image((5, 48, 64)),
    "damaged on the way": image()[:-1] + b"\1",
    "not whole numbers": image(dtype="float32"),
    "2 components": image((1, 48, 64, 2)),
    "parts of images": with_field(image(), 60, struct.pack("> 6H", 1, 0, 0, 63, 48, 1)),
    "an image that is damaged": with_field(
        with_field(image(), 6, struct.pack("> 3H", 65, 48, 1)), 66, struct.pack("> 3H", 65, 48, 1)
    ),
    "is damaged or cut off": with_field(image(), 3, b"\x63"),  # a scalar type that is none
}


@pytest.mark.parametrize("says", WRONG)
def test_what_is_no_picture_is_told(says: str) -> None:
    for first in ([], [image()]):  # at opening, and later
        with raw_server(sends(*first, WRONG[says], most=20)) as port:
            assert says in told(port)


def test_random_bytes_never_do_more_than_end_the_feed() -> None:
    noise, whole = np.random.default_rng(3), image()
    for _ in range(60):
        damaged = bytearray(whole)
        for place in noise.integers(0, 140, 3):
            damaged[place] = noise.integers(0, 256)
        damaged[50:58] = bytes(8)  # no checksum to save us
        with raw_server(sends(bytes(damaged), pause_s=0, most=1)) as port:
            told(port)


def test_another_depth_begins_the_feed_anew() -> None:
    for other in (image(mm=0.3), image((1, 40, 64)), image((1, 48, 64, 3))):
        with raw_server(sends(image(), image(), other, pause_s=0.1)) as port:
            assert "has changed its size or depth" in told(port)
    with raw_server(sends(image(mm=1.0))) as port, open_source(f"igtl://127.0.0.1:{port}") as source:
        assert source.mm_per_pixel is None  # ones are what a sender without a calibration fills in


def test_a_run_shows_stale_while_the_server_is_gone_and_goes_on(tmp_path: Path, network: Path) -> None:
    port = free_port()
    options = ("--headless", "--model", network, "--crop", "0,0,64,48")
    server = contextlib.ExitStack()
    server.enter_context(pyigtl_server(port=port))
    with server, live_run(tmp_path, f"igtl://127.0.0.1:{port}", *options) as run:
        run.wait_for("a feed is shown")
        server.close()
        run.wait_for("nothing new to show")
        with pyigtl_server(port=port):
            run.wait_for("a feed is shown", 2)
        report = run.stop()
    assert report["states"]["stale"] >= 1 and "has ended the connection" in run.said
