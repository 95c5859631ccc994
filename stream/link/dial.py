"""A connection to an engine: encrypted beyond this machine, and honest about why it does not come about.

ZeroMQ connects in the background and says nothing of it. Here its events are read, so that a person hears within a
second that nobody listens there, or that the key is not known.
"""

from __future__ import annotations

import struct
import time

import zmq

from .endpoint import EndpointError, caller, check_endpoint, host_of, is_local
from .keys import KeyRing, own_name

PATIENCE_NS = 1_000_000_000  # without a connection, until it is told
AGAIN_NS = 1_000_000_000  # ZeroMQ does not try again where a key was refused; somebody may authorize it meanwhile
SILENT_NS = 2_000_000_000  # connected, and nothing heard
_EVENT = struct.Struct("=hi")  # event and value; zmq.utils.monitor reads them too, and imports asyncio for it
_EVENTS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_DISCONNECTED
)


class Dialled:
    """A DEALER to the engine at `endpoint`, now or as soon as somebody listens there.

    Beyond this machine it is encrypted, with the engine's key that `keys` holds under the host's name; `insecure` takes
    that away. On this machine it is in the clear, unless the engine wants it encrypted: it then holds this machine's
    own key. Raises EndpointError.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        insecure: bool = False,
        keys: KeyRing | None = None,
    ) -> None:
        self.endpoint = check_endpoint(endpoint)
        self._keys = keys or KeyRing()
        self._insecure = insecure
        self._local = is_local(endpoint)
        self._encrypted = not self._local and not insecure
        engine = self._known() if self._encrypted else b""
        self.socket = caller(context)
        self._monitor: zmq.Socket[bytes] = self.socket.get_monitor_socket(_EVENTS)
        self._connected = False
        self._why = f"nobody answers at {endpoint}; start `smartca serve` there, or check the address"
        self._nobody = self._why
        self._since_ns = self._tried_ns = time.monotonic_ns()
        self._refused = False
        if self._encrypted:
            self._encrypt(engine)
        self._connect()

    @property
    def encrypted(self) -> bool:
        """Whether what is sent can be read by nobody else."""
        return self._encrypted

    def trouble(self, now_ns: int, silent: bool = False) -> str:
        """Why there has been no connection for a second: a sentence; '' if there is one, or it is early yet.

        silent: nothing is heard of the engine. Where it is connected all the same, its key may have been revoked, and
        only a new handshake tells.
        """
        self._hear(now_ns)
        if self._connected and silent and self._encrypted and now_ns - self._tried_ns > SILENT_NS:
            self._connected, self._since_ns = False, now_ns
            self._try_again(now_ns)
        if self._connected:
            self._tried_ns = self._tried_ns if silent else now_ns
            return ""
        if self._refused and now_ns - self._tried_ns > AGAIN_NS:
            self._try_again(now_ns)
        return self._why if now_ns - self._since_ns > PATIENCE_NS else ""

    def close(self) -> None:
        """Close both sockets."""
        self.socket.disable_monitor()
        self._monitor.close(0)
        self.socket.close(0)

    def _connect(self) -> None:
        try:
            self.socket.connect(self.endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise EndpointError(f"cannot connect to {self.endpoint}: {error.strerror}") from error

    def _known(self) -> bytes:
        host, known = host_of(self.endpoint), self._keys.names("engines")
        if host in known:
            return known[host]
        others = f" (known here: {', '.join(known)})" if known else ""
        raise EndpointError(
            f"the engine on {host} is not known here{others}; run `smartca keys pair` on its machine and then here "
            f"`smartca keys pair {host} CODE` with the code it shows, or add --insecure if the network is yours alone"
        )

    def _encrypt(self, engine: bytes) -> None:
        """From the next `connect` on."""
        own = self._keys.own()
        self.socket.setsockopt(zmq.CURVE_PUBLICKEY, own.public)
        self.socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret)
        self.socket.setsockopt(zmq.CURVE_SERVERKEY, engine)

    def _hear(self, now_ns: int) -> None:
        while self._monitor.poll(0):
            event, _ = _EVENT.unpack(self._monitor.recv_multipart()[0])
            self._take(event, now_ns)

    def _take(self, event: int, now_ns: int) -> None:
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._connected, self._refused, self._why = True, False, self._nobody
            return
        if self._connected:  # it was there, and has gone
            self._connected, self._since_ns = False, now_ns
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            self._refused, self._tried_ns = True, now_ns
            self._why = (
                f"the engine at {self.endpoint} does not let this machine ({own_name()}) in; run `smartca keys pair` "
                f"on its machine and here `smartca keys pair {host_of(self.endpoint)} CODE` with the code it shows"
            )
        elif event != zmq.EVENT_DISCONNECTED:
            self._no_handshake()

    def _no_handshake(self) -> None:
        if self._local and not self._encrypted and self._keys.has_own:
            self._encrypted = True  # an engine for other machines too: this one's own key opens it
            self._encrypt(self._keys.own().public)
            self._refused, self._tried_ns = True, 0  # connect anew, now
            return
        if self._encrypted or (self._local and not self._insecure):
            self._why = (
                f"the engine at {self.endpoint} does not hold the key known for it here, or is not encrypted; run "
                f"`smartca keys pair` on its machine and here `smartca keys pair {host_of(self.endpoint)} CODE`, or "
                "give --insecure on both sides"
            )
        else:
            self._why = f"the engine at {self.endpoint} is encrypted; leave --insecure out, as there"

    def _try_again(self, now_ns: int) -> None:
        self._tried_ns = now_ns
        self.socket.disconnect(self.endpoint)
        self._connect()
