"""Addresses, and the sockets opened on them: in the clear on this machine, encrypted (CURVE) beyond it."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import zmq

from ...errors import InputError
from .wire import LARGEST_MESSAGE


class EndpointError(InputError):
    """An address that cannot or must not be used; the message says why and what to type instead."""


def check_endpoint(endpoint: str) -> str:
    """`endpoint` itself, if it is ipc://NAME or tcp://HOST:PORT. Raises EndpointError."""
    if endpoint.startswith("ipc://") and len(endpoint) > len("ipc://"):
        return endpoint
    parts = urlsplit(endpoint)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "tcp" or not parts.hostname or not port:
        raise EndpointError(f"{endpoint!r} is not an address; write tcp://127.0.0.1:5555 or ipc:///tmp/name")
    return endpoint


def host_of(endpoint: str) -> str:
    """The host of a tcp:// address, as it was typed but in small letters; '' of ipc://."""
    return urlsplit(endpoint).hostname or "" if endpoint.startswith("tcp://") else ""


def is_local(endpoint: str) -> bool:
    """Whether what goes there stays on this machine: ipc, or tcp on loopback."""
    host = host_of(endpoint)
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listener(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """A ROUTER that listens nowhere yet: see `bind`."""
    socket = context.socket(zmq.ROUTER)
    _limit(socket)
    # without this, what is sent to a peer that has gone vanishes without a word
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    return socket


def bind(socket: zmq.Socket[bytes], endpoint: str) -> None:
    """Let `socket` listen. Raises EndpointError, and closes it, if the port is in use or the address is not ours."""
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close(0)
        cure = "close the other program or choose another port" if error.errno == zmq.EADDRINUSE else "check it"
        raise EndpointError(f"cannot listen on {endpoint}: {error.strerror}; {cure}") from error


def caller(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """A DEALER that is connected nowhere yet."""
    socket = context.socket(zmq.DEALER)
    _limit(socket)
    socket.setsockopt(zmq.IMMEDIATE, 1)  # nothing is queued for a peer that is not there
    socket.setsockopt(zmq.RECONNECT_IVL, 50)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
    return socket


def _limit(socket: zmq.Socket[bytes]) -> None:
    """Bound what libzmq itself will hold: credits keep queues short, this keeps strangers short."""
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, 8)
    socket.setsockopt(zmq.RCVHWM, 8)
    socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
