"""One engine, several scanners: does each get its share, and how old are the pictures that are shown?

    python benchmarks/shares.py [--rates 30 30 60] [--seconds 20] [--engine MODEL] [--json R.json]

One `smartca serve`, one `smartca attach` a scanner (simulated shoulders at the given rates, each live: its newest frame
wins), and one viewer a scanner in this process. Printed are, for each scanner, the frames shown in a second, its share
of the fair one, and the age of a frame when it is shown (capture to viewer), in ms and in periods of its own rate.

Fair means: whoever asks for less than an equal share gets all of it, and the others divide the rest equally (max-min
fairness, Bertsekas and Gallager 1987, 6.5.2). Targets: within 10 % of that, and the p99 age within 3 own periods.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
import numpy as np
import smartca
from smartca.engine import SHIPPED_MODEL
from smartca.engine.machine import processor

WARM_UP_S = 3.0
NEAR, PERIODS = 0.10, 3.0


@dataclass
class Feed:
    """A scanner, and what was seen of it."""

    rate: float
    name: str
    ages_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """What is said of one scanner."""

    offered: float
    shown: float
    share_of_fair: float
    age_p50_ms: float
    age_p99_ms: float
    p99_periods: float


def fair(offered: list[float], capacity: float) -> list[float]:
    """Max-min fair rates whose sum is `capacity` at most."""
    rates, left, open_ = [0.0] * len(offered), capacity, set(range(len(offered)))
    while open_ and left > 1e-9:
        equal = left / len(open_)
        full = {i for i in open_ if offered[i] <= equal + 1e-9}
        for i in full or open_:
            rates[i] = offered[i] if full else equal
        left = capacity - sum(rates)
        open_ = open_ - full if full else set()
    return rates


@contextmanager
def process(*words: object) -> Iterator[subprocess.Popen[bytes]]:
    """A smartca command that is ended afterwards."""
    command = [sys.executable, "-m", "smartca", *map(str, words)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield running
    finally:
        running.terminate()
        running.wait(10)


def watch(at: str, feed: Feed, until: threading.Event, counting: threading.Event) -> None:
    """View one feed."""
    for shown in smartca.view(at, source=feed.name, stay=True, keep=lambda: not until.is_set()):
        if counting.is_set():
            feed.ages_ms.append((time.monotonic_ns() - shown.captured_local_ns) / 1e6)


def measured(rates: tuple[float, ...], seconds: float, engine: str) -> list[Row]:
    """Run it."""
    until, counting = threading.Event(), threading.Event()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        into, out = f"ipc://{folder}/in", f"ipc://{folder}/out"
        stack.enter_context(process("serve", "--bind", into, "--publish", out, "--engine", engine))
        feeds = [Feed(rate, f"phantom {90001 + i}") for i, rate in enumerate(rates)]
        for i, feed in enumerate(feeds):
            source = f"phantom:seed={90001 + i}"
            stack.enter_context(process("attach", source, "--to", into, "--fps", feed.rate))
        threads = [threading.Thread(target=watch, args=(out, feed, until, counting)) for feed in feeds]
        for thread in threads:
            thread.start()
        while not all(first_seen(feed, counting) for feed in feeds):
            time.sleep(0.2)
        time.sleep(WARM_UP_S)
        for feed in feeds:
            feed.ages_ms.clear()
        began = time.monotonic()
        time.sleep(seconds)
        counting.clear()
        took = time.monotonic() - began
        until.set()
        for thread in threads:
            thread.join(10)
    return rows(feeds, took)


def first_seen(feed: Feed, counting: threading.Event) -> bool:
    """Whether a frame of the feed has come."""
    counting.set()
    return bool(feed.ages_ms)


def rows(feeds: list[Feed], took: float) -> list[Row]:
    """What was seen, in figures."""
    shown = [len(feed.ages_ms) / took for feed in feeds]
    shares = fair([feed.rate for feed in feeds], sum(shown))
    found = []
    for feed, rate, share in zip(feeds, shown, shares, strict=True):
        p50, p99 = np.percentile(feed.ages_ms, [50, 99])
        found.append(Row(feed.rate, rate, rate / share, float(p50), float(p99), float(p99) * feed.rate / 1000))
    return found


@click.command()
@click.option("--rates", type=float, multiple=True, default=(30.0, 30.0, 60.0), show_default=True)
@click.option("--seconds", type=float, default=20.0, show_default=True)
@click.option("--engine", default="shipped")
@click.option("--json", "out", type=click.Path(path_type=Path))
def main(rates: tuple[float, ...], seconds: float, engine: str, out: Path | None) -> None:
    """See the module's words."""
    load = os.getloadavg()[0]
    model = str(SHIPPED_MODEL) if engine == "shipped" else engine
    found = measured(rates, seconds, model)
    print(f"{'offered':>8} {'shown/s':>8} {'of fair':>8} {'age p50':>8} {'p99':>8} {'periods':>8}")
    for row in found:
        print(
            f"{row.offered:8.0f} {row.shown:8.1f} {row.share_of_fair:8.2f} {row.age_p50_ms:8.1f} {row.age_p99_ms:8.1f} "
            f"{row.p99_periods:8.2f}"
        )
    near = all(abs(row.share_of_fair - 1) <= NEAR for row in found)
    young = all(row.p99_periods <= PERIODS for row in found)
    print(f"shares within {NEAR:.0%} of fair: {'yes' if near else 'NO'}")
    print(f"p99 age within {PERIODS:.0f} own periods: {'yes' if young else 'NO'}")
    print(f"load of the machine before: {load:.2f} on {os.cpu_count()} cores")
    if out is not None:
        body = {"scanners": [asdict(row) for row in found], "near": near, "young": young, "load": load}
        body |= {"processor": processor(), "python": platform.python_version(), "engine": Path(model).name}
        out.write_text(json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()
