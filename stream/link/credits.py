"""Credits: who consumes says how much may come, so that nothing ever queues. No sockets, no clock of its own.

ZeroMQ's high-water marks do not bound latency (TCP buffers queue as well), so a producer sends only on
credit. A credit is a lease: a consumer that falls silent for LEASE_NS is sent nothing, and a message that the
consumer has not seen LEASE_NS after it left counts as lost, so that a lost message can never stop the stream.
"""

from __future__ import annotations

import logging

from .wire import Grant

log = logging.getLogger(__name__)
WINDOW = 2  # one being worked on, one on its way: enough to hide the network
MORE_OF_A_QUICK_FEED = 4  # at most so many that come while the engine is at work, of which the newest is taken
FILE_WINDOW = 4  # of a file nobody waits for the newest: more may be worked on side by side
LEASE_NS = 250_000_000
ANNOUNCE_NS = 100_000_000


def live_window(busy_ns: float, period_ns: float) -> int:
    """Messages of a live feed that may be in flight, at an engine that hears nothing for `busy_ns` at a time.

    One would wait all that time with WINDOW alone, and be as old when its turn comes. So as many more may come as the
    feed captures meanwhile, one in `period_ns` (0: not known yet); the newest replaces the others when the engine looks
    again.
    """
    return WINDOW + (min(MORE_OF_A_QUICK_FEED, int(busy_ns / period_ns)) if period_ns > 0 else 0)


class Allowance:
    """A producer's side: what one consumer lets it send."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch  # this producer's own
        self.sent = 0
        self.source = ""
        self.alive_until = 0
        self._consumer = 0
        self._window = 0
        self._done = 0
        self._written_off = 0  # messages up to this number are not waited for any more
        self._last_sent = 0

    def hear(self, consumer: int, grant: Grant, now_ns: int) -> None:
        """Take a Grant from the consumer whose epoch is `consumer`."""
        if consumer != self._consumer:  # a new consumer knows nothing of what went to the old one
            log.debug("a consumer came", extra={"consumer": consumer, "producer": self.epoch, "sent": self.sent})
            self._consumer, self._done = consumer, 0
            self._written_off = self.sent
        mine = grant.of == self.epoch
        if mine:
            self._done = max(self._done, min(grant.done, self.sent))
        if (grant.seen if mine else 0) < self.sent and now_ns - self._last_sent > LEASE_NS:
            if log.isEnabledFor(logging.DEBUG) and self._written_off < self.sent:
                log.debug("credits written off", extra={"sent": self.sent, "done": self._done, "producer": self.epoch})
            self._written_off = self.sent
        self._window = grant.window
        self.source = grant.source
        self.alive_until = now_ns + LEASE_NS

    def alive(self, now_ns: int) -> bool:
        """Whether the consumer has been heard of within its lease."""
        return now_ns < self.alive_until

    def may_send(self, now_ns: int) -> bool:
        """Whether one more message may go now."""
        if not self.alive(now_ns):
            return False
        return self.sent - max(self._done, self._written_off) < self._window

    def number(self, now_ns: int) -> int:
        """Count one message as sent and give its number."""
        self.sent += 1
        self._last_sent = now_ns
        return self.sent

    @property
    def wanted(self) -> bool:
        """Whether the consumer asks for frames at all."""
        return self._window > 0

    @property
    def settled(self) -> bool:
        """Whether the consumer has finished with everything sent."""
        return self._done >= self.sent


class Account:
    """A consumer's side: how far it is with one producer."""

    def __init__(self, window: int = WINDOW) -> None:
        self.producer = 0
        self.seen = 0
        self.done = 0
        self.window = window

    def see(self, epoch: int, number: int) -> None:
        """Message `number` of the producer with `epoch` has come."""
        if epoch != self.producer:
            self.producer, self.seen, self.done = epoch, 0, 0
        self.seen = max(self.seen, number)

    def finish(self, epoch: int, number: int) -> None:
        """It needs no more room here."""
        if epoch == self.producer:
            self.done = max(self.done, number)

    def grant(self, now_ns: int, wanted: bool = True, source: str = "") -> Grant:
        """What to announce now."""
        return Grant(self.producer, self.seen, self.done, self.window if wanted else 0, now_ns, source)
