"""The whole stream beyond this machine: what goes over the wire, and who gets in. 0.0.0.0 counts as elsewhere."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
from smartca.stream.link.keys import ENVIRONMENT, KeyRing
from support.ports import free_port
from support.waiting import PATIENCE_S, wait_until

PICTURE = np.full((120, 160), 40, np.uint8)
PICTURE[40:80, 60:120] = 220
Change = Callable[[bytes], bytes]


class Tap:
    """Somebody in between, who keeps what passes from the caller to the engine, and may change it."""

    def __init__(self, target: int) -> None:
        self.port, self._target = free_port(), target
        self.passed = bytearray()
        self.change: Change = bytes
        self.connections = 0
        self._listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._listening.accept()
                self.connections += 1
                engine = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._pass, args=(caller, engine, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(engine, caller, False), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, kept: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if kept:
                    self.passed += data
                    data = self.change(data)
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._listening.close()


@dataclass
class Machines:
    """An engine with its own keys, and a scanner beside it with others."""

    folder: Path
    network: Path
    insecure: bool = False
    feeds: int = field(default_factory=free_port)
    answers: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.engine, self.scanner = KeyRing(self.folder / "engine"), KeyRing(self.folder / "scanner")

    def pair(self) -> None:
        """As `smartca keys pair` does on both."""
        self.engine.store("allowed", "or-1", self.scanner.own().public)
        self.scanner.store("engines", "0.0.0.0", self.engine.own().public)

    def start(self, keys: KeyRing, *words: object) -> subprocess.Popen[str]:
        """A command of smartca's with the keys of one of the machines."""
        return subprocess.Popen(
            [sys.executable, "-m", "smartca", *map(str, words), *(["--insecure"] if self.insecure else [])],
            env={**os.environ, ENVIRONMENT: str(keys.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[str]]:
        """The engine."""
        at = [f"tcp://0.0.0.0:{port}" for port in (self.feeds, self.answers)]
        process = self.start(self.engine, "serve", "--bind", at[0], "--publish", at[1], "--model", self.network)
        assert process.stderr is not None
        try:
            while "ready" not in (line := process.stderr.readline()):
                assert line, "the engine ended"
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE_S)

    def begin(self, port: int) -> tuple[subprocess.Popen[str], subprocess.Popen[str]]:
        """Ten pictures go from scanner to engine through `port`, and are viewed: those two processes."""
        pictures = self.folder / "pictures"
        pictures.mkdir(exist_ok=True)
        for number in range(10):
            cv2.imwrite(str(pictures / f"{number}.png"), PICTURE)
        at = [f"tcp://0.0.0.0:{port}", f"tcp://0.0.0.0:{self.answers}"]
        viewer = self.start(self.scanner, "view", "--headless", "--from", at[1], "--report", "r.json")
        return self.start(self.scanner, "attach", pictures, "--crop", "0,0,160,120", "--to", at[0]), viewer

    def exchange(self, port: int) -> tuple[str, str]:
        """As `begin`, to the end of both; what they said."""
        sender, viewer = self.begin(port)
        said = [process.communicate(timeout=PATIENCE_S)[1] for process in (sender, viewer)]
        assert (sender.returncode, viewer.returncode) == (0, 0), said
        return said[0], said[1]


@pytest.mark.parametrize("insecure", [False, True])
def test_what_passes_can_be_read_only_where_that_was_asked_for(tmp_path: Path, network: Path, insecure: bool) -> None:
    machines = Machines(tmp_path, network, insecure)
    machines.pair()
    with machines.serving():
        tap = Tap(machines.feeds)
        machines.exchange(tap.port)
        tap.close()
    assert len(tap.passed) > 10 * PICTURE.size
    for secret in (PICTURE[60].tobytes(), b"pictures", b"SMCA"):
        assert (secret in tap.passed) is insecure
    assert '"shown": 10' in (tmp_path / "r.json").read_text()


def test_without_keys_nothing_begins_and_the_cure_is_named(tmp_path: Path, network: Path) -> None:
    machines = Machines(tmp_path, network)
    process = machines.start(machines.scanner, "view", "--headless", "--from", f"tcp://0.0.0.0:{machines.answers}")
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert "smartca keys pair 0.0.0.0 CODE" in said and said.count("\n") == 1


def test_an_engine_nobody_is_paired_with_says_so(tmp_path: Path, network: Path) -> None:
    machines = Machines(tmp_path, network)
    at = [f"tcp://0.0.0.0:{port}" for port in (machines.feeds, machines.answers)]
    process = machines.start(machines.engine, "serve", "--bind", at[0], "--publish", at[1], "--model", network)
    assert process.stderr is not None
    said = ""
    while "keys pair" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    process.terminate()
    process.communicate(timeout=PATIENCE_S)


def test_changed_and_repeated_bytes_reach_nobody(tmp_path: Path, network: Path) -> None:
    """A message of which one bit was turned over is none; old bytes sent again are no connection at all."""
    machines = Machines(tmp_path, network)
    machines.pair()
    chance = random.Random(1)

    def flip(data: bytes) -> bytes:
        changed = bytearray(data)
        for start in range(0, len(data) - 1000, 1000):  # so that each picture is hit
            changed[start + chance.randrange(1000)] ^= 1 << chance.randrange(8)
        return bytes(changed)

    with machines.serving() as engine:
        tap = Tap(machines.feeds)
        tap.change = flip
        sender, viewer = machines.begin(tap.port)
        wait_until(lambda: len(tap.passed) > 10 * PICTURE.size)
        for process in (sender, viewer):
            process.terminate()
            process.communicate(timeout=PATIENCE_S)
        recorded = bytes(tap.passed)
        tap.close()
        assert '"shown": 0' in (tmp_path / "r.json").read_text()
        for _ in range(20):
            with suppress(OSError), socket.create_connection(("127.0.0.1", machines.feeds)) as again:
                again.sendall(recorded)
        assert engine.poll() is None
        (tmp_path / "r.json").unlink()
        machines.exchange(machines.feeds)
    assert '"shown": 10' in (tmp_path / "r.json").read_text()
