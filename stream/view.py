"""The viewer's process: answers in, overlays out, and an honest word whenever there is none."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import zmq

from ..engine.operating_point import PointName
from .displays.contract import Display, Shown
from .displays.recording import FilmRecord
from .frame import Clock, FeedName, Frame, State
from .link.clock import chain
from .link.credits import LEASE_NS
from .link.dial import Dialled
from .link.link import POLL_MS, Receiver, Rejections, read_messages, transmitter, waiting
from .link.wire import End, Message, Reply, WireError
from .order import Order
from .tally import Tally

log = logging.getLogger(__name__)
STATUS_NS = 100_000_000
LET_GO_NS = 2_000_000_000  # a feed that is gone this long gives way to another


@dataclass(frozen=True, slots=True)
class Wish:
    """An operating point that somebody at this viewer asked for; `asked` counts how often anybody did."""

    point: PointName | Literal[""] = ""
    asked: int = 0


@dataclass(slots=True)
class ViewState:
    """What the loop knows; whoever calls `view` may look at it at any time."""

    tally: Tally
    order: Order
    engine: dict[str, str | list[int]] | None = None
    ended: bool = False
    problem: str = ""
    rejected: int = 0
    wish: Wish = Wish()
    says: State = State.NO_RESULT  # of what is on display
    sticks: bool = False  # to its feed, also after its end: a recording holds one
    recorded: Callable[[], FilmRecord | None] = lambda: None  # what became of the recording, if there is one

    def ask(self, point: PointName) -> None:
        """Ask the engine to outline at `point`, for all its viewers; called from any thread."""
        self.wish = Wish(point, self.wish.asked + 1)


def view(
    endpoint: str,
    displays: Sequence[Display],
    state: ViewState,
    keep: Callable[[], bool],
    insecure: bool = False,
    from_start: bool = False,
    one_feed: bool = False,
) -> None:
    """Show what the engine at `endpoint` answers until `keep` says no. Raises EndpointError.

    As `watch` does, which has the same arguments.
    """
    for _ in watch(endpoint, displays, state, keep, insecure, from_start, one_feed):
        pass


def watch(
    endpoint: str,
    displays: Sequence[Display],
    state: ViewState,
    keep: Callable[[], bool],
    insecure: bool = False,
    from_start: bool = False,
    one_feed: bool = False,
) -> Iterator[Shown]:
    """What the engine at `endpoint` answers, frame by frame, once `displays` have it, until `keep` says no.

    The next frame is asked for when the one before has been dealt with, so that a slow taker gets the newest.
    Raises EndpointError.

    from_start: this viewer belongs to the run from its start, so frames dropped before its first count too.
    one_feed: no other feed will come, so one that is gone is waited for.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    try:
        dialled = Dialled(context, endpoint, insecure)
        yield from _Viewing(dialled, displays, state, from_start, one_feed).run(keep)
    finally:
        context.destroy(linger=200)


