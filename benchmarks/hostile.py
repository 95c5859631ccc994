"""An encrypted engine under attack: what a healthy stream notices of it.

    python benchmarks/hostile.py [--seconds 8] [--fps 30] [--engine MODEL] [--json R.json] [--only NAME ...]

One `smartca serve` that other machines reach (tcp://0.0.0.0), one scanner and one viewer that were paired. For each
attack: `--seconds` of quiet, then as long under attack. Printed are the frames shown and their age (capture to viewer,
ms) in both, the ratio of the p99, what the engine refused, and how its memory grew.

    wrong key      20 machines that are not allowed, again and again
    no key         20 machines that speak in the clear
    revoked key    a machine that was allowed, and goes on sending after its key was revoked
    replay         the bytes of a recorded connection, again and again
    mutated        an allowed machine whose messages have bytes changed at random (--messages of them)
    oversize       connections that claim a message of 2 GiB, before and after the greeting
    slow loris     200 connections that say one byte a second
    flood          handshakes as quickly as four processes can begin them

The attackers run on the same machine, at the lowest priority: on others they would not take the engine's cores.
Target: every frame of the healthy stream's pace, and its p99 moves by less than 20 %.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import smartca
import zmq
from smartca.engine import SHIPPED_MODEL
from smartca.engine.machine import processor
from smartca.stream.frame import Frame, Sector
from smartca.stream.link.dial import Dialled
from smartca.stream.link.keys import ENVIRONMENT, KeyRing
from smartca.stream.link.wire import Beat, pack

MOVES = 1.20
GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"CURVE".ljust(20, b"\0") + b"\0" + bytes(31)
ELSEWHERE = "0.0.0.0"  # leads here, and counts as another machine


@dataclass(frozen=True)
class Row:
    """One attack."""

    attack: str
    shown_quiet: float
    shown: float
    p50_quiet_ms: float
    p50_ms: float
    p99_quiet_ms: float
    p99_ms: float
    p99_ratio: float
    done: int
    engine_grew_mb: float
    alive: bool


# ---- the attackers, each in a process of its own ----


def wrong_key(port: int, folder: Path, messages: int) -> int:
    """Strangers that know the engine's key, and have one of their own."""
    keys = KeyRing(folder / "stranger")
    return _callers(port, keys, insecure=False)


def no_key(port: int, folder: Path, messages: int) -> int:
    """Strangers in the clear."""
    return _callers(port, KeyRing(folder / "stranger"), insecure=True)


def _callers(port: int, keys: KeyRing, insecure: bool) -> int:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    callers = [Dialled(context, f"tcp://{ELSEWHERE}:{port}", insecure, keys) for _ in range(20)]
    rounds = 0
    while True:
        for caller in callers:
            caller.trouble(time.monotonic_ns())
        rounds += 1
        _tell(rounds)
        time.sleep(0.02)


def revoked_key(port: int, folder: Path, messages: int) -> int:
    """Allowed for a second; then it goes on, a thousand messages a second."""
    keys, engine = KeyRing(folder / "other"), KeyRing(folder / "engine")
    engine.store("allowed", "other", keys.own().public)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    caller = Dialled(context, f"tcp://{ELSEWHERE}:{port}", keys=keys)
    while not caller.socket.poll(10, zmq.POLLOUT):
        caller.trouble(time.monotonic_ns())
    engine.remove("allowed", "other")
    sent, word = 0, pack(Beat(1), 5)
    while True:
        with contextlib.suppress(zmq.Again):
            caller.socket.send(word, zmq.NOBLOCK)
            sent += 1
        _tell(sent)
        time.sleep(0.001)


