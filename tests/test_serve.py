"""The engine's process under hostile, lossy and slow company: real sockets, a real network."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import zmq
from conftest import make_frame
from smartca.engine import open_runner, segmenter_for
from smartca.scores.counts import Counts
from smartca.stream.frame import Frame, State
from smartca.stream.link.link import Receiver, Sender, transmitter
from smartca.stream.link.wire import Answer, Beat, Grant, pack, unpack
from smartca.stream.order import Order
from smartca.stream.serve import serve
from smartca.stream.tally import Tally
from smartca.stream.view import ViewState, view


@dataclass
class Serving:
    """A serve loop in a thread, and how many messages it refused."""

    bind: str
    publish: str
    context: zmq.Context[zmq.Socket[bytes]]
    stop: threading.Event = field(default_factory=threading.Event)
    refused: list[int] = field(default_factory=list)
    dealers: list[zmq.Socket[bytes]] = field(default_factory=list)

    def dealer(self, endpoint: str) -> zmq.Socket[bytes]:
        """A peer of the engine's."""
        dealer = self.context.socket(zmq.DEALER)
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(endpoint)
        self.dealers.append(dealer)
        return dealer


@pytest.fixture
def serving(tmp_path: Path, network: Path) -> Iterator[Serving]:
    """The engine at two ipc addresses."""
    it = Serving(f"ipc://{tmp_path}/in", f"ipc://{tmp_path}/out", zmq.Context())

    def run() -> None:
        def open_segmenter():  # type: ignore[no-untyped-def]
            runner = open_runner(network, "fp32", 1)
            return segmenter_for(runner, network)

        it.refused.append(serve(open_segmenter, it.bind, it.publish, False, lambda: not it.stop.is_set()))

    thread = threading.Thread(target=run)
    thread.start()
    yield it
    it.stop.set()
    thread.join()
    for dealer in it.dealers:
        dealer.close()
    it.context.term()


class Viewer:
    """A viewer that keeps every answer."""

    def __init__(self, serving: Serving, epoch: int = 500) -> None:
        self.socket = serving.dealer(serving.publish)
        self.receiver = Receiver(transmitter(self.socket), epoch)
        self.answers: list[Answer] = []

    def pump(self, milliseconds: int = 5) -> None:
        """Take what has come, and grant."""
        self.receiver.announce(time.monotonic_ns())
        while self.socket.poll(milliseconds):
            message = unpack(self.socket.recv())
            body = self.receiver.hear(message, time.monotonic_ns())
            if isinstance(body, Answer):
                self.answers.append(body)
            if message.number:
                self.receiver.finish(message, time.monotonic_ns())


class Scanner:
    """A feed that sends what it is told to, on credit."""

    def __init__(self, serving: Serving, epoch: int) -> None:
        self.socket = serving.dealer(serving.bind)
        self.sender = Sender(transmitter(self.socket), epoch)

    def pump(self) -> None:
        """Hear grants and show life."""
        while self.socket.poll(0):
            self.sender.hear(unpack(self.socket.recv()), time.monotonic_ns())
        self.sender.beat(time.monotonic_ns())

    def send(self, frame: Frame) -> bool:
        """Send one frame if there is credit."""
        self.pump()
        return self.sender.send(frame, time.monotonic_ns())


def exchange(scanner: Scanner, viewer: Viewer, frames: list[Frame]) -> None:
    """Send all frames and wait for all answers."""
    waiting, wanted = list(frames), len(viewer.answers) + len(frames)
    while len(viewer.answers) < wanted:
        if waiting and scanner.send(waiting[0]):
            waiting.pop(0)
        scanner.pump()
        viewer.pump(1)


def outlines_its_own(answer: Answer) -> bool:
    counts = Counts()
    assert answer.result.mask is not None
    assert answer.frame.truth is not None
    counts.add(answer.result.mask, answer.frame.truth)
    return (counts.dice_pooled or 0.0) > 0.7


def test_answers_come_in_order_each_on_its_own_frame(serving: Serving) -> None:
    scanner, viewer = Scanner(serving, 7), Viewer(serving)
    exchange(scanner, viewer, [make_frame(seq, live=False) for seq in range(30)])
    assert [answer.frame.seq for answer in viewer.answers] == list(range(30))
    assert all(outlines_its_own(answer) for answer in viewer.answers)
    assert viewer.answers[-1].result.served.taken == 30
    assert viewer.receiver.last_beat is not None
    assert viewer.receiver.last_beat.engine is not None


def test_two_feeds_take_turns(serving: Serving) -> None:
    one, two, viewer = Scanner(serving, 7), Scanner(serving, 8), Viewer(serving)
    sent = {7: 0, 8: 0}
    while len(viewer.answers) < 60:
        for scanner in (one, two):
            epoch = scanner.sender.epoch
            if scanner.send(make_frame(sent[epoch], epoch=epoch, live=False)):
                sent[epoch] += 1
        viewer.pump(1)
    share = sum(answer.frame.epoch == 7 for answer in viewer.answers) / len(viewer.answers)
    assert 0.35 < share < 0.65