class _Viewing:
    def __init__(
        self,
        dialled: Dialled,
        displays: Sequence[Display],
        state: ViewState,
        from_start: bool,
        one_feed: bool,
    ) -> None:
        self.dialled, self.displays, self.state = dialled, displays, state
        self.socket = dialled.socket
        self.from_start, self.one_feed = from_start, one_feed
        self.receiver = Receiver(transmitter(dialled.socket), time.time_ns(), state.order.asks)
        self.rejections = Rejections()
        self.last_frame_ns = 0
        self.epoch = 0  # of the feed on display
        self.was = State.NO_RESULT
        self.why_ended = ""
        self.met = self.given_up = 0  # the wishes, by `asked`, that a result has met, and that gave way to another's
        self.status_due = 0
        self.times: deque[int] = deque(maxlen=31)

    def run(self, keep: Callable[[], bool]) -> Iterator[Shown]:
        while keep():
            self.socket.poll(POLL_MS)
            for parts in waiting(self.socket):
                message = read_messages(parts[-1], self.rejections)
                if message is not None:
                    yield from self._take(message)
            now = time.monotonic_ns()
            wish = self.state.wish
            self.receiver.ask("" if wish.asked == self.given_up else wish.point, wish.asked, now)
            self.receiver.announce(now)
            self.state.rejected = self.rejections.count
            self._judge(now)

    def _take(self, message: Message) -> Iterator[Shown]:
        now = time.monotonic_ns()
        try:
            body = self.receiver.hear(message, now)
        except WireError as error:
            self.rejections.add(error)
            return
        if isinstance(body, Reply):
            shown = self._show(body, now)
            if shown is not None:
                yield shown
            self.receiver.finish(message, time.monotonic_ns())
        elif isinstance(body, End):
            self._end(body)
            self.receiver.finish(message, now)
        elif isinstance(body, Frame):
            self.rejections.add("a bare frame came to a viewer, who only takes answers")
        elif self.receiver.last_beat is not None:
            self.state.engine = self.receiver.last_beat.engine or self.state.engine

    def _show(self, answer: Reply, now: int) -> Shown | None:
        """Hand on an answer; None for one that has come too late."""
        frame, result, tally = answer.frame, answer.result, self.state.tally
        first = f"{frame.epoch}" not in tally.attached and not self.from_start
        if not self.state.order.accepts(frame):
            return None
        self.receiver.source = self.state.order.asks
        self.state.ended = False
        if frame.epoch != self.epoch:
            log.info("a feed is shown", extra={"source": frame.source, "epoch": frame.epoch, "seq": frame.seq})
            self.epoch = frame.epoch
        if first:
            tally.came_late(frame, result)
        clock = chain(frame.clock, self.receiver.clock.estimate() or Clock())
        captured = frame.captured_ns - clock.offset_ns
        self.times.append(now)
        shown = Shown(frame, result, captured, clock.uncertainty_ns, self._fps())
        for display in self.displays:
            display.show(shown, tally)
        self.last_frame_ns = out = time.monotonic_ns()
        tally.add(frame, result, (out - captured) / 1e6, out)
        self.was = self.state.says = result.state
        self._heed(result.point)
        return shown

    def _heed(self, point: str) -> None:
        """Give a wish up that was met and then gave way to another viewer's: it is that one's that counts."""
        wish = self.state.wish
        if wish.point == point:
            self.met = wish.asked
        elif wish.asked == self.met:
            self.given_up = wish.asked

    def _end(self, end: End) -> None:
        if self.state.order.is_its_own(end.name):
            self.state.tally.end(end)
            self.state.ended = True
            self.why_ended = end.problem
            self.state.problem = end.problem or self.state.problem
            facts = {"source": end.source, "epoch": end.epoch, "early": bool(end.problem)}
            log.info("the feed has ended", extra=facts)

    def _judge(self, now: int) -> None:
        """Say 'stale' or 'no result' as soon as what is on display is older than a lease."""
        if now - self.last_frame_ns <= LEASE_NS or now < self.status_due:
            return
        self.status_due = now + STATUS_NS
        if not self.one_feed and self.last_frame_ns and now - self.last_frame_ns > LET_GO_NS:
            self._look_for_another()
        says, note = self._absence(now)
        if self.was is not says and self.last_frame_ns and not self.state.ended:
            self.state.tally.absent(says)
            log.info("nothing new to show", extra={"state": says.value})
        self.was = self.state.says = says
        for display in self.displays:
            display.status(says, note, self.state.tally)

    def _look_for_another(self) -> None:
        """Go over to another feed once its own has ended in good order.

        Another scanner's picture, another patient's, must not take this one's place by itself.
        """
        order, others = self.state.order, self._others()
        if others and self.state.ended and not self.state.sticks and not order.wanted:
            log.info("another feed is followed", extra={"source": others[0].source, "feed": others[0].feed})
            order.follow(others[0])
            self.why_ended = f"another feed follows: {others[0]}"
            self.receiver.source = order.asks

    def _others(self) -> list[FeedName]:
        """The engine's other feeds."""
        beat, own = self.receiver.last_beat, self.state.order.feed
        return [name for name in (beat.feeds if beat is not None else ()) if own is None or name.feed != own.feed]

    def _elsewhere(self) -> str:
        """What else could be looked at, in words."""
        others = ", ".join(str(name) for name in self._others()[:4])
        return f"; there are other feeds: {others}" if others and not self.one_feed else ""

    def _absence(self, now: int) -> tuple[State, str]:
        if self.receiver.silent(now):
            return State.NO_RESULT, self.dialled.trouble(now, silent=True) or "the engine does not answer"
        if not self.last_frame_ns:
            return State.NO_RESULT, "waiting for the first frame"
        if self.state.ended:
            return State.STALE, self.why_ended or "the feed has ended"
        return State.STALE, f"no new frame from the scanner{self._elsewhere()}"

    def _fps(self) -> float:
        span = self.times[-1] - self.times[0]
        return round((len(self.times) - 1) * 1e9 / span, 1) if span > 0 else 0.0
