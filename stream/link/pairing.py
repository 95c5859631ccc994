"""Two machines exchange public keys, and trust nothing but a short code that a person carries from one to the other.

SPAKE2 (RFC 9382, the library `spake2`) makes one secret of the code on both sides. Who listens on the way learns
nothing, and who sits in between has one guess a try. With that secret each side signs its key.

    caller -> engine   Hello: SPAKE2's message          engine -> caller   Hello: SPAKE2's message
    caller -> engine   Key: name, public key, proof     engine -> caller   Key: name, public key, proof; or Refusal
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
import zmq
from msgspec import Meta

from ...errors import UNDECODABLE, RunError
from .endpoint import bind as bind_at
from .keys import KeyProblem, KeyRing, check_key, own_name

DIGITS = 6
WRONG_CODES = 3  # until the code is void
MOST_CALLERS = 32  # at once; a flood of them does not grow
ANSWER_MS = 5000
_LARGEST = 2048  # bytes
_APPLICATION = b"smartca pairing 1"
Name = Annotated[str, Meta(max_length=100)]


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """SPAKE2's message of one side."""

    spake: Annotated[bytes, Meta(max_length=64)]


class Key(msgspec.Struct, frozen=True, tag="key"):
    """A machine's name and public key (Z85), and the proof that its sender knows the code."""

    name: Name
    public: Annotated[str, Meta(max_length=64)]
    proof: Annotated[bytes, Meta(max_length=64)]


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """Why the engine's machine does not go on."""

    why: Annotated[str, Meta(max_length=200)]


Word = Hello | Key | Refusal
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Word).decode


def new_code() -> str:
    """Six digits."""
    return "".join(secrets.choice("0123456789") for _ in range(DIGITS))


def read_code(text: str) -> str:
    """A code as typed, with spaces and dashes between its digits. Raises KeyProblem."""
    code = text.replace(" ", "").replace("-", "")
    if len(code) != DIGITS or not (code.isascii() and code.isdecimal()):
        raise KeyProblem(f"{text!r} is no code; type the {DIGITS} digits that `smartca keys pair` shows there")
    return code


def _proof(secret: bytes, side: Literal["caller", "engine"], name: str, public: str) -> bytes:
    said = msgspec.msgpack.encode([_APPLICATION, side, name, public])
    return hmac.new(secret, said, hashlib.sha256).digest()


def _read(data: bytes) -> Word | None:
    try:
        return _decode(data)
    except UNDECODABLE:
        return None


class PairingHost:
    """The engine's side, without sockets: words in, words out. `done` is the name of the machine let in."""

    def __init__(self, code: str, keys: KeyRing) -> None:
        self.done = ""
        self.wrong = 0
        self._code, self._keys = code, keys
        self._secrets: dict[bytes, bytes] = {}  # by caller

    @property
    def void(self) -> bool:
        """Whether the code has been guessed at too often."""
        return self.wrong >= WRONG_CODES

    def answer(self, caller: bytes, data: bytes) -> bytes:
        """What to send back to `caller`."""
        word = _read(data)
        if self.void:
            return _encode(Refusal("the code is void after three wrong ones; start `smartca keys pair` there anew"))
        if isinstance(word, Hello):
            return _encode(self._begin(caller, word))
        if isinstance(word, Key) and caller in self._secrets:
            return _encode(self._finish(self._secrets.pop(caller), word))
        return _encode(Refusal("this is no pairing of smartca's; update both machines to one version"))

    def _begin(self, caller: bytes, hello: Hello) -> Word:
        from spake2 import SPAKE2_B

        if len(self._secrets) >= MOST_CALLERS:
            self._secrets.pop(next(iter(self._secrets)))
        side = SPAKE2_B(self._code.encode(), idA=_APPLICATION, idB=_APPLICATION)
        mine = side.start()
        try:
            self._secrets[caller] = side.finish(hello.spake)
        except Exception:  # whatever the library raises on bytes that are no point of its curve
            return Refusal("this is no pairing of smartca's; update both machines to one version")
        return Hello(mine)

    def _finish(self, secret: bytes, key: Key) -> Word:
        if not hmac.compare_digest(key.proof, _proof(secret, "caller", key.name, key.public)):
            self.wrong += 1
            return Refusal("the code is wrong; look at it again")
        try:
            public = check_key(key.public)
            self.done = _free_name(self._keys, key.name, public)
            self._keys.store("allowed", self.done, public)
        except KeyProblem as problem:
            self.done = ""
            return Refusal(str(problem)[:200])
        mine = self._keys.own().public.decode()
        return Key(own_name(), mine, _proof(secret, "engine", own_name(), mine))


