"""Which addresses are addresses, and which of them stay on this machine."""

from __future__ import annotations

import pytest
import zmq
from smartca.stream.link.endpoint import EndpointError, bind, check_endpoint, host_of, is_local, listener


@pytest.mark.parametrize("near", ["tcp://127.0.0.1:5555", "tcp://localhost:1", "tcp://[::1]:5555", "ipc:///tmp/x"])
def test_loopback_and_ipc_stay_here(near: str) -> None:
    assert is_local(check_endpoint(near))


@pytest.mark.parametrize("far", ["tcp://0.0.0.0:5555", "tcp://*:5555", "tcp://192.0.2.1:5555", "tcp://Example.org:1"])
def test_all_else_leaves_this_machine(far: str) -> None:
    assert not is_local(check_endpoint(far))


def test_a_host_is_written_in_one_way() -> None:
    assert host_of("tcp://Example.ORG:1") == "example.org"


@pytest.mark.parametrize("bad", ["", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:x", "udp://127.0.0.1:5", "ipc://"])
def test_no_address_at_all(bad: str) -> None:
    with pytest.raises(EndpointError, match="not an address"):
        check_endpoint(bad)


def test_a_port_in_use_is_a_sentence() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    first = listener(context)
    bind(first, "tcp://127.0.0.1:*")
    where = first.getsockopt_string(zmq.LAST_ENDPOINT)
    with pytest.raises(EndpointError, match="another port"):
        bind(listener(context), where)
    context.destroy(0)
