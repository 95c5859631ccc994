"""Who may talk to an engine from another machine: CURVE's handshakes are answered here, and refusals counted.

ZeroMQ asks about each handshake by its authentication protocol (ZAP, RFC 27). It is answered in the engine's own loop,
a few at a time: a flood of handshakes waits, and the stream does not.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import zmq
from zmq.auth.base import Authenticator

from .endpoint import EndpointError, bind, check_endpoint, is_local, listener
from .keys import KeyRing
from .link import Admits

log = logging.getLogger(__name__)
HANDSHAKES = 4  # answered in one round of the engine's loop
HANDSHAKE_MS = 3000  # a peer that says nothing for so long at the door is sent away
LOOK_NS = 500_000_000  # how often the folder of keys is looked at: a revoked key is good for no longer
TELL_NS = 1_000_000_000
NOT_ALLOWED, REVOKED, NO_HANDSHAKE = "key not allowed", "key revoked", "no proper handshake"
_FAILED = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
_MOST_EVENTS = 256


class Refused:
    """How often what was refused, by cause; said once a second at most, as a flood must not fill the log."""

    def __init__(self) -> None:
        self.by_cause: Counter[str] = Counter()
        self._told = 0
        self._last_ns = 0

    @property
    def count(self) -> int:
        """All of them."""
        return self.by_cause.total()

    def add(self, cause: str, times: int = 1) -> None:
        """Count, for `cause`."""
        self.by_cause[cause] += times
        self.tell(time.monotonic_ns())

    def tell(self, now_ns: int) -> None:
        """Say what has not been said yet, if it is time."""
        new = self.count - self._told
        if new and now_ns - self._last_ns >= TELL_NS:
            self._last_ns, self._told = now_ns, self.count
            causes = ", ".join(f"{number} {cause}" for cause, number in self.by_cause.items())
            log.warning("refused %d connection(s) or message(s) of strangers; in all: %s", new, causes)


class Guard:
    """The door of one context's listening sockets: `protect` each before it is bound, then `pump` in the loop."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: KeyRing) -> None:
        self.refused = Refused()
        self._context = context
        self._keys = keys
        self._pair = keys.own()
        self._allowed: frozenset[bytes] = frozenset()
        self._stamp = -1
        self._look_due = 0
        self._monitors: list[zmq.Socket[bytes]] = []
        self._zap = Authenticator(context, log=log)
        self._zap.start()
        self._zap.configure_curve_callback("*", self)
        self._look(time.monotonic_ns())

    @property
    def allowed(self) -> frozenset[bytes]:
        """The public keys that may come in: those of the folder, and this machine's own."""
        return self._allowed

    def protect(self, socket: zmq.Socket[bytes]) -> None:
        """Let `socket` speak CURVE only, from its next `bind` on."""
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._pair.secret)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self._pair.public)
        socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        self._monitors.append(_watched(self._context, socket))

    def callback(self, domain: str, key: bytes) -> bool:
        """ZAP's question (see `Authenticator.configure_curve_callback`): may the holder of `key` come in?"""
        if key not in self._allowed:
            self._look(time.monotonic_ns())  # it may have been paired a moment ago
        if key in self._allowed:
            return True
        self.refused.add(NOT_ALLOWED)
        return False

    def admits(self, part: zmq.Frame) -> bool:
        """Whether the sender of a message still may send: a key may be revoked while it is connected."""
        try:
            key = part.get("User-Id")
        except zmq.ZMQError:  # it came without a key, and `protect` lets nobody in without one
            key = ""
        if isinstance(key, str) and key.encode() in self._allowed:
            return True
        self.refused.add(REVOKED)
        return False

    def pump(self, now_ns: int) -> None:
        """Answer handshakes that wait, a few; look at the keys from time to time; count who failed at the door."""
        if now_ns >= self._look_due:
            self._look(now_ns)
        for _ in range(HANDSHAKES):
            try:
                question = self._zap.zap_socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            self._answer(question)
        for monitor in self._monitors:
            self._count_failures(monitor)
        self.refused.tell(now_ns)

    def close(self) -> None:
        """Close what is not the listening sockets' own."""
        self._zap.stop()
        for monitor in self._monitors:
            monitor.close(0)

    def _answer(self, question: list[bytes]) -> None:
        handling = self._zap.handle_zap_message(question)
        try:
            handling.send(None)  # nothing in it waits, since `callback` does not
        except StopIteration:
            return
        handling.close()

    def _look(self, now_ns: int) -> None:
        self._look_due = now_ns + LOOK_NS
        stamp = self._keys.stamp("allowed")
        if stamp != self._stamp:
            self._stamp = stamp
            self._allowed = frozenset(self._keys.names("allowed").values()) | {self._pair.public}
            log.info("keys were read", extra={"allowed": len(self._allowed) - 1})

    def _count_failures(self, monitor: zmq.Socket[bytes]) -> None:
        for _ in range(_MOST_EVENTS):
            try:
                monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self.refused.add(NO_HANDSHAKE)


@dataclass(frozen=True, slots=True)
class Entrance:
    """A listening socket, and who of its senders may still send (None: all of them)."""

    socket: zmq.Socket[bytes]
    admits: Admits | None


def listen_at(
    context: zmq.Context[zmq.Socket[bytes]], endpoints: Sequence[str], insecure: bool, keys: KeyRing | None = None
) -> tuple[list[Entrance], Guard | None]:
    """A ROUTER listening at each of `endpoints`, guarded where other machines reach it, unless `insecure`.

    keys: None takes this user's. Raises EndpointError (no address, a port in use) or FileError (the keys).
    """
    for endpoint in endpoints:
        check_endpoint(endpoint)
    far = [not insecure and not is_local(endpoint) for endpoint in endpoints]
    guard = Guard(context, keys or KeyRing()) if any(far) else None
    entrances: list[Entrance] = []
    try:
        for endpoint, guarded in zip(endpoints, far, strict=True):
            entrances.append(_entrance(context, endpoint, guard if guarded else None))
    except EndpointError:
        for entrance in entrances:
            entrance.socket.close(0)
        if guard is not None:
            guard.close()
        raise
    return entrances, guard


def _entrance(context: zmq.Context[zmq.Socket[bytes]], endpoint: str, guard: Guard | None) -> Entrance:
    socket = listener(context)
    if guard is not None:
        guard.protect(socket)
    bind(socket, endpoint)
    return Entrance(socket, None if guard is None else guard.admits)


def _watched(context: zmq.Context[zmq.Socket[bytes]], socket: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
    """Hears of handshakes that fail at `socket`. Without a limit: ZeroMQ's own thread would wait at one."""
    where = f"inproc://door-{id(socket)}"
    socket.monitor(where, _FAILED)
    monitor = context.socket(zmq.PAIR)
    monitor.setsockopt(zmq.RCVHWM, 0)
    monitor.connect(where)
    return monitor