def _free_name(keys: KeyRing, name: str, public: bytes) -> str:
    """`name`, or with a number where another machine has it: pairing must not lock that one out."""
    taken = keys.names("allowed")
    for known, key in taken.items():
        if key == public:
            return known
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def host(code: str, keys: KeyRing, endpoint: str, seconds: float, keep: Callable[[], bool]) -> str:
    """Let one machine pair at `endpoint` within `seconds`; returns its name. Raises EndpointError or RunError."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    try:
        socket = context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.MAXMSGSIZE, _LARGEST)
        socket.setsockopt(zmq.LINGER, 500)  # the last answer must still go
        bind_at(socket, endpoint)
        pairing = PairingHost(code, keys)
        until = time.monotonic() + seconds
        while time.monotonic() < until and keep():
            if socket.poll(100):
                parts = socket.recv_multipart()
                if len(parts) == 3:  # of a REQ: address, an empty part, the word
                    socket.send_multipart([parts[0], b"", pairing.answer(parts[0], parts[2])])
            if pairing.done:
                return pairing.done
            if pairing.void:
                raise RunError("three wrong codes came, so this one is void; start `smartca keys pair` again")
        raise RunError("no machine was paired; start `smartca keys pair` again when the other one is at hand")
    finally:
        context.destroy(linger=500)


def join(code: str, keys: KeyRing, machine: str, port: int) -> str:
    """Pair with the engine on `machine`, which waits at `port`; returns the name it gives itself.

    Raises RunError where it does not answer, refuses, or does not know the code itself.
    """
    from spake2 import SPAKE2_A

    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    try:
        socket = context.socket(zmq.REQ)
        socket.setsockopt(zmq.MAXMSGSIZE, _LARGEST)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(f"tcp://{machine}:{port}")
        side = SPAKE2_A(code.encode(), idA=_APPLICATION, idB=_APPLICATION)
        hello = _ask(socket, Hello(side.start()), machine, port)
        try:
            secret = side.finish(hello.spake if isinstance(hello, Hello) else b"")
        except Exception as error:  # whatever the library raises on bytes that are no point of its curve
            raise RunError(f"what answers on {machine} is no `smartca keys pair`; check the address") from error
        name, mine = own_name(), keys.own().public.decode()
        theirs = _ask(socket, Key(name, mine, _proof(secret, "caller", name, mine)), machine, port)
        if not isinstance(theirs, Key) or not hmac.compare_digest(
            theirs.proof, _proof(secret, "engine", theirs.name, theirs.public)
        ):
            raise RunError(f"{machine} could not prove that it knows the code; somebody may sit in between: try again")
        keys.store("engines", machine.lower(), check_key(theirs.public))
        return theirs.name
    except zmq.ZMQError as error:
        raise RunError(f"{machine} is no machine's name or address ({error.strerror}); check it") from error
    finally:
        context.destroy(linger=0)


def _ask(socket: zmq.Socket[bytes], word: Word, machine: str, port: int) -> Word:
    socket.send(_encode(word))
    if not socket.poll(ANSWER_MS):
        raise RunError(
            f"nobody answers on {machine} at port {port}; run `smartca keys pair` there first, and open that port"
        )
    answer = _read(socket.recv())
    if isinstance(answer, Refusal):
        raise RunError(f"{machine} says: {answer.why}")
    if answer is None:
        raise RunError(f"what answers on {machine} is no `smartca keys pair`; check the address")
    return answer
