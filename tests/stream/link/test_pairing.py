"""Pairing: the code opens it, nothing else does, and three wrong ones close it."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import msgspec
import pytest
import zmq
from smartca.errors import RunError
from smartca.stream.link.endpoint import EndpointError
from smartca.stream.link.keys import KeyProblem, KeyRing
from smartca.stream.link.pairing import Hello, Key, PairingHost, Refusal, host, join, new_code, read_code
from support.ports import free_port
from support.waiting import join as join_thread


@pytest.fixture
def engine(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "engine")


@pytest.fixture
def scanner(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "scanner")


class Hosted:
    """`host` in a thread."""

    def __init__(self, code: str, keys: KeyRing) -> None:
        self.port, self.name, self.problem = free_port(), "", ""
        self.thread = threading.Thread(target=self._run, args=(code, keys), daemon=True)
        self.thread.start()

    def _run(self, code: str, keys: KeyRing) -> None:
        try:
            self.name = host(code, keys, f"tcp://127.0.0.1:{self.port}", 60, lambda: True)
        except RunError as error:
            self.problem = str(error)


def test_each_side_learns_the_others_key(engine: KeyRing, scanner: KeyRing) -> None:
    waiting = Hosted("123456", engine)
    join("123456", scanner, "127.0.0.1", waiting.port)
    join_thread(waiting.thread)
    assert engine.names("allowed") == {waiting.name: scanner.own().public}
    assert scanner.names("engines") == {"127.0.0.1": engine.own().public}


def test_three_wrong_codes_make_it_void(engine: KeyRing, scanner: KeyRing) -> None:
    waiting = Hosted("123456", engine)
    for _ in range(3):
        with pytest.raises(RunError, match="the code is wrong"):
            join("654321", scanner, "127.0.0.1", waiting.port)
    join_thread(waiting.thread)
    assert "void" in waiting.problem
    assert engine.names("allowed") == scanner.names("engines") == {}


def test_a_void_code_does_not_open_even_if_right(engine: KeyRing) -> None:
    pairing = PairingHost("123456", engine)
    pairing.wrong = 3
    assert isinstance(msgspec.msgpack.decode(pairing.answer(b"x", b""), type=Refusal), Refusal)


def test_who_does_not_know_the_code_is_not_believed(scanner: KeyRing) -> None:
    """An engine in between, which answers with a code of its own and cannot prove ours."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.REP)
    port = socket.bind_to_random_port("tcp://127.0.0.1")

    def lie() -> None:
        from spake2 import SPAKE2_B

        socket.recv()
        side = SPAKE2_B(b"000000", idA=b"smartca pairing 1", idB=b"smartca pairing 1")
        socket.send(msgspec.msgpack.encode(Hello(side.start())))
        socket.recv()
        socket.send(msgspec.msgpack.encode(Key("liar", scanner.own().public.decode(), bytes(32))))

    thread = threading.Thread(target=lie, daemon=True)
    thread.start()
    with pytest.raises(RunError, match="could not prove"):
        join("123456", scanner, "127.0.0.1", port)
    join_thread(thread)
    context.destroy(0)
    assert scanner.names("engines") == {}


def test_hostile_words_are_refused_and_do_not_add_up(engine: KeyRing) -> None:
    pairing, chance = PairingHost("123456", engine), random.Random(1)
    for number in range(500):
        data = os.urandom(chance.randrange(200)) if number % 2 else msgspec.msgpack.encode(Hello(os.urandom(33)))
        word = msgspec.msgpack.decode(pairing.answer(b"%d" % number, data), type=Refusal | Hello)
        assert isinstance(word, (Refusal, Hello))
    assert len(pairing._secrets) <= 32 and not pairing.done and engine.names("allowed") == {}


def test_two_machines_of_one_name_are_both_let_in(engine: KeyRing, scanner: KeyRing, tmp_path: Path) -> None:
    for ring in (scanner, KeyRing(tmp_path / "third"), scanner):
        waiting = Hosted("123456", engine)
        join("123456", ring, "127.0.0.1", waiting.port)
        join_thread(waiting.thread)
    assert len(engine.names("allowed")) == 2


def test_nobody_there_and_a_port_in_use_are_sentences(
    engine: KeyRing, scanner: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartca.stream.link.pairing.ANSWER_MS", 100)
    with pytest.raises(RunError, match="nobody answers"):
        join("123456", scanner, "127.0.0.1", free_port())
    with pytest.raises(RunError, match="no machine's name"):
        join("123456", scanner, "not a host", 5557)
    with pytest.raises(RunError, match="no machine was paired"):
        host("123456", engine, f"tcp://127.0.0.1:{free_port()}", 0.0, lambda: True)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    other = context.socket(zmq.REP)
    port = other.bind_to_random_port("tcp://127.0.0.1")
    with pytest.raises(EndpointError, match="another port"):
        host("123456", engine, f"tcp://127.0.0.1:{port}", 1.0, lambda: True)
    context.destroy(0)


@pytest.mark.parametrize("typed", ["123456", "123 456", "12-34-56"])
def test_a_code_as_people_type_it(typed: str) -> None:
    assert read_code(typed) == "123456"


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦"])
def test_what_is_no_code(typed: str) -> None:
    with pytest.raises(KeyProblem, match="6 digits"):
        read_code(typed)


def test_codes_differ() -> None:
    assert len({new_code() for _ in range(50)}) > 45
