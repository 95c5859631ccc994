"""Viewers ask the engine for another point: the last one to ask decides, all see it, and each result says it."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from smartca.engine.operating_point import PointName
from smartca.stream.frame import Frame, State
from smartca.stream.link.wire import Grant, pack
from smartca.stream.order import Order
from smartca.stream.tally import Tally
from smartca.stream.view import ViewState, view
from support.frames import make_frame
from support.networks import brightness_network, three_points
from support.serving import Scanner, Serving, Viewer
from support.waiting import join, wait_until


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Calibrated by hand: a square of q about 0.2 is nothing, unsure or outlined, as the point is."""
    return three_points(brightness_network(tmp_path / "three.onnx"))


def faint(seq: int) -> Frame:
    """A frame whose square is as bright as q = 0.2 asks for."""
    frame = make_frame(seq, live=False)
    pixels = np.full_like(frame.pixels, 40)
    pixels[8:36, 16:48] = 147
    return replace(frame, pixels=pixels)


def answered(scanner: Scanner, viewers: list[Viewer], seq: int) -> None:
    """Send one frame, and wait until every viewer has it."""
    wanted = [len(viewer.answers) + 1 for viewer in viewers]
    sent = False

    def all_have_it() -> bool:
        nonlocal sent
        sent = sent or scanner.send(faint(seq))
        scanner.pump()
        for viewer in viewers:
            viewer.pump(1)
        return all(len(viewer.answers) >= count for viewer, count in zip(viewers, wanted, strict=True))

    wait_until(all_have_it, every_s=0)


STATES = {
    "careful": State.NO_TEAR_OUTLINED,
    "balanced": State.UNSURE,
    "searching": State.TEAR_OUTLINED,
}


def test_the_last_to_ask_decides_and_all_see_it(serving: Serving) -> None:
    scanner, one, two = Scanner(serving, 7), Viewer(serving, 500), Viewer(serving, 501)
    asks: list[tuple[Viewer, PointName]] = [(one, "careful"), (two, "searching"), (one, "balanced"), (two, "careful")]
    answered(scanner, [one, two], 0)
    assert one.answers[0].result.point == "balanced"
    for seq, (viewer, point) in enumerate(asks, 1):
        viewer.receiver.ask(point, viewer.receiver.asked + 1, time.monotonic_ns())
        time.sleep(0.3)  # the other viewer's older wish comes again meanwhile, and changes nothing
        answered(scanner, [one, two], seq)
        for seen in (one, two):
            result = seen.answers[-1].result
            assert (result.point, result.state) == (point, STATES[point])
            assert (result.unsure is not None) == (point == "balanced")
    assert one.receiver.last_beat is not None and one.receiver.last_beat.engine is not None
    assert one.receiver.last_beat.engine["points"] == "three"


def test_a_forged_wish_changes_nothing(serving: Serving) -> None:
    scanner, viewer = Scanner(serving, 7), Viewer(serving)
    answered(scanner, [viewer], 0)
    stranger = serving.dealer(serving.publish)
    good = pack(Grant(0, 0, 0, 2, 1, "", "searching", 9), 66)
    stranger.send(good.replace(b"searching", b"searchinG"))
    stranger.send(msgspec.msgpack.encode({"type": "grant", "point": "searching"}))
    feed = serving.dealer(serving.bind)  # a feed has no say in it
    feed.send(good)
    time.sleep(0.2)
    answered(scanner, [viewer], 1)
    assert viewer.answers[-1].result.point == "balanced"
    serving.stop.set()
    wait_until(lambda: serving.refused)
    assert serving.refused[0] >= 3


def test_a_viewer_gives_up_a_wish_that_gave_way_to_anothers(serving: Serving) -> None:
    """So that an engine that starts anew, which hears of all wishes at once, goes on as it was."""
    state = ViewState(Tally(), Order())
    heard: list[str] = []

    class Display:
        def show(self, shown, tally) -> None:  # type: ignore[no-untyped-def]
            heard.append(shown.result.point)

        def status(self, *_: object) -> None: ...

        def close(self) -> None: ...

    viewing = threading.Thread(
        target=view, args=(serving.publish, [Display()], state, lambda: not serving.stop.is_set()), daemon=True
    )
    viewing.start()
    scanner, other = Scanner(serving, 7), Viewer(serving)
    state.ask("searching")
    wait_until(lambda: not answered(scanner, [other], len(heard)) and heard[-1:] == ["searching"])
    other.receiver.ask("careful", 1, time.monotonic_ns())
    wait_until(lambda: not answered(scanner, [other], len(heard)) and heard[-1:] == ["careful"])
    state.ask("searching")  # and a new wish counts again
    wait_until(lambda: not answered(scanner, [other], len(heard)) and heard[-1:] == ["searching"])
    serving.stop.set()
    join(viewing)
