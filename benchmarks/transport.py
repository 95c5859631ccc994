"""The link raced against other ways to send pictures between processes, on the same pictures, in one run.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install imagezmq vidgear pyigtl opencv-python-headless simplejpeg
    python benchmarks/transport.py --peers /tmp/peers/bin/python [--fps 30] [--seconds 10] [--rounds 3] [--json R.json]

smartca    `attach` as it ships, into a consumer that grants as `serve` does; in the clear, and encrypted (CURVE)
imagezmq   REQ/REP, and PUB/SUB
vidgear    NetGear, pattern 0 (PAIR), no compression
pyigtl     OpenIGTLink, server to client

All over TCP on this machine; 640 x 480 grey pictures at --fps from a camera of which the newest is sent. Printed
are the ages of pictures at the consumer, ms from capture: once where it takes them at once, once where it takes 100 ms
for each, and there also of the first and the last quarter: what queues, grows. Targets: smartca's p50 is the least at
once, and with the slow consumer its p99 is within 3 periods (the consumer's 100 ms), in the last quarter too.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import zmq
from smartca.engine.machine import processor
from smartca.stream.attach import AttachSettings, attach
from smartca.stream.frame import Frame
from smartca.stream.link.guard import listen_at
from smartca.stream.link.keys import ENVIRONMENT, KeyRing
from smartca.stream.link.link import Receiver, Rejections, read_messages, transmitter, waiting
from smartca.stream.sources import Picture, Source
from transport_peer import Camera, age_ms

PEER = Path(__file__).with_name("transport_peer.py")
CONTESTANTS = ("smartca", "smartca, encrypted", "imagezmq REQ/REP", "imagezmq PUB/SUB", "vidgear", "pyigtl")
SLOW_MS, PERIODS = 100.0, 3.0


@dataclass(frozen=True)
class Row:
    """Ages in ms, medians over the rounds."""

    name: str
    p50: float
    p99: float
    slow_p50: float
    slow_p99: float
    slow_first_quarter: float
    slow_last_quarter: float


class CameraSource(Source):
    """The camera of `transport_peer`, as a source."""

    live, endless = True, True
    name = "camera"

    def __init__(self, fps: float) -> None:
        self._camera = Camera(fps)

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """See `Source.pictures`."""
        while True:
            yield Picture(self._camera.take())


def send(port: int, fps: float, host: str) -> None:
    """The scanner's side of ours."""
    settings = AttachSettings(blank=False)
    attach(CameraSource(fps), f"tcp://{host}:{port}", settings, lambda sent: True)


def receive(port: int, seconds: float, consume_ms: float, host: str) -> list[float]:
    """A consumer as `serve` is one: newest wins, and a grant for what is done with."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    (entrance,), guard = listen_at(context, [f"tcp://{host}:{port}"], False)
    receiver: Receiver | None = None
    rejections, until, ages = Rejections(), 0.0, []
    while not until or time.monotonic() < until:
        entrance.socket.poll(5)
        if guard is not None:
            guard.pump(time.monotonic_ns())
        newest = None
        for parts in waiting(entrance.socket, entrance.admits):
            message = read_messages(parts[1], rejections)
            if message is None:
                continue
            receiver = receiver or Receiver(transmitter(entrance.socket, bytes(parts[0])), time.time_ns())
            body = receiver.hear(message, time.monotonic_ns())
            if isinstance(body, Frame):
                if newest is not None:
                    receiver.finish(newest[0], time.monotonic_ns())
                newest = message, body
        if newest is not None and receiver is not None:
            until = until or time.monotonic() + seconds
            ages.append(age_ms(newest[1].pixels))
            time.sleep(consume_ms / 1e3)
            receiver.finish(newest[0], time.monotonic_ns())
        if receiver is not None:
            receiver.announce(time.monotonic_ns())
    os.write(1, "\n".join(map(str, ages)).encode())
    os._exit(0)


def ages_of(name: str, peers: str, fps: float, seconds: float, consume_ms: float, keys: Path) -> list[float]:
    """One run of one contestant."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    figures = [str(fps), str(seconds), str(consume_ms)]
    ours = name.startswith("smartca")
    program = [sys.executable, __file__, "--role"] if ours else [peers, str(PEER)]
    ends = []
    for role, ring in (("receive", "engine"), ("send", "scanner")):
        words = [*program, role, *(["--name", name, "--port", port] if ours else [name, port])]
        words += ["--fps", figures[0], "--seconds", figures[1], "--consume", figures[2]] if ours else figures
        environment = {**os.environ, ENVIRONMENT: str(keys / ring)}
        ends.append(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment))
    said = ends[0].communicate(timeout=seconds + 60)[0]
    ends[1].kill()
    ends[1].communicate()
    return [float(word) for word in said.split()][5:]  # without the first, while connections settle


