"""The example of credits in docs/architecture.md, run line by line: it cannot say what the code does not do."""

from __future__ import annotations

import re

from smartca.stream.link.credits import ANNOUNCE_NS, FILE_WINDOW, LEASE_NS, WINDOW, Account, Allowance
from support.paths import ROOT

PAGE = ROOT / "docs" / "architecture.md"
MS = 1_000_000
PRODUCER, CONSUMER = 5, 9  # epochs


def table() -> list[list[str]]:
    """The cells of every line below the table's head."""
    after = PAGE.read_text().split("<!-- tests/stream/link/test_credits_example.py runs this table -->")[1]
    lines = after.split("\n## ")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| \d+ \|", line)]


def in_flight(allowance: Allowance) -> int:
    return allowance.sent - max(allowance._done, allowance._written_off)


def grant(cell: str, account: Account, allowance: Allowance, now: int) -> None:
    """The consumer finishes what the line says and announces; what it has seen is its own account's word."""
    seen, done = map(int, re.fullmatch(r"grants: seen (\d+), done (\d+)", cell).groups())  # type: ignore[union-attr]
    account.finish(PRODUCER, done)
    granted = account.grant(now)
    assert (granted.seen, granted.done) == (seen, done)
    allowance.hear(CONSUMER, granted, now)


def send(cell: str, account: Account, allowance: Allowance, now: int) -> None:
    """The producer sends on credit; unless it is lost, the consumer sees the message."""
    number, lost = re.fullmatch(r"sends (\d+)( \(lost\))?", cell).groups()  # type: ignore[union-attr]
    assert allowance.may_send(now)
    assert allowance.number(now) == int(number)
    if not lost:
        account.see(PRODUCER, int(number))


def test_the_example_of_the_architecture_is_what_the_code_does() -> None:
    allowance, account, lines = Allowance(PRODUCER), Account(), table()
    told = set()
    for ms, serve, attach, flying, may_send, _ in lines:
        now = int(ms) * MS
        if serve.startswith("grants"):
            grant(serve, account, allowance, now)
        if attach:
            send(attach, account, allowance, now)
        assert in_flight(allowance) == int(flying), ms
        assert allowance.may_send(now) is (may_send == "yes"), ms
        told |= {serve.split(":")[0], attach.split(" ")[0], "lost" if "lost" in attach else ""}
    assert told >= {"grants", "silent", "sends", "lost"}, "the example shows less than it should"
    assert len(lines) > 15


def test_the_numbers_beside_it_are_the_codes() -> None:
    text = " ".join(PAGE.read_text().split())
    assert f"At most **{WINDOW}** messages" in text and f"Of a file serve grants **{FILE_WINDOW}**" in text
    assert f"A *grant* is sent every {ANNOUNCE_NS // MS} ms" in text
    assert f"*lease* of **{LEASE_NS // MS} ms**" in text
