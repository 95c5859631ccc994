"""Addresses, and the sockets opened on them."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import zmq

from ...errors import InputError
from .wire import LARGEST_MESSAGE


class EndpointError(InputError):
    """An address that cannot or must not be used; the message says why and what to type instead."""


def check_endpoint(endpoint: str, insecure: bool = False) -> str:
    """`endpoint` itself, if it is ipc:// or tcp:// on loopback, or any address once `insecure` is typed.

    Frames are pictures of patients and travel in the clear until there are keys. Raises EndpointError.
    """
    if endpoint.startswith("ipc://") and len(endpoint) > len("ipc://"):
        return endpoint
    parts = urlsplit(endpoint)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "tcp" or not parts.hostname or not port:
        raise EndpointError(f"{endpoint!r} is not an address; write tcp://127.0.0.1:5555 or ipc:///tmp/name")
    if not insecure and not _is_loopback(parts.hostname):
        raise EndpointError(
            f"{endpoint} leaves this machine and pictures would travel unencrypted; "
            "use 127.0.0.1, or add --insecure if the network is yours alone"
        )
    return endpoint


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> zmq.Socket[bytes]:
    """A ROUTER bound to `endpoint`. Raises EndpointError if the port is in use or the address is not ours."""
    socket = context.socket(zmq.ROUTER)
    _limit(socket)
    # without this, what is sent to a peer that has gone vanishes without a word
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close(0)
        cure = "close the other program or choose another port" if error.errno == zmq.EADDRINUSE else "check it"
        raise EndpointError(f"cannot listen on {endpoint}: {error.strerror}; {cure}") from error
    return socket


def connect(context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> zmq.Socket[bytes]:
    """A DEALER that connects to `endpoint`, now or as soon as somebody listens there."""
    socket = context.socket(zmq.DEALER)
    _limit(socket)
    socket.setsockopt(zmq.IMMEDIATE, 1)  # nothing is queued for a peer that is not there
    socket.setsockopt(zmq.RECONNECT_IVL, 50)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
    try:
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        socket.close(0)
        raise EndpointError(f"cannot connect to {endpoint}: {error.strerror}") from error
    return socket


def _limit(socket: zmq.Socket[bytes]) -> None:
    """Bound what libzmq itself will hold: credits keep queues short, this keeps strangers short."""
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, 8)
    socket.setsockopt(zmq.RCVHWM, 8)
    socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
