"""Whose picture is shown: a viewer keeps to its feed, and another patient's never takes its place by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from smartca.stream.attach import token_of
from smartca.stream.displays.contract import Display, Shown
from smartca.stream.frame import FeedName, Frame, State, Trail
from smartca.stream.link.wire import End
from smartca.stream.order import Order
from smartca.stream.tally import Tally
from smartca.stream.view import ViewState, view
from support.frames import make_frame
from support.serving import Scanner, Serving
from support.waiting import join, wait_until

HERE, THERE = FeedName("or-1/aaaaaa", "clip.mp4"), FeedName("or-2/bbbbbb", "camera 0")
TWIN = FeedName("or-1/cccccc", "clip.mp4")  # of the same name on the same machine


class Seen(Display):
    """What a person saw: whose frames, and the last words."""

    def __init__(self) -> None:
        self.feeds: list[str] = []
        self.words = ""

    def show(self, shown: Shown, tally: Tally) -> None:
        self.feeds.append(shown.frame.feed)

    def status(self, state: State, note: str, tally: Tally) -> None:
        self.words = f"{state.value}: {note}"


class Room:
    """Scanners that send for as long as they live, and a viewer."""

    def __init__(self, serving: Serving) -> None:
        self.serving, self.seen = serving, Seen()
        self.scanners: dict[FeedName, Feeding] = {}
        self.state = ViewState(Tally(), Order())
        self.over = False
        self.viewing = threading.Thread(target=self._view, daemon=True)

    def _view(self) -> None:
        view(self.serving.publish, [self.seen], self.state, lambda: not self.over)

    def begin(self, *names: FeedName) -> None:
        """These feeds are attached."""
        for name in names:
            scanner = Scanner(self.serving, time.time_ns() % 10**15, name)
            self.scanners[name] = Feeding(scanner, name)

    def end(self, name: FeedName) -> None:
        """A feed ends in good order."""
        feeding = self.scanners.pop(name)
        epoch = feeding.scanner.sender.epoch
        end = End(name.source, epoch, Trail(epoch, feeding.sent), feed=name.feed)
        wait_until(lambda: [feeding.scanner.pump(), feeding.scanner.sender.send(end, time.monotonic_ns())][1])

    def run(self, seconds: float) -> None:
        """Let it go on."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for feeding in self.scanners.values():
                feeding.send()
            time.sleep(0.01)


@dataclass
class Feeding:
    scanner: Scanner
    name: FeedName
    sent: int = 0

    def send(self) -> None:
        frame: Frame = make_frame(self.sent, epoch=self.scanner.sender.epoch)
        self.sent += self.scanner.send(replace(frame, source=self.name.source, feed=self.name.feed))


@pytest.fixture
def room(serving: Serving) -> Iterator[Room]:
    it = Room(serving)
    it.viewing.start()
    yield it
    it.over = True
    join(it.viewing)


def first_seen(room: Room, *names: FeedName) -> None:
    """Those feeds live, and the first of them is on display."""
    room.begin(names[0])
    wait_until(lambda: [room.run(0.05), room.seen.feeds][1])
    room.begin(*names[1:])
    room.run(0.5)
    assert set(room.seen.feeds) == {names[0].feed}


@pytest.mark.parametrize("other", [THERE, TWIN])
def test_a_killed_feed_is_stale_and_no_other_takes_its_place(room: Room, other: FeedName) -> None:
    first_seen(room, HERE, other)
    del room.scanners[HERE]
    room.run(3.0)
    assert set(room.seen.feeds) == {HERE.feed}
    assert room.seen.words == f"stale: no new frame from the scanner; there are other feeds: {other}"


def test_a_feed_begun_again_goes_on(room: Room) -> None:
    first_seen(room, HERE, THERE)
    del room.scanners[HERE]
    room.run(0.5)
    before = len(room.seen.feeds)
    room.begin(HERE)
    wait_until(lambda: [room.run(0.05), len(room.seen.feeds) > before + 5][1])
    assert set(room.seen.feeds) == {HERE.feed}


def test_another_file_of_the_same_name_is_another_feed(room: Room) -> None:
    first_seen(room, HERE)
    del room.scanners[HERE]
    room.run(0.5)
    room.begin(TWIN)
    room.run(3.0)
    assert set(room.seen.feeds) == {HERE.feed}


def test_the_same_source_has_the_same_token(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "clip.mp4").touch()
    one, other = (str(tmp_path / name / "clip.mp4") for name in ("a", "b"))
    assert token_of(one) == token_of(str(tmp_path / "b" / ".." / "a" / "clip.mp4")) != token_of(other)
    assert token_of("camera:0") == token_of("camera:0") != token_of("camera:1")


def test_after_an_end_in_good_order_the_next_feed_is_followed(room: Room) -> None:
    first_seen(room, HERE, THERE)
    room.end(HERE)
    wait_until(lambda: [room.run(0.05), room.seen.feeds[-1] == THERE.feed][1])


def test_a_recording_holds_one_feed(room: Room) -> None:
    room.state.sticks = True
    first_seen(room, HERE, THERE)
    room.end(HERE)
    room.run(3.0)
    assert set(room.seen.feeds) == {HERE.feed} and room.state.ended


def test_only_feeds_that_somebody_looks_at_are_sent(room: Room) -> None:
    first_seen(room, HERE, THERE)
    before = room.scanners[THERE].sent
    room.run(0.6)
    assert room.scanners[THERE].sent - before <= 2 < room.scanners[HERE].sent


@pytest.mark.parametrize(("wanted", "shown"), [("camera 0", THERE), (THERE.feed, THERE), (TWIN.feed, TWIN)])
def test_a_feed_can_be_asked_for(serving: Serving, wanted: str, shown: FeedName) -> None:
    room = Room(serving)
    room.state.order = Order(wanted)
    room.begin(HERE, TWIN, THERE)
    room.run(0.3)
    room.viewing.start()
    wait_until(lambda: [room.run(0.05), room.seen.feeds][1])
    room.over = True
    join(room.viewing)
    assert set(room.seen.feeds) == {shown.feed}


def test_a_feed_says_where_it_is_attached() -> None:
    assert str(THERE) == "camera 0 (or-2)" and str(make_frame(0).name) == "a feed"
