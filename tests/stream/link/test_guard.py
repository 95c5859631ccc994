"""The door of an engine that other machines reach: real CURVE, real strangers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import zmq
from smartca.stream.link.dial import Dialled
from smartca.stream.link.endpoint import EndpointError
from smartca.stream.link.guard import NO_HANDSHAKE, NOT_ALLOWED, REVOKED, Entrance, Guard, listen_at
from smartca.stream.link.keys import KeyRing
from support.ports import free_port
from support.waiting import wait_until


@dataclass
class Door:
    """A guarded socket at an address that counts as another machine's: 0.0.0.0 leads here, too."""

    context: zmq.Context[zmq.Socket[bytes]]
    keys: KeyRing
    at: str
    entrance: Entrance
    guard: Guard

    def round(self) -> list[bytes]:
        """One round of a loop: what was let in."""
        self.guard.pump(time.monotonic_ns())
        came = []
        while self.entrance.socket.poll(1):
            part = self.entrance.socket.recv_multipart(copy=False)[-1]
            assert self.entrance.admits is not None
            if self.entrance.admits(part):
                came.append(bytes(part.buffer))
        return came


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    own: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield own
    own.destroy(0)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    keys, at = KeyRing(tmp_path / "engine"), f"tcp://0.0.0.0:{free_port()}"
    (entrance,), guard = listen_at(context, [at], False, keys)
    assert guard is not None
    yield Door(context, keys, at, entrance, guard)
    guard.close()
    context.destroy(0)


@pytest.fixture
def scanner(door: Door, tmp_path: Path) -> KeyRing:
    """A machine whose keys were exchanged with the engine's."""
    ring = KeyRing(tmp_path / "scanner")
    door.keys.store("allowed", "or-1", ring.own().public)
    ring.store("engines", "0.0.0.0", door.keys.own().public)
    return ring


def says(door: Door, dialled: Dialled) -> str:
    """What is told of a connection, once it has been told."""

    def told() -> str:
        door.round()
        return dialled.trouble(time.monotonic_ns())

    return wait_until(told)


def arrives(door: Door, dialled: Dialled) -> bool:
    """Whether what is sent comes to the loop."""
    came: list[bytes] = []

    def there() -> bool:
        dialled.trouble(time.monotonic_ns())
        if dialled.socket.poll(0, zmq.POLLOUT):
            dialled.socket.send(b"hello", zmq.NOBLOCK)
        came.extend(door.round())
        return bool(came)

    return wait_until(there)


def test_a_known_machine_comes_in(door: Door, scanner: KeyRing, context: zmq.Context[zmq.Socket[bytes]]) -> None:
    dialled = Dialled(context, door.at, keys=scanner)
    assert dialled.encrypted and arrives(door, dialled)
    assert door.guard.refused.count == 0
    dialled.close()


def test_a_stranger_is_told_and_comes_in_once_allowed(
    door: Door, context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path
) -> None:
    stranger = KeyRing(tmp_path / "stranger")
    stranger.store("engines", "0.0.0.0", door.keys.own().public)
    dialled = Dialled(context, door.at, keys=stranger)
    assert "does not let this machine" in says(door, dialled)
    assert door.guard.refused.by_cause[NOT_ALLOWED] >= 1
    door.keys.store("allowed", "now", stranger.own().public)
    assert arrives(door, dialled) and not dialled.trouble(time.monotonic_ns())
    dialled.close()