def test_a_dark_frame_is_no_result_not_no_tear(serving: Serving) -> None:
    scanner, viewer = Scanner(serving, 7), Viewer(serving)
    bright = make_frame(0, live=False)
    dark = Frame(np.zeros_like(bright.pixels), "a feed", 7, 1, 0, False, bright.sector)
    exchange(scanner, viewer, [bright, dark])
    result = viewer.answers[1].result
    assert (result.state, result.mask) == (State.NO_RESULT, None)
    assert "dark" in result.reason


def test_nothing_is_asked_for_while_nobody_looks(serving: Serving) -> None:
    scanner = Scanner(serving, 7)
    heard: list[Grant] = []
    until = time.monotonic() + 20
    while len(heard) < 3 and time.monotonic() < until:
        scanner.sender.beat(time.monotonic_ns())
        while scanner.socket.poll(10):
            body = unpack(scanner.socket.recv()).body
            assert isinstance(body, Grant)
            heard.append(body)
    assert heard
    assert {grant.window for grant in heard} == {0}


def memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def hostile_messages(count: int) -> Iterator[list[bytes]]:
    """Random bytes, damaged messages, messages in the wrong direction, and several parts."""
    chance = random.Random(2)
    good = [
        pack(make_frame(1), 66, 1),
        pack(Answer(make_frame(1), _no_result()), 66, 1),
        pack(Beat(1), 66),
        pack(Grant(1, 1, 1, 64, 1), 66),
    ]
    for number in range(count):
        data = bytearray(chance.choice(good))
        if number % 3 == 0:
            data = bytearray(chance.randbytes(chance.randint(0, 2000)))
        elif number % 3 == 1:
            for _ in range(chance.randint(1, 9)):
                data[chance.randrange(len(data))] ^= chance.randint(1, 255)
        yield [bytes(data)] * chance.choice([1, 1, 1, 2, 5])


def _no_result():  # type: ignore[no-untyped-def]
    from smartca.stream.frame import Result

    return Result(State.NO_RESULT, reason="forged")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory's size from /proc")
def test_ten_thousand_hostile_messages_change_nothing(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    scanner, viewer = Scanner(serving, 7), Viewer(serving)
    exchange(scanner, viewer, [make_frame(seq, live=False) for seq in range(5)])
    attackers = [serving.dealer(end) for end in (serving.bind, serving.publish) for _ in range(3)]
    before = memory_mb()
    for number, parts in enumerate(hostile_messages(10_000)):
        attackers[number % len(attackers)].send_multipart(parts)
        if number % 500 == 0:
            scanner.pump()
            viewer.pump(0)
    exchange(scanner, viewer, [make_frame(seq, live=False) for seq in range(5, 10)])
    assert [answer.frame.seq for answer in viewer.answers if answer.frame.epoch == 7] == list(range(10))
    assert all(outlines_its_own(a) for a in viewer.answers if a.frame.epoch == 7)
    assert memory_mb() - before < 60
    serving.stop.set()
    while not serving.refused:
        time.sleep(0.01)
    assert serving.refused[0] > 5000
    assert "refused" in caplog.text
    assert len(caplog.records) < 200, "a flood of messages must not be a flood in the log"


def test_a_live_frame_that_waited_for_a_viewer_is_not_shown_late(serving: Serving) -> None:
    """A viewer that comes back must see the present, not what stood in a queue meanwhile."""
    scanner, first = Scanner(serving, 7), Viewer(serving)
    exchange(scanner, first, [make_frame(seq) for seq in range(3)])
    sent, until = 3, time.monotonic() + 0.2
    while time.monotonic() < until:  # the viewer reads and grants no more: frames begin to wait
        sent += scanner.send(make_frame(sent))
        time.sleep(0.005)
    assert sent >= 6
    time.sleep(0.6)
    second = Viewer(serving, epoch=501)
    exchange(scanner, second, [make_frame(seq) for seq in range(sent, sent + 3)])
    assert [answer.frame.seq for answer in second.answers] == [sent, sent + 1, sent + 2]
    dropped = second.answers[-1].result.served.dropped
    assert dropped["too old at the engine"] == 1


def test_a_viewer_lets_a_dead_feed_go(serving: Serving) -> None:
    """The feed on display dies while another lives: after a while the viewer shows the living one."""
    state = ViewState(Tally(), Order())
    seen: list[str] = []

    def keep() -> bool:
        if state.tally.shown:
            seen.append(state.order.source)
        return not serving.stop.is_set() and "b feed" not in seen

    viewing = threading.Thread(target=view, args=(serving.publish, [], state, keep))
    viewing.start()
    one, two = Scanner(serving, 7), Scanner(serving, 8)
    sent = 0
    until = time.monotonic() + 20
    while viewing.is_alive() and time.monotonic() < until:
        if sent < 5:
            sent += one.send(make_frame(sent))
        else:
            two.send(replace(make_frame(sent, epoch=8), source="b feed"))
            sent += 1
        time.sleep(0.01)
    serving.stop.set()
    viewing.join()
    assert seen[0] == "a feed"
    assert seen[-1] == "b feed"
    assert state.tally.absences["STALE"] >= 1
