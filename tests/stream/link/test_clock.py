"""Two machines' clocks compared over a link whose two directions differ."""

from __future__ import annotations

import random

from smartca.stream.frame import Clock
from smartca.stream.link.clock import ClockOffset, chain
from smartca.stream.link.wire import Beat

MS = 1_000_000


def beats(offset_ns: int, out_ms: tuple[float, float], back_ms: tuple[float, float], count: int = 50) -> ClockOffset:
    """An exchange in which the producer's clock runs `offset_ns` ahead."""
    chance, compared = random.Random(3), ClockOffset()
    for number in range(1, count):
        granted = number * 100 * MS
        heard = granted + int(chance.uniform(*out_ms) * MS)
        answered = heard + 30 * MS
        back = answered + int(chance.uniform(*back_ms) * MS)
        compared.hear(Beat(answered + offset_ns, granted, heard + offset_ns), back)
    return compared


def test_the_offset_lies_within_its_stated_uncertainty() -> None:
    offset = 3_600_000 * MS
    estimate = beats(offset, (0.2, 8.0), (0.5, 3.0)).estimate()
    assert estimate is not None
    assert abs(estimate.offset_ns - offset) <= estimate.uncertainty_ns
    assert 0 < estimate.uncertainty_ns < 2 * MS


def test_one_machine_has_one_clock() -> None:
    assert beats(0, (0.1, 1.0), (0.1, 2.0)).estimate() == Clock(0, 0)


def test_nothing_is_claimed_before_a_round_trip() -> None:
    compared = ClockOffset()
    compared.hear(Beat(5), 6)
    assert compared.estimate() is None


def test_hops_add() -> None:
    assert chain(Clock(5, 1), Clock(-2, 3)) == Clock(3, 4)