def mutated(port: int, folder: Path, messages: int) -> int:
    """An allowed machine gone wrong: frames and beats with up to eight bytes changed."""
    keys, engine = KeyRing(folder / "other"), KeyRing(folder / "engine")
    engine.store("allowed", "other", keys.own().public)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    caller = Dialled(context, f"tcp://{ELSEWHERE}:{port}", keys=keys)
    chance, pixels = random.Random(1), np.zeros((64, 64), np.uint8)
    frame = Frame(pixels, "x", 5, 1, 1, True, Sector(0, 0, 64, 64))
    words, sent = [pack(frame, 5, 1), pack(Beat(1), 5)], 0
    while sent < messages:
        changed = bytearray(chance.choice(words))
        for _ in range(chance.randrange(1, 9)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        caller.trouble(time.monotonic_ns())
        if caller.socket.poll(100, zmq.POLLOUT):
            caller.socket.send(changed)
            sent += 1
        _tell(sent)
    return sent


def replay(port: int, folder: Path, messages: int) -> int:
    """What an allowed machine said, once more."""
    said = (folder / "recorded").read_bytes()
    return _connections(port, lambda connection, number: connection.sendall(said))


def oversize(port: int, folder: Path, messages: int) -> int:
    """A command of 2 GiB, at once or behind the greeting."""
    claim = b"\x06" + struct.pack(">Q", 2 << 30) + bytes(4096)

    def say(connection: socket.socket, number: int) -> None:
        connection.sendall((GREETING if number % 2 else b"") + claim)

    return _connections(port, say)


def slow_loris(port: int, folder: Path, messages: int) -> int:
    """200 connections, one byte a second each."""
    open_: list[socket.socket] = []
    sent = 0
    while True:
        while len(open_) < 200:
            open_.append(socket.create_connection(("127.0.0.1", port)))
        for connection in list(open_):
            try:
                connection.sendall(GREETING[sent % 60 : sent % 60 + 1])
                sent += 1
            except OSError:
                open_.remove(connection)
        _tell(sent)
        time.sleep(1.0)


def flood(port: int, folder: Path, messages: int) -> int:
    """Handshakes, each with a key of its own."""
    for _ in range(3):
        if os.fork() == 0:
            break
    engine = KeyRing(folder / "engine").own().public
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    begun = 0
    while True:
        caller = context.socket(zmq.DEALER)
        caller.linger = 0
        caller.curve_publickey, caller.curve_secretkey = zmq.curve_keypair()
        caller.curve_serverkey = engine
        caller.connect(f"tcp://127.0.0.1:{port}")
        time.sleep(0.005)
        caller.close()
        begun += 1
        _tell(begun)


ATTACKS: dict[str, Callable[[int, Path, int], int]] = {
    "wrong key": wrong_key,
    "no key": no_key,
    "revoked key": revoked_key,
    "replay": replay,
    "mutated": mutated,
    "oversize": oversize,
    "slow loris": slow_loris,
    "flood": flood,
}


def _connections(port: int, say: Callable[[socket.socket, int], None]) -> int:
    number = 0
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            say(connection, number)
            connection.settimeout(0.05)
            connection.recv(4096)
        number += 1
        _tell(number)


_told = 0.0


def _tell(done: int) -> None:
    """How much was done, to the parent, a few times a second."""
    global _told
    if time.monotonic() - _told > 0.3:
        _told = time.monotonic()
        with contextlib.suppress(OSError):
            os.write(1, f"{done}\n".encode())


# ---- the healthy stream ----


class Stream:
    """Engine, scanner and viewer; ages of the frames shown since `take` was last called."""

    def __init__(self, folder: Path, engine: str, fps: float) -> None:
        self.folder, self.over = folder, False
        self.ports = [_free_port(), _free_port()]
        engine_keys, keys = KeyRing(folder / "engine"), KeyRing(folder / "scanner")
        engine_keys.store("allowed", "scanner", keys.own().public)
        for ring in (keys, KeyRing(folder / "stranger"), KeyRing(folder / "other")):
            ring.store("engines", ELSEWHERE, engine_keys.own().public)
        into, out = (f"tcp://{ELSEWHERE}:{port}" for port in self.ports)
        self.serve = self._start("engine", "serve", "--bind", into, "--publish", out, "--engine", engine)
        self.attach = self._start("scanner", "attach", "phantom:seed=90001", "--to", into, "--fps", fps)
        self._ages: list[float] = []
        os.environ[ENVIRONMENT] = str(keys.folder)
        self._thread = threading.Thread(target=self._view, args=(out,), daemon=True)
        self._thread.start()
        while not self._ages:
            time.sleep(0.1)
        time.sleep(2.0)

    def _start(self, keys: str, *words: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "smartca", *map(str, words)],
            env={**os.environ, ENVIRONMENT: str(self.folder / keys)},
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / f"{words[0]}.log").open("ab"),
        )

    def _view(self, at: str) -> None:
        for shown in smartca.view(at, stay=True, keep=lambda: not self.over):
            self._ages.append((time.monotonic_ns() - shown.captured_local_ns) / 1e6)

    def take(self, seconds: float) -> tuple[float, float, float]:
        """Frames a second, p50 and p99 (ms) of the next `seconds`."""
        self._ages.clear()
        time.sleep(seconds)
        ages = list(self._ages) or [float("nan")]
        return len(ages) / seconds, float(np.percentile(ages, 50)), float(np.percentile(ages, 99))

    def memory_mb(self) -> float:
        """Of the engine's process."""
        status = Path(f"/proc/{self.serve.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def close(self) -> None:
        """End it."""
        self.over = True
        self._thread.join(5)
        for process in (self.attach, self.serve):
            process.terminate()
            process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _record(folder: Path, port: int) -> None:
    """The bytes of an allowed machine's connection, as somebody on the way sees them."""
    listening = socket.create_server(("127.0.0.1", 0))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    at = f"tcp://{ELSEWHERE}:{listening.getsockname()[1]}"
    caller = Dialled(context, at, keys=KeyRing(folder / "scanner"))
    connection, _ = listening.accept()
    engine = socket.create_connection(("127.0.0.1", port))
    said, until = bytearray(), time.monotonic() + 2
    for end in (connection, engine):
        end.settimeout(0.02)
    while time.monotonic() < until:
        with contextlib.suppress(TimeoutError):
            data = connection.recv(65536)
            said += data
            engine.sendall(data)
        with contextlib.suppress(TimeoutError):
            connection.sendall(engine.recv(65536))
        caller.trouble(time.monotonic_ns())
        with contextlib.suppress(zmq.Again):
            caller.socket.send(pack(Beat(1), 5), zmq.NOBLOCK)
    (folder / "recorded").write_bytes(said)
    caller.close()
    for end in (connection, engine, listening):
        end.close()


def attacked(stream: Stream, name: str, seconds: float, messages: int) -> Row:
    """Quiet, then under attack."""
    quiet = stream.take(seconds)
    before = stream.memory_mb()
    words = [sys.executable, __file__, "--attack", name, "--port", str(stream.ports[0]), "--folder", str(stream.folder)]
    attacker = subprocess.Popen(
        ["nice", "-n", "19", *words, "--messages", str(messages)], stdout=subprocess.PIPE, start_new_session=True
    )
    time.sleep(1.0)
    under = stream.take(seconds)
    until = time.monotonic() + 600
    while name == "mutated" and attacker.poll() is None and time.monotonic() < until:
        time.sleep(0.5)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(attacker.pid, 9)
    said = attacker.communicate()[0].split()
    after = stream.take(2.0)
    return Row(
        name,
        quiet[0],
        under[0],
        quiet[1],
        under[1],
        quiet[2],
        under[2],
        under[2] / quiet[2],
        int(said[-1]) if said else 0,
        stream.memory_mb() - before,
        stream.serve.poll() is None and after[0] > 0,
    )


@click.command()
@click.option("--seconds", default=8.0, show_default=True)
@click.option("--fps", default=15.0, show_default=True)
@click.option("--engine", default=str(SHIPPED_MODEL))
@click.option("--messages", default=100_000, show_default=True, help="Mutated ones.")
@click.option("--only", multiple=True, type=click.Choice(list(ATTACKS)))
@click.option("--json", "out", type=click.Path(path_type=Path))
@click.option("--attack", hidden=True)
@click.option("--port", type=int, hidden=True)
@click.option("--folder", type=click.Path(path_type=Path), hidden=True)
def main(
    seconds: float,
    fps: float,
    engine: str,
    messages: int,
    only: tuple[str, ...],
    out: Path | None,
    attack: str | None,
    port: int,
    folder: Path,
) -> None:
    """See the module's words."""
    if attack is not None:
        click.echo(ATTACKS[attack](port, folder, messages))
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        stream = Stream(Path(name), engine, fps)
        _record(Path(name), stream.ports[0])
        print(f"{'attack':12} {'shown/s':>15} {'p50 ms':>15} {'p99 ms':>15} {'ratio':>6} {'done':>8} {'MB':>6}")
        found = []
        for each in only or ATTACKS:
            row = attacked(stream, each, seconds, messages)
            found.append(row)
            pairs = ((row.shown_quiet, row.shown), (row.p50_quiet_ms, row.p50_ms), (row.p99_quiet_ms, row.p99_ms))
            cells = " ".join(f"{quiet:6.1f} -> {under:5.1f}" for quiet, under in pairs)
            print(f"{each:12} {cells} {row.p99_ratio:6.2f} {row.done:8} {row.engine_grew_mb:+6.1f}", flush=True)
        stream.close()
        refused = (Path(name) / "serve.log").read_text().strip().splitlines()[-1:]
    print(*refused)
    healthy = all(row.alive and row.p99_ratio < MOVES for row in found)
    print(f"p99 moves by less than {MOVES - 1:.0%} under each: {'yes' if healthy else 'NO'}")
    print(f"load of the machine before: {load:.2f} on {os.cpu_count()} cores")
    if out is not None:
        body = {"attacks": [asdict(row) for row in found], "refused": refused, "load": load, "healthy": healthy}
        body |= {"processor": processor(), "python": platform.python_version(), "engine": Path(engine).name}
        out.write_text(json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()
