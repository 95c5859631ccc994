"""The two ends of a stream: a Sender to one consumer, a Receiver from one producer, over sockets others own.

Neither blocks. `Sender` numbers what it sends and respects its Allowance; `Receiver` keeps the Account and
compares clocks. What is shared by both directions of attach -> serve and of serve -> view lives here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec
import zmq

from ..frame import FeedName
from .clock import ClockOffset
from .credits import ANNOUNCE_NS, LEASE_NS, Account, Allowance
from .wire import Beat, End, Frame, Grant, Message, Point, Reply, WireError, pack, unpack

log = logging.getLogger(__name__)
POLL_MS = 20  # a process looks at its sockets at least so often
FORGET_NS = 5_000_000_000  # a peer that was silent for so long is gone
UNCOPIED = 1 << 16  # bytes
Admits = Callable[[zmq.Frame], bool]  # whether a message's sender may still send
Transmit = Callable[[bytes], bool]  # hands bytes to a socket; False if the peer cannot take them now


class Rejections:
    """Counts messages that are refused, and says so once a second at most: a flood must not fill the log."""

    def __init__(self) -> None:
        self.count = 0
        self._told = 0
        self._last = 0.0

    def add(self, reason: object) -> None:
        """Count one, for `reason`."""
        self.count += 1
        if time.monotonic() - self._last >= 1.0:
            self._last = time.monotonic()
            log.warning("refused %d message(s), %d in all: %s", self.count - self._told, self.count, reason)
            self._told = self.count


def waiting(socket: zmq.Socket[bytes], admits: Admits | None = None, at_most: int = 64) -> Iterator[list[memoryview]]:
    """The multipart messages that wait at `socket`, without blocking, and not for ever under a flood.

    Only those whose sender `admits` lets in; None lets all in.
    """
    for _ in range(at_most):
        try:
            parts = socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return
        if admits is None or admits(parts[-1]):
            yield [part.buffer for part in parts]


def read_messages(data: memoryview, rejections: Rejections) -> Message | None:
    """The message in `data`, or None and one more rejection."""
    try:
        return unpack(data)
    except WireError as error:
        rejections.add(error)
        return None


def transmitter(socket: zmq.Socket[bytes], *address: bytes) -> Transmit:
    """A Transmit through `socket`, to the peer with `address` if it is a ROUTER."""

    def transmit(data: bytes) -> bool:
        try:
            # a frame is not copied once more; for what is small, copying is quicker
            socket.send_multipart([*address, data], zmq.NOBLOCK, copy=len(data) < UNCOPIED)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            return False
        return True

    return transmit


@dataclass(slots=True)
class Sender:
    """A producer's end towards one consumer."""

    transmit: Transmit
    epoch: int
    allowance: Allowance = field(init=False)
    _grant: tuple[int, int] = (0, 0)  # when the last grant was sent (their clock) and came (ours)
    _beat_due: int = 0

    def __post_init__(self) -> None:
        self.allowance = Allowance(self.epoch)

    def hear(self, message: Message, now_ns: int) -> None:
        """Take a message from the consumer; anything but a Grant is a WireError."""
        if not isinstance(message.body, Grant):
            raise WireError(f"a {type(message.body).__name__.lower()} came from a consumer, who may only grant")
        self._grant = (message.body.sent_ns, now_ns)
        self.allowance.hear(message.epoch, message.body, now_ns)

    def send(self, body: Frame | Reply | End, now_ns: int) -> bool:
        """Send if there is credit; False if not."""
        if not self.allowance.may_send(now_ns):
            return False
        if not self.transmit(pack(body, self.epoch, self.allowance.sent + 1)):
            return False
        self.allowance.number(now_ns)
        return True

    def beat(
        self, now_ns: int, engine: dict[str, str | list[int]] | None = None, feeds: tuple[FeedName, ...] = ()
    ) -> None:
        """Send a sign of life if one is due; it names the `feeds` that can be had."""
        if now_ns >= self._beat_due:
            self._beat_due = now_ns + ANNOUNCE_NS
            self.transmit(pack(Beat(now_ns, *self._grant, engine, feeds=feeds), self.epoch))


@dataclass(slots=True)
class Receiver:
    """A consumer's end towards one producer."""

    transmit: Transmit
    epoch: int  # the consumer's own
    source: str = ""
    point: Point = ""  # the operating point to ask for
    asked: int = 0
    wanted: bool = True
    account: Account = field(default_factory=Account)
    clock: ClockOffset = field(default_factory=ClockOffset)
    last_beat: Beat | None = None
    heard_ns: int = 0
    _announce_due: int = 0

    def hear(self, message: Message, now_ns: int) -> Frame | Reply | End | None:
        """Take a message from the producer; give back what is not only the link's business.

        A Grant from a producer is a WireError.
        """
        body = message.body
        if isinstance(body, Grant):
            raise WireError("a grant came from a producer, who may not grant")
        if message.epoch != self.account.producer:
            self.clock = ClockOffset()  # perhaps another machine
        self.account.see(message.epoch, message.number)
        self.heard_ns = now_ns
        if isinstance(body, Beat):
            self.last_beat = body
            self.clock.hear(body, now_ns)
            return None
        return body

    def finish(self, message: Message, now_ns: int) -> None:
        """Say at once that `message` needs no more room."""
        self.account.finish(message.epoch, message.number)
        self._announce_due = 0
        self.announce(now_ns)

    def announce(self, now_ns: int) -> None:
        """Send the grant if it is due."""
        if now_ns >= self._announce_due:
            self._announce_due = now_ns + ANNOUNCE_NS
            grant = self.account.grant(now_ns, self.wanted, self.source)
            if self.point:
                grant = msgspec.structs.replace(grant, point=self.point, asked=self.asked)
            self.transmit(pack(grant, self.epoch))

    def ask(self, point: Point, asked: int, now_ns: int) -> None:
        """Ask the engine for an operating point, '' for none; what is new is announced at once."""
        if asked != self.asked or point != self.point:
            self.point, self.asked, self._announce_due = point, asked, 0
            self.announce(now_ns)

    def want(self, wanted: bool, now_ns: int) -> None:
        """Ask for frames, or stop asking; a change is announced at once."""
        if wanted != self.wanted:
            self.wanted, self._announce_due = wanted, 0
            self.announce(now_ns)

    def silent(self, now_ns: int) -> bool:
        """Whether nothing at all has come from the producer for the length of a lease."""
        return now_ns - self.heard_ns > LEASE_NS
