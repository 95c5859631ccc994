"""How two machines' monotonic clocks compare, from the times on grants and beats. No I/O."""

from __future__ import annotations

from collections import deque

from ..frame import Clock
from .wire import Beat

KEPT = 100  # beats: ten seconds, over which two quartz clocks part by less than a millisecond


class ClockOffset:
    """The producer's clock against ours, by the four timestamps at the smallest round trip (RFC 5905, §8).

    The true offset lies within half that round trip of the estimate, whatever the two directions take.
    """

    def __init__(self) -> None:
        self._trips: deque[tuple[int, int]] = deque(maxlen=KEPT)  # (round trip, offset), ns

    def hear(self, beat: Beat, received_ns: int) -> None:
        """Take a beat that came at `received_ns`; one that answers no grant tells nothing."""
        if not beat.grant_sent_ns:
            return
        out = beat.grant_received_ns - beat.grant_sent_ns
        back = beat.sent_ns - received_ns
        trip = out - back
        if trip >= 0:
            self._trips.append((trip, (out + back) // 2))

    def estimate(self) -> Clock | None:
        """How far the producer's clock runs ahead of ours, or None before the first round trip."""
        if not self._trips:
            return None
        trip, offset = min(self._trips)
        if abs(offset) <= trip // 2:  # one machine: clocks counted from two boots are never this close
            return Clock()
        return Clock(offset, trip // 2)


def chain(first: Clock, second: Clock) -> Clock:
    """Offset over two hops; uncertainties add."""
    return Clock(first.offset_ns + second.offset_ns, first.uncertainty_ns + second.uncertainty_ns)
