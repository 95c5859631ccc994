"""Nothing leaves the machine unless somebody typed --insecure."""

from __future__ import annotations

import pytest
import zmq
from smartca.stream.link.endpoint import EndpointError, check_endpoint, listen


@pytest.mark.parametrize("good", ["tcp://127.0.0.1:5555", "tcp://localhost:1", "tcp://[::1]:5555", "ipc:///tmp/x"])
def test_loopback_and_ipc_are_free(good: str) -> None:
    assert check_endpoint(good) == good


@pytest.mark.parametrize("far", ["tcp://0.0.0.0:5555", "tcp://*:5555", "tcp://192.0.2.1:5555", "tcp://example.org:1"])
def test_beyond_this_machine_takes_a_word(far: str) -> None:
    with pytest.raises(EndpointError, match="--insecure"):
        check_endpoint(far)
    assert check_endpoint(far, insecure=True) == far


@pytest.mark.parametrize("bad", ["", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:x", "udp://127.0.0.1:5", "ipc://"])
def test_no_address_at_all(bad: str) -> None:
    with pytest.raises(EndpointError, match="not an address"):
        check_endpoint(bad, insecure=True)


def test_a_port_in_use_is_a_sentence() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    first = listen(context, "tcp://127.0.0.1:*")
    where = first.getsockopt_string(zmq.LAST_ENDPOINT)
    with pytest.raises(EndpointError, match="another port"):
        listen(context, where)
    context.destroy(0)