def test_a_revoked_machine_is_out_at_once(
    door: Door, scanner: KeyRing, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    dialled = Dialled(context, door.at, keys=scanner)
    assert arrives(door, dialled)
    door.keys.remove("allowed", "or-1")

    def refused() -> bool:
        dialled.socket.send(b"again", zmq.NOBLOCK)
        door.round()
        return door.guard.refused.by_cause[REVOKED] > 0

    wait_until(refused)
    for _ in range(3):
        dialled.socket.send(b"still", zmq.NOBLOCK)
    assert door.round() == [] and door.round() == []
    dialled.close()


def test_another_engines_key_is_not_believed(
    door: Door, scanner: KeyRing, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    scanner.store("engines", "0.0.0.0", scanner.own().public)
    dialled = Dialled(context, door.at, keys=scanner)
    assert "does not hold the key" in says(door, dialled)
    wait_until(lambda: [door.round(), door.guard.refused.by_cause[NO_HANDSHAKE]][1])
    dialled.close()


def test_who_comes_in_the_clear_stays_out(
    door: Door, scanner: KeyRing, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    dialled = Dialled(context, door.at, insecure=True, keys=scanner)
    assert "is encrypted; leave --insecure out" in says(door, dialled)
    assert door.guard.refused.by_cause[NO_HANDSHAKE] >= 1
    dialled.close()


def test_on_the_engines_own_machine_its_own_key_opens(door: Door, context: zmq.Context[zmq.Socket[bytes]]) -> None:
    dialled = Dialled(context, door.at.replace("0.0.0.0", "127.0.0.1"), keys=door.keys)
    assert not dialled.encrypted
    assert arrives(door, dialled) and dialled.encrypted
    dialled.close()


def test_an_unknown_engine_is_not_called(context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "scanner")
    ring.store("engines", "lab-pc", ring.own().public)
    with pytest.raises(EndpointError, match=r"lab-2 is not known here \(known here: lab-pc\)"):
        Dialled(context, "tcp://Lab-2:5555", keys=ring)


@pytest.mark.parametrize("form", ["tcp://127.0.0.1:{port}", "ipc://{folder}/nobody"])
def test_nobody_there_is_told(context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path, form: str) -> None:
    at = form.format(port=free_port(), folder=tmp_path)
    dialled = Dialled(context, at, keys=KeyRing(tmp_path / "none"))
    assert dialled.trouble(time.monotonic_ns()) == ""  # it is early yet
    assert "nobody answers" in wait_until(lambda: dialled.trouble(time.monotonic_ns()))
    dialled.close()


def test_on_this_machine_nothing_is_guarded_and_no_key_made(
    context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path
) -> None:
    keys = KeyRing(tmp_path / "none")
    entrances, guard = listen_at(context, [f"tcp://127.0.0.1:{free_port()}", f"ipc://{tmp_path}/a"], False, keys)
    assert guard is None and all(entrance.admits is None for entrance in entrances) and not keys.has_own
    for entrance in entrances:
        entrance.socket.close(0)


def test_insecure_takes_the_guard_away(context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path) -> None:
    keys = KeyRing(tmp_path / "none")
    (entrance,), guard = listen_at(context, [f"tcp://0.0.0.0:{free_port()}"], True, keys)
    assert guard is None and entrance.admits is None
    entrance.socket.close(0)


def test_the_socket_stays_shut_while_its_handshakes_are_not_answered(
    door: Door, scanner: KeyRing, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    """Fail closed: without an answer to the handshake nobody is in."""
    dialled = Dialled(context, door.at, keys=scanner)
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        dialled.trouble(time.monotonic_ns())
        assert not dialled.socket.poll(10, zmq.POLLOUT)
    dialled.close()


def pumped(door: Door, wanted: Callable[[], bool]) -> None:
    wait_until(lambda: [door.round(), wanted()][1])


def test_a_flood_of_handshakes_waits_and_the_loop_does_not(
    door: Door, scanner: KeyRing, context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path
) -> None:
    stranger = KeyRing(tmp_path / "stranger")
    stranger.store("engines", "0.0.0.0", door.keys.own().public)
    flood = [Dialled(context, door.at, keys=stranger) for _ in range(40)]
    time.sleep(0.5)
    door.guard.pump(time.monotonic_ns())
    assert door.guard.refused.by_cause[NOT_ALLOWED] <= 4  # a few a round
    pumped(door, lambda: door.guard.refused.by_cause[NOT_ALLOWED] >= 40)
    dialled = Dialled(context, door.at, keys=scanner)
    assert arrives(door, dialled)
    for each in [*flood, dialled]:
        each.close()