def summed(name: str, quick: list[list[float]], slow: list[list[float]]) -> Row:
    """Medians over the rounds."""

    def at(rounds: list[list[float]], percent: float) -> float:
        return statistics.median(float(np.percentile(ages, percent)) for ages in rounds)

    first = statistics.median(float(np.median(ages[: len(ages) // 4])) for ages in slow)
    last = statistics.median(float(np.median(ages[-(len(ages) // 4) :])) for ages in slow)
    return Row(name, at(quick, 50), at(quick, 99), at(slow, 50), at(slow, 99), first, last)


def race(peers: str, fps: float, seconds: float, rounds: int) -> list[Row]:
    """All contestants, in turning order."""
    quick: dict[str, list[list[float]]] = {name: [] for name in CONTESTANTS}
    slow: dict[str, list[list[float]]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as folder:
        engine, scanner = KeyRing(Path(folder) / "engine"), KeyRing(Path(folder) / "scanner")
        engine.store("allowed", "scanner", scanner.own().public)
        scanner.store("engines", "0.0.0.0", engine.own().public)
        for turn in range(rounds):
            for name in CONTESTANTS[turn % len(CONTESTANTS) :] + CONTESTANTS[: turn % len(CONTESTANTS)]:
                quick[name].append(ages_of(name, peers, fps, seconds, 0.0, Path(folder)))
                slow[name].append(ages_of(name, peers, fps, seconds, SLOW_MS, Path(folder)))
    return [summed(name, quick[name], slow[name]) for name in CONTESTANTS]


@click.command()
@click.option("--peers", help="A Python with the peers.")
@click.option("--fps", default=30.0, show_default=True)
@click.option("--seconds", default=10.0, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--json", "out", type=click.Path(path_type=Path))
@click.option("--role", type=click.Choice(["send", "receive"]), hidden=True)
@click.option("--name", hidden=True)
@click.option("--port", type=int, hidden=True)
@click.option("--consume", type=float, hidden=True)
def main(
    peers: str | None,
    fps: float,
    seconds: float,
    rounds: int,
    out: Path | None,
    role: str | None,
    name: str,
    port: int,
    consume: float,
) -> None:
    """See the module's words."""
    if role is not None:  # 0.0.0.0 leads here, and counts as another machine
        host = "0.0.0.0" if name.endswith("encrypted") else "127.0.0.1"
        send(port, fps, host) if role == "send" else receive(port, seconds, consume, host)
        return
    if peers is None:
        raise click.UsageError("give --peers; the module's words say how to make one")
    load = os.getloadavg()[0]
    rows = race(peers, fps, seconds, rounds)
    print(f"{'ages in ms':20} {'p50':>7} {'p99':>7} | {'slow p50':>9} {'p99':>9} {'first 1/4':>9} {'last 1/4':>9}")
    for row in rows:
        slow = (row.slow_p50, row.slow_p99, row.slow_first_quarter, row.slow_last_quarter)
        print(f"{row.name:20} {row.p50:7.2f} {row.p99:7.2f} | " + " ".join(f"{figure:9.1f}" for figure in slow))
    ours, others = rows[0], rows[2:]
    least = all(ours.p50 <= row.p50 for row in others)
    bounded = ours.slow_p99 <= PERIODS * SLOW_MS
    print("smartca / best peer, p50: " + f"{ours.p50 / min(row.p50 for row in others):.2f}")
    print(f"encryption adds {rows[1].p50 - ours.p50:+.2f} ms to the p50, {rows[1].p99 - ours.p99:+.2f} ms to the p99")
    print(f"least p50: {'yes' if least else 'NO'}; bounded with a slow consumer: {'yes' if bounded else 'NO'}")
    print(f"load of the machine before: {load:.2f} on {os.cpu_count()} cores")
    if out is not None:
        body = {"rows": [asdict(row) for row in rows], "least": least, "bounded": bounded, "load": load}
        body |= {"processor": processor(), "python": platform.python_version(), "fps": fps, "seconds": seconds}
        out.write_text(json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()
