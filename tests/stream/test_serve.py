"""The engine's process under hostile, lossy and slow company: real sockets, a real network."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from smartca.engine import Answer, EngineInfo, OperatingPoint, Runner, Segmenter
from smartca.scores.counts import Counts
from smartca.stream.frame import Frame, State
from smartca.stream.link.wire import Beat, Grant, Reply, pack, unpack
from support.frames import make_frame
from support.serving import Scanner, Serving, Viewer, served
from support.waiting import wait_until


def exchange(scanner: Scanner, viewer: Viewer, frames: list[Frame]) -> None:
    """Send all frames and wait for all answers: live ones one by one, as a newer one takes an older one's place."""
    waiting, wanted = list(frames), len(viewer.answers) + len(frames)

    def answered() -> bool:
        alone = len(viewer.answers) == wanted - len(waiting)
        if waiting and (alone or not waiting[0].live) and scanner.send(waiting[0]):
            waiting.pop(0)
        scanner.pump()
        viewer.pump(1)
        return len(viewer.answers) >= wanted

    wait_until(answered, every_s=0)


def outlines_its_own(answer: Reply) -> bool:
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


@pytest.mark.parametrize("live", [False, True])
def test_pictures_of_a_file_are_worked_on_side_by_side_and_of_a_live_feed_one_by_one(
    tmp_path: Path, live: bool
) -> None:
    runner = Slow()
    with served(tmp_path, lambda: Segmenter(runner, OperatingPoint())) as serving:
        scanner, viewer = Scanner(serving, 7), Viewer(serving)
        sent = 0

        def answered() -> bool:
            nonlocal sent
            sent += scanner.send(make_frame(sent, live=live))  # as quickly as there is credit
            viewer.pump(1)
            return len(viewer.answers) >= 12

        wait_until(answered, every_s=0)
    assert runner.most == (1 if live else 2)
    assert runner.widened is not live
    seqs = [answer.frame.seq for answer in viewer.answers]
    assert seqs == sorted(seqs) if live else seqs == list(range(len(seqs)))
    assert all(outlines_its_own(answer) for answer in viewer.answers)


class Slow(Runner):
    """Takes its time, two pictures at once if told to, and remembers how many it had."""

    live_in_flight = 1

    def __init__(self) -> None:
        self.info = EngineInfo("slow", "fp32", "0" * 64, (1, 1, 64, 64))
        self.started: list[tuple[float, NDArray[np.float32]]] = []
        self.most, self.widened = 0, False

    def widen(self) -> None:
        self.widened, self.in_flight = True, 2

    def start(self, image: NDArray[np.float32]) -> None:
        self.started.append((time.monotonic(), image.copy()))
        self.most = max(self.most, len(self.started))

    def finish(self) -> Answer:
        begun, image = self.started.pop(0)
        time.sleep(max(0.0, begun + 0.02 - time.monotonic()))
        return Answer(image[0, 0])  # as the brightness network does


def test_two_feeds_take_turns(serving: Serving) -> None:
    one, two, viewer = Scanner(serving, 7), Scanner(serving, 8), Viewer(serving)
    sent = {7: 0, 8: 0}

    def answered() -> bool:
        for scanner in (one, two):
            epoch = scanner.sender.epoch
            if scanner.send(make_frame(sent[epoch], epoch=epoch, live=False)):
                sent[epoch] += 1
        viewer.pump(1)
        return len(viewer.answers) >= 60

    wait_until(answered, every_s=0)
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
        pack(Reply(make_frame(1), _no_result()), 66, 1),
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
    wait_until(lambda: serving.refused)
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


def test_at_a_slow_engine_the_newest_frame_is_taken_not_the_one_that_waited(tmp_path: Path) -> None:
    """A feed of 200 frames/s, an engine of 50: of the frames that come while it works the newest is next."""
    runner = Slow()
    with served(tmp_path, lambda: Segmenter(runner, OperatingPoint())) as serving:
        scanner, viewer = Scanner(serving, 7), Viewer(serving)
        captured, passed, behind = -1, 0, []
        began = time.monotonic()
        while len(behind) < 60:
            now = int((time.monotonic() - began) / 0.005)
            if now > captured and scanner.send(replace(make_frame(now), captured_ns=5_000_000 * now + 1)):
                captured = now
            viewer.pump(0)
            for answer in viewer.answers[passed:]:
                behind.append(now - answer.frame.seq)
            passed = len(viewer.answers)
        dropped = viewer.answers[-1].result.served.dropped
    assert dropped["newer frame at the engine"] > 20
    # 20 ms at the engine are 4 frames; one that had waited as long before would be 8 behind
    assert sorted(behind)[len(behind) // 2] < 8
