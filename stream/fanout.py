"""Serve's side towards the viewers: frame and result leave together, at each viewer's own pace."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeGuard

import msgspec
import zmq

from ..engine.operating_point import PointName
from .causes import NEWER_AT_VIEWER, TOO_OLD_AT_VIEWER
from .frame import FeedName, Frame, Result, Trail
from .link.credits import LEASE_NS
from .link.link import FORGET_NS, Admits, Rejections, Sender, read_messages, transmitter, waiting
from .link.wire import End, Grant, Message, Reply, WireError

log = logging.getLogger(__name__)
MOST_VIEWERS = 16


class WaitingReply(NamedTuple):
    """A body and since when it waits."""

    body: Reply | End
    since_ns: int


@dataclass(slots=True)
class Viewer:
    """One view process: its link and what waits for its credit."""

    sender: Sender
    heard_ns: int = 0
    asked: int = 0  # its newest wish for an operating point
    waiting: deque[WaitingReply] = field(default_factory=deque)
    dropped: dict[int, Counter[str]] = field(default_factory=dict)  # by the feed's epoch

    def asks_for(self, name: FeedName) -> bool:
        """Whether it is to be shown that feed."""
        return self.sender.allowance.source in ("", name.source, name.feed)

    def put(self, body: Reply | End, now_ns: int) -> None:
        """Queue a body; a live answer takes the place of every older one of its feed that still waits."""
        if isinstance(body, Reply) and body.frame.live:
            name = body.frame.name
            self._drop(NEWER_AT_VIEWER, lambda old: _is_live(old.body) and old.body.frame.name == name)
        self.waiting.append(WaitingReply(body, now_ns))

    def flush(self, now_ns: int) -> None:
        """Send as much as there is credit for; a live answer that has waited too long is not sent at all."""
        self._drop(TOO_OLD_AT_VIEWER, lambda old: _is_live(old.body) and now_ns - old.since_ns > LEASE_NS)
        while self.waiting and self.sender.send(self._with_losses(self.waiting[0].body), now_ns):
            self.waiting.popleft()

    def _drop(self, cause: str, which: Callable[[WaitingReply], bool]) -> None:
        kept: deque[WaitingReply] = deque()
        for old in self.waiting:
            if isinstance(old.body, Reply) and which(old):
                self._lost(old.body.frame.epoch)[cause] += 1
            else:
                kept.append(old)
        self.waiting = kept

    def _lost(self, epoch: int) -> Counter[str]:
        return self.dropped.setdefault(epoch, Counter())

    def _with_losses(self, body: Reply | End) -> Reply | End:
        """The totals as this viewer must see them: what it missed itself is told too."""
        if isinstance(body, Reply):
            served = _add(body.result.served, self._lost(body.frame.epoch))
            return Reply(body.frame, replace(body.result, served=served))
        return msgspec.structs.replace(body, served=_add(body.served, self._lost(body.epoch)))


def _is_live(body: Reply | End) -> TypeGuard[Reply]:
    return isinstance(body, Reply) and body.frame.live


def _add(trail: Trail, dropped: Counter[str]) -> Trail:
    return replace(trail, dropped=dict(Counter(trail.dropped) + dropped)) if dropped else trail


class Fanout:
    """All viewers at one socket (a ROUTER)."""

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        epoch: int,
        engine: dict[str, str | list[int]],
        rejections: Rejections,
        admits: Admits | None = None,
    ) -> None:
        self.viewers: dict[bytes, Viewer] = {}
        self._socket, self._admits = socket, admits
        self._epoch = epoch
        self._engine = engine
        self._rejections = rejections
        self._wish: PointName | None = None
        self.feeds: tuple[FeedName, ...] = ()  # what viewers can ask for

    def take_wish(self) -> PointName | None:
        """The operating point that a viewer has asked for since the last call, the last one to ask winning."""
        wish, self._wish = self._wish, None
        return wish

    def pump(self, now_ns: int) -> None:
        """Take in grants, send what may be sent, and show life."""
        for parts in waiting(self._socket, self._admits):
            self._take(parts, now_ns)
        for peer, viewer in list(self.viewers.items()):
            if now_ns - viewer.heard_ns > FORGET_NS:
                del self.viewers[peer]
                log.info("a viewer is gone", extra={"viewers": len(self.viewers)})
                continue
            viewer.flush(now_ns)
            viewer.sender.beat(now_ns, self._engine, self.feeds)

    def wants(self, name: FeedName | None, now_ns: int) -> bool:
        """Whether anybody looks at that feed; None: at any."""
        living = (viewer for viewer in self.viewers.values() if viewer.sender.allowance.alive(now_ns))
        return any(name is None or viewer.asks_for(name) for viewer in living)

    def has_room(self, live: bool, now_ns: int) -> bool:
        """Whether to take a frame: a live one once any living viewer is free, a file's once all are."""
        free = [not v.waiting for v in self.viewers.values() if v.sender.allowance.alive(now_ns)]
        return any(free) if live else bool(free) and all(free)

    def offer(self, frame: Frame, result: Result, now_ns: int) -> None:
        """Queue an answer for every viewer that wants this feed, and send where there is credit."""
        self._queue(Reply(frame, result), frame.name, now_ns)

    def offer_end(self, end: End, now_ns: int) -> None:
        """Queue the end of a feed."""
        self._queue(end, end.name, now_ns)

    def _queue(self, body: Reply | End, name: FeedName, now_ns: int) -> None:
        for viewer in self.viewers.values():
            if viewer.sender.allowance.alive(now_ns) and viewer.asks_for(name):
                viewer.put(body, now_ns)
                viewer.flush(now_ns)

    def _take(self, parts: list[memoryview], now_ns: int) -> None:
        message = read_messages(parts[-1], self._rejections) if len(parts) == 2 else None
        if message is None:
            return
        try:
            self._hear(bytes(parts[0]), message, now_ns)
        except WireError as error:
            self._rejections.add(error)

    def _hear(self, peer: bytes, message: Message, now_ns: int) -> None:
        viewer = self.viewers.get(peer)
        if viewer is None:
            if len(self.viewers) >= MOST_VIEWERS:
                raise WireError(f"{MOST_VIEWERS} viewers are attached already; stop one first")
            viewer = Viewer(Sender(transmitter(self._socket, peer), self._epoch))
        viewer.sender.hear(message, now_ns)
        viewer.heard_ns = now_ns
        grant = message.body
        if isinstance(grant, Grant) and grant.point and grant.asked > viewer.asked:
            viewer.asked, self._wish = grant.asked, grant.point
        if peer not in self.viewers:
            log.info("a viewer came", extra={"viewers": len(self.viewers) + 1})
        self.viewers[peer] = viewer
