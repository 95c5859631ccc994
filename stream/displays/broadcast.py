"""A server that hands the newest thing to every client, each at its own pace; none waits for another."""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from ...errors import FileError

log = logging.getLogger(__name__)
MOST_CLIENTS = 8
TOO_SLOW_S = 2.0  # for one thing: who takes longer would look at the past
PARTING_S = 0.5
_BUFFER = 1 << 18  # bytes that the system may hold for a client: what lies there grows old
_TURN_S = 0.25


class _Client:
    """A connection, what is still to be sent of the thing on its way, and the number of that thing."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.rest = memoryview(b"")
        self.number = 0
        self.begun = 0.0


class Broadcast:
    """Listens from the start. Raises FileError where the address is not ours or in use."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._server = socket.create_server((host, port), family=family, backlog=MOST_CLIENTS)
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", "") or "no such host"
            raise FileError(f"cannot listen on {host} port {port} ({why}); choose another port or address") from error
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._server.setblocking(False)
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._ear.setblocking(False)
        self._waiting = selectors.DefaultSelector()
        for listened in (self._server, self._ear):
            self._waiting.register(listened, selectors.EVENT_READ)
        self._clients: dict[socket.socket, _Client] = {}
        self._make: Callable[[], bytes] | None = None
        self._number = 0  # of the newest thing
        self._made = (0, b"")  # the thing that was put into bytes last, by its number
        self._until: float | None = None  # time.monotonic() when to end
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="broadcast", daemon=True)
        self._thread.start()

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._clients)

    def publish(self, make: Callable[[], bytes]) -> None:
        """Send what `make` gives to all; it is called in the server's thread, once, and only for somebody.

        Raises what an earlier `make` raised.
        """
        if self._error is not None:
            raise self._error
        self._make = make
        self._number += 1
        self._ring()

    def close(self) -> None:
        """Send the newest to its end, within reason, and let everybody go. It may be called twice."""
        self._until = self._until or time.monotonic() + PARTING_S
        self._ring()
        self._thread.join(2 * PARTING_S)

    def _ring(self) -> None:
        with suppress(OSError):  # a full bell has rung; one that is closed need not
            self._bell.send(b"\0")

    # ---- in the server's thread ----

    def _run(self) -> None:
        try:
            while self._until is None or self._under_way():
                for key, events in self._waiting.select(_TURN_S if self._until is None else 0.02):
                    self._serve(key, events)
                self._hand_out()
        except Exception as error:  # raised by the next `publish`
            self._error = error
        finally:
            for connection in [*self._clients, self._server, self._bell, self._ear]:
                connection.close()
            self._clients.clear()
            self._waiting.close()

    def _under_way(self) -> bool:
        late = self._until is not None and time.monotonic() > self._until
        return not late and any(client.rest or client.number < self._number for client in self._clients.values())

    def _serve(self, key: selectors.SelectorKey, events: int) -> None:
        if key.fileobj is self._server:
            self._accept()
        elif key.fileobj is self._ear:
            with suppress(BlockingIOError):
                self._ear.recv(4096)
        elif isinstance(client := key.data, _Client):
            try:
                if events & selectors.EVENT_READ and not client.socket.recv(1 << 16):  # what clients ask is not heeded
                    raise ConnectionResetError
                if events & selectors.EVENT_WRITE:
                    client.rest = client.rest[client.socket.send(client.rest) :]
            except BlockingIOError:
                pass
            except OSError:
                self._drop(client, "has gone")

    def _accept(self) -> None:
        try:
            connection, _ = self._server.accept()
        except OSError:  # it has gone already
            return
        if len(self._clients) >= MOST_CLIENTS:
            log.warning("a client was refused: %d are connected", MOST_CLIENTS)
            connection.close()
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = self._clients[connection] = _Client(connection)
        self._waiting.register(connection, selectors.EVENT_READ, client)
        log.info("a client came", extra={"clients": len(self._clients)})

    def _hand_out(self) -> None:
        """Begin the newest where the one before is through; who is too slow for one is let go."""
        number, make = self._number, self._make
        for client in list(self._clients.values()):
            if client.rest and time.monotonic() - client.begun > TOO_SLOW_S:
                self._drop(client, "is too slow")
                continue
            if not client.rest and make is not None and client.number < number:
                if self._made[0] != number:
                    self._made = number, make()
                client.rest, client.number, client.begun = memoryview(self._made[1]), number, time.monotonic()
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.rest else 0)
            self._waiting.modify(client.socket, wanted, client)

    def _drop(self, client: _Client, why: str) -> None:
        self._waiting.unregister(client.socket)
        client.socket.close()
        del self._clients[client.socket]
        log.info("a client %s", why, extra={"clients": len(self._clients)})
