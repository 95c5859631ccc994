"""Serve's side towards the scanners: every attached feed has its own place, and they take turns."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import zmq

from .causes import NEWER_AT_ENGINE, TOO_OLD_AT_ENGINE
from .fanout import Fanout
from .frame import FeedName, Frame, Trail
from .link.credits import FILE_WINDOW, LEASE_NS, live_window
from .link.link import FORGET_NS, Admits, Receiver, Rejections, read_messages, transmitter, waiting
from .link.wire import End, Message, Reply, WireError

log = logging.getLogger(__name__)
MOST_FEEDS = 16


class WaitingFrame(NamedTuple):
    """A body, the message it came in, and when it came."""

    message: Message
    body: Frame | End
    since_ns: int


@dataclass(slots=True)
class Feed:
    """One attach process: its link, what waits of it, and its totals."""

    receiver: Receiver
    waiting: deque[WaitingFrame] = field(default_factory=deque)
    inferred: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    live: bool = False
    period_ns: float = 0.0  # from one captured frame to the next; 0: not known yet
    _before: tuple[int, int, int] = (0, 0, 0)  # epoch, number and capture of its newest frame

    @property
    def name(self) -> FeedName | None:
        """Which feed it is; None until it has said so."""
        beat = self.receiver.last_beat
        return beat.feeds[0] if beat is not None and beat.feeds else None

    def put(self, message: Message, body: Frame | End, now_ns: int) -> None:
        """Queue a body; a live frame takes the place of every older one that still waits."""
        live = isinstance(body, Frame) and body.live
        if isinstance(body, Frame):
            self.live = body.live
            self._time(body)
        if live:
            while self.waiting:
                self._drop_first(NEWER_AT_ENGINE, now_ns)
        elif len(self.waiting) > FILE_WINDOW + 1:
            raise WireError("a feed sends more than it was granted")
        self.waiting.append(WaitingFrame(message, body, now_ns))

    def _time(self, frame: Frame) -> None:
        """Learn the feed's pace; numbers count the frames too that were dropped at the scanner."""
        epoch, seq, captured_ns = self._before
        self._before = frame.epoch, frame.seq, frame.captured_ns
        if frame.epoch == epoch and frame.seq > seq:
            self.period_ns = max(0, frame.captured_ns - captured_ns) / (frame.seq - seq)

    def open_window(self, busy_ns: float) -> None:
        """How many of its messages may be in flight, at an engine that hears nothing for `busy_ns` at a time."""
        self.receiver.account.window = live_window(busy_ns, self.period_ns) if self.live else FILE_WINDOW

    def drop_old(self, now_ns: int) -> None:
        """Live frames that nobody could be shown in time are not shown at all."""
        while self.waiting and now_ns - self.waiting[0].since_ns > LEASE_NS:
            body = self.waiting[0].body
            if not (isinstance(body, Frame) and body.live):
                return
            self._drop_first(TOO_OLD_AT_ENGINE, now_ns)

    def _drop_first(self, cause: str, now_ns: int) -> None:
        self.dropped[cause] += 1
        self.receiver.finish(self.waiting.popleft().message, now_ns)

    def trail(self, epoch: int) -> Trail:
        """The feed's totals at the engine whose epoch is given."""
        return Trail(epoch, self.inferred, dict(self.dropped))


class Intake:
    """All feeds at one socket (a ROUTER)."""

    def __init__(
        self, socket: zmq.Socket[bytes], epoch: int, rejections: Rejections, admits: Admits | None = None
    ) -> None:
        self.feeds: dict[bytes, Feed] = {}
        self._socket, self._admits = socket, admits
        self._epoch = epoch
        self._rejections = rejections

    def names(self, now_ns: int) -> tuple[FeedName, ...]:
        """The feeds that can be had now."""
        return tuple(name for feed in self.feeds.values() if (name := feed.name) and not feed.receiver.silent(now_ns))

    def pump(self, wants: Callable[[FeedName | None], bool], now_ns: int, busy_ns: float = 0.0) -> None:
        """Take in all that waits, and grant: only while somebody `wants` to look at that very feed.

        busy_ns: how long the engine's loop is away from here at a time.
        """
        for parts in waiting(self._socket, self._admits):
            self._take(parts, now_ns)
        for peer, feed in list(self.feeds.items()):
            if now_ns - feed.receiver.heard_ns > FORGET_NS:
                del self.feeds[peer]
                facts = {"epoch": feed.receiver.account.producer, "inferred": feed.inferred}
                log.info("a feed is gone", extra={**facts, "dropped": dict(feed.dropped), "feeds": len(self.feeds)})
                continue
            feed.drop_old(now_ns)
            feed.open_window(busy_ns)
            feed.receiver.want(wants(feed.name), now_ns)
            feed.receiver.announce(now_ns)

    def ready(self, fanout: Fanout, now_ns: int) -> bool:
        """Whether any feed has something waiting that the viewers have room for."""
        return any(self._may_go(feed, fanout, now_ns) for feed in self.feeds.values())

    def take(self, fanout: Fanout, now_ns: int) -> tuple[Feed, Message, Frame | End] | None:
        """The next body that the viewers have room for; feeds take turns."""
        for peer, feed in self.feeds.items():
            if self._may_go(feed, fanout, now_ns):
                self.feeds[peer] = self.feeds.pop(peer)  # to the end of the line
                taken = feed.waiting.popleft()
                return feed, taken.message, taken.body
        return None

    @staticmethod
    def _may_go(feed: Feed, fanout: Fanout, now_ns: int) -> bool:
        if not feed.waiting:
            return False
        body = feed.waiting[0].body
        return isinstance(body, End) or fanout.has_room(body.live, now_ns)

    def _take(self, parts: list[memoryview], now_ns: int) -> None:
        if len(parts) != 2:
            self._rejections.add(f"a message of {len(parts)} parts instead of one")
            return
        message = read_messages(parts[1], self._rejections)
        if message is None:
            return
        try:
            self._sort(bytes(parts[0]), message, now_ns)
        except WireError as error:
            self._rejections.add(error)

    def _sort(self, peer: bytes, message: Message, now_ns: int) -> None:
        feed = self.feeds.get(peer) or self._new(peer)
        before = feed.receiver.account.producer
        body = feed.receiver.hear(message, now_ns)
        if message.epoch != before:
            log.info("a feed came", extra={"epoch": message.epoch, "feeds": len(self.feeds.keys() | {peer})})
        if body is None:
            self.feeds[peer] = feed
            return
        if isinstance(body, Reply):
            raise WireError("an answer came to the engine, which only takes frames")
        if body.epoch != message.epoch:
            raise WireError("a frame's epoch is not its sender's")
        feed.put(message, body, now_ns)
        self.feeds[peer] = feed

    def _new(self, peer: bytes) -> Feed:
        if len(self.feeds) >= MOST_FEEDS:
            raise WireError(f"{MOST_FEEDS} feeds are attached already; stop one first")
        return Feed(Receiver(transmitter(self._socket, peer), self._epoch))
