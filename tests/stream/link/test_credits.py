"""Credits over a link that loses messages: bounded, newest wins, never a deadlock."""

from __future__ import annotations

import random

import pytest
from smartca.stream.link.credits import ANNOUNCE_NS, LEASE_NS, WINDOW, Account, Allowance, live_window

MS = 1_000_000


def test_no_more_than_the_window_is_under_way() -> None:
    allowance, account = Allowance(5), Account()
    assert not allowance.may_send(0)
    allowance.hear(9, account.grant(0), 0)
    sent = 0
    while allowance.may_send(1):
        allowance.number(1)
        sent += 1
    assert sent == WINDOW
    account.see(5, 1)
    account.finish(5, 1)
    allowance.hear(9, account.grant(2), 2)
    assert allowance.may_send(3)
    allowance.number(3)
    assert not allowance.may_send(3)


def test_a_silent_consumer_is_sent_nothing() -> None:
    allowance, account = Allowance(5), Account()
    allowance.hear(9, account.grant(0), 0)
    assert allowance.may_send(LEASE_NS - 1)
    assert not allowance.may_send(LEASE_NS)


def test_nobody_wants_frames_but_is_alive() -> None:
    allowance = Allowance(5)
    allowance.hear(9, Account().grant(0, wanted=False), 0)
    assert allowance.alive(1)
    assert not allowance.wanted
    assert not allowance.may_send(1)


def test_a_slow_consumer_is_not_flooded() -> None:
    """It has seen both messages and works on them for two seconds: nothing more may come."""
    allowance, account = Allowance(5), Account()
    allowance.hear(9, account.grant(0), 0)
    for number in (1, 2):
        allowance.number(0)
        account.see(5, number)
    for now in range(0, 2000 * MS, ANNOUNCE_NS):
        allowance.hear(9, account.grant(now), now)
        assert not allowance.may_send(now)


def test_restarts_of_either_side_need_no_handshake() -> None:
    allowance, account = Allowance(5), Account()
    allowance.hear(9, account.grant(0), 0)
    for number in (1, 2):
        allowance.number(0)
        account.see(5, number)
        account.finish(5, number)
    fresh_consumer = Account()
    allowance.hear(10, fresh_consumer.grant(1), 1)
    assert allowance.may_send(1), "a new consumer holds nothing of what went to the old one"
    fresh_producer = Allowance(6)
    fresh_producer.hear(9, account.grant(2), 2)
    count = 0
    while fresh_producer.may_send(2):
        fresh_producer.number(2)
        count += 1
    assert count == WINDOW, "an account of another producer's 1000 messages is no credit for 1000 here"


def test_lost_messages_and_grants_never_stop_the_stream() -> None:
    """One in three messages vanishes, in both directions; a tick is 10 ms."""
    chance = random.Random(4)
    allowance, account = Allowance(5), Account()
    delivered, queue, longest_gap, last = 0, [], 0, 0
    for tick in range(20_000):
        now = tick * 10 * MS
        finished = account.done
        if queue:
            number = queue.pop(0)
            account.see(5, number)
            account.finish(5, number)
            delivered, longest_gap, last = delivered + 1, max(longest_gap, now - last), now
        if (tick % 10 == 0 or account.done > finished) and chance.random() > 0.33:
            allowance.hear(9, account.grant(now), now)
        while allowance.may_send(now):
            number = allowance.number(now)
            if chance.random() > 0.33:
                queue.append(number)
        assert len(queue) <= WINDOW
    assert delivered > 2000
    assert longest_gap < 4_000 * MS


@pytest.mark.parametrize(
    ("busy_ms", "period_ms", "window"),
    [(9, 33, 2), (40, 33, 3), (100, 33, 5), (50, 16, 5), (900, 16, 6), (50, 0, 2), (0, 33, 2)],
)
def test_a_slow_engine_lets_newer_frames_come_while_it_works(busy_ms: float, period_ms: float, window: int) -> None:
    assert live_window(busy_ms * 1e6, period_ms * 1e6) == window
