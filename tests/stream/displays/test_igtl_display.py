"""OpenIGTLink out, seen by pyigtl's own client: what it shows is never older than what the viewer knows."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from smartca.errors import FileError, InputError
from smartca.stream.displays.broadcast import MOST_CLIENTS, Broadcast
from smartca.stream.displays.contract import Shown
from smartca.stream.displays.igtl import MASK, OVERLAY, STATE, OpenIgtLinkDisplay
from smartca.stream.frame import State
from smartca.stream.run.viewing import open_display
from smartca.stream.sources import open_source
from smartca.stream.tally import Tally
from support.frames import make_frame, make_result
from support.igtl import free_port
from support.live_run import live_run
from support.waiting import wait_until

pyigtl = pytest.importorskip("pyigtl", reason="pyigtl (the extra 'slicer') is not installed")
TALLY = Tally()


def shown(state: State = State.TEAR_OUTLINED, seq: int = 3, colour: bool = False) -> Shown:
    frame = make_frame(seq, colour=colour)
    return Shown(frame, make_result(frame, state), time.monotonic_ns() - 40_000_000, 0, 25.0)


@contextmanager
def displayed(device: str = "") -> Iterator[tuple[OpenIgtLinkDisplay, int]]:
    port = free_port()
    display = open_display(f"igtl://127.0.0.1:{port}/{device}")
    assert isinstance(display, OpenIgtLinkDisplay)
    try:
        yield display, port
    finally:
        display.close()


@contextmanager
def client(port: int) -> Iterator[Any]:
    found = pyigtl.OpenIGTLinkClient("127.0.0.1", port)
    try:
        yield found
    finally:
        found.stop()


def heard(client: Any, device: str) -> Any:
    message = client.wait_for_message(device, timeout=20)
    assert message is not None, f"nothing of {device} came"
    return message


def told(client: Any) -> dict[str, Any]:
    return json.loads(heard(client, STATE).string)


def test_mask_overlay_and_state_of_one_frame_come_with_its_millimetres_and_its_time() -> None:
    with displayed() as (display, port), client(port) as slicer:
        wait_until(lambda: display.clients)
        one, before = shown(), time.time()
        display.show(one, TALLY)
        state, mask, overlay = told(slicer), heard(slicer, MASK), heard(slicer, OVERLAY)
    assert one.result.mask is not None
    assert mask.image.shape == (1, 48, 64) and np.array_equal(mask.image[0], one.result.mask)
    assert overlay.image.shape == (1, 48, 64, 3) and overlay.image.dtype == np.uint8
    amber = overlay.image[0, 10, 30]  # RGB on this side
    assert amber[0] > 200 and amber[2] < 60
    for image in (mask, overlay):
        assert np.allclose(image.ijk_to_world_matrix, np.diag([0.2, 0.1, 1, 1]), atol=1e-6)
        assert -0.5 < image.timestamp - (before - 0.04) < 0.5 and image.timestamp == mask.timestamp
    assert state["state"] == "tear outlined" and state["seq"] == 3 and state["source"] == "a feed"
    assert (state["area_pixels"], state["area_mm2"]) == (480, 9.6)


def test_one_device_alone_for_who_takes_any_image() -> None:
    with displayed(OVERLAY) as (display, port), client(port) as plus:
        display.show(shown(), TALLY)
        assert heard(plus, OVERLAY).image.any()
        display.status(State.STALE, "why", TALLY)
        assert heard(plus, OVERLAY).image.any() and not plus.get_latest_messages()


@pytest.mark.parametrize("state", [State.NO_RESULT, State.NO_TEAR_OUTLINED, State.UNSURE])
def test_without_an_outline_the_mask_is_empty(state: State) -> None:
    with displayed() as (display, port), client(port) as slicer:
        display.show(shown(colour=True), TALLY)
        assert heard(slicer, MASK).image.any()
        display.show(shown(state, 4, colour=True), TALLY)
        wait_until(lambda: told(slicer)["state"] == state.value)
        assert not heard(slicer, MASK).image.any()


@pytest.mark.parametrize("state", [State.STALE, State.NO_RESULT])
def test_no_mask_is_left_standing_when_the_present_is_lost(state: State) -> None:
    with displayed() as (display, port), client(port) as slicer:
        display.show(shown(), TALLY)
        assert heard(slicer, MASK).image.any()
        for _ in range(3):
            display.status(state, "why", TALLY)
        wait_until(lambda: told(slicer) == {"state": state.value, "note": "why", "time": ANY})
        assert not heard(slicer, MASK).image.any() and heard(slicer, OVERLAY).image.any()


def test_at_the_end_the_mask_is_taken_away() -> None:
    with displayed() as (display, port), client(port) as slicer:
        display.show(shown(), TALLY)
        assert heard(slicer, MASK).image.any()
        display.close()
        assert not heard(slicer, MASK).image.any()
        assert told(slicer)["note"] == "smartca has ended"


def test_who_comes_late_gets_what_holds_now() -> None:
    with displayed() as (display, port):
        display.status(State.NO_RESULT, "waiting for the first frame", TALLY)
        with client(port) as slicer:
            assert told(slicer)["note"] == "waiting for the first frame"
        display.show(shown(), TALLY)
        display.status(State.STALE, "no new frame", TALLY)
        with client(port) as slicer:
            assert told(slicer)["state"] == "stale" and not heard(slicer, MASK).image.any()


def test_a_client_that_reads_nothing_slows_no_one_and_is_let_go() -> None:
    with displayed() as (display, port), client(port) as quick, socket.create_connection(("127.0.0.1", port)) as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wait_until(lambda: display.clients == 2)
        seen, seq = 0, 10
        deadline = time.monotonic() + 60
        while display.clients == 2 and time.monotonic() < deadline:
            seq += 1
            large = make_frame(seq)
            pixels = np.repeat(np.repeat(large.pixels, 16, 0), 16, 1)
            frame = type(large)(pixels, "a feed", 7, seq, 0, True, large.sector)
            begun = time.monotonic()
            display.show(Shown(frame, make_result(large, State.NO_RESULT), time.monotonic_ns(), 0, 25.0), TALLY)
            assert time.monotonic() - begun < 1.0  # handed over, not sent
            seen += told(quick)["seq"] == seq
        assert display.clients == 1 and seen > 5


def test_clients_that_go_or_talk_harm_nothing() -> None:
    with displayed() as (display, port):
        for number in range(20):
            with socket.create_connection(("127.0.0.1", port)) as passing:
                passing.sendall(b"\xff" * 3000 * (number % 2))
                display.show(shown(seq=number), TALLY)
        crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(MOST_CLIENTS)]
        wait_until(lambda: display.clients == MOST_CLIENTS)
        with socket.create_connection(("127.0.0.1", port)) as one_too_many:
            one_too_many.settimeout(20)
            assert one_too_many.recv(1) == b""
        for connection in crowd:
            connection.close()
        wait_until(lambda: display.clients == 0)
        with client(port) as slicer:
            assert told(slicer)["seq"] == 19
    assert not [thread for thread in threading.enumerate() if thread.name == "broadcast"]


def test_what_cannot_be_sent_is_told_by_the_next() -> None:
    server = Broadcast("127.0.0.1", port := free_port())

    def fails() -> bytes:
        raise KeyError("bug")

    with socket.create_connection(("127.0.0.1", port)):
        server.publish(fails)
        with pytest.raises(KeyError):
            wait_until(lambda: server.publish(fails))
    server.close()


def test_addresses_that_leave_the_machine_or_are_taken_are_refused() -> None:
    for beyond in ("0.0.0.0", "192.0.2.7", "scanner.example", "[::]"):
        with pytest.raises(InputError, match=r"leaves this machine .* add --insecure if the network is yours alone"):
            open_display(f"igtl://{beyond}")
    port = free_port()
    open_display(f"igtl://0.0.0.0:{port}", insecure=True).close()
    with pytest.raises(InputError, match="has no device 'Mine'; give SmartCA_State, SmartCA_Mask, SmartCA_Overlay"):
        open_display("igtl://127.0.0.1/Mine")
    with displayed() as (_, port), pytest.raises(FileError, match="cannot listen on"):
        open_display(f"igtl://127.0.0.1:{port}")


def test_a_run_goes_out_and_comes_in_again(tmp_path: Path) -> None:
    """The phantom's run as an OpenIGTLink server, and its overlay as the source of whoever attaches to it."""
    port = free_port()
    options = ("--headless", "--fps", "20", "--display", f"igtl://127.0.0.1:{port}")
    with live_run(tmp_path, "phantom:", *options) as run:
        run.wait_for("a feed is shown")
        with client(port) as slicer:
            wait_until(lambda: told(slicer)["state"] == "tear outlined")
            mask, overlay = heard(slicer, MASK), heard(slicer, OVERLAY)
        with open_source(f"igtl://127.0.0.1:{port}/{OVERLAY}") as source:
            picture = next(iter(source.pictures()))
            assert source.mm_per_pixel is not None
            assert np.allclose(source.mm_per_pixel[::-1], np.diag(mask.ijk_to_world_matrix)[:2], atol=1e-6)
        run.stop()
    assert picture.pixels.shape == overlay.image.shape[1:] and picture.pixels.any()


class _Any:
    def __eq__(self, other: object) -> bool:
        return True


ANY = _Any()
