"""An engine's process in a thread, and the peers that talk to it: real sockets, a real network."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import zmq
from smartca.engine import Segmenter, open_segmenter
from smartca.stream.frame import FeedName, Frame
from smartca.stream.link.link import Receiver, Sender, transmitter
from smartca.stream.link.wire import Reply, unpack
from smartca.stream.serve import serve

from support.waiting import join


@dataclass
class Serving:
    """A serve loop in a thread, and how many messages it refused."""

    bind: str
    publish: str
    context: zmq.Context[zmq.Socket[bytes]]
    stop: threading.Event = field(default_factory=threading.Event)
    refused: list[int] = field(default_factory=list)
    dealers: list[zmq.Socket[bytes]] = field(default_factory=list)

    def dealer(self, endpoint: str) -> zmq.Socket[bytes]:
        """A peer of the engine's."""
        dealer = self.context.socket(zmq.DEALER)
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(endpoint)
        self.dealers.append(dealer)
        return dealer


@pytest.fixture
def serving(tmp_path: Path, network: Path) -> Iterator[Serving]:
    """The engine at two ipc addresses."""
    with served(tmp_path, lambda: open_segmenter(network, precision="fp32", threads=1)) as it:
        yield it


@contextmanager
def served(folder: Path, opened: Callable[[], Segmenter]) -> Iterator[Serving]:
    """What `opened` opens, served at two ipc addresses in `folder`."""
    it = Serving(f"ipc://{folder}/in", f"ipc://{folder}/out", zmq.Context())

    def run() -> None:
        it.refused.append(serve(opened, it.bind, it.publish, False, lambda: not it.stop.is_set()))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield it
    it.stop.set()
    join(thread)
    for dealer in it.dealers:
        dealer.close()
    it.context.term()


class Viewer:
    """A viewer that keeps every answer."""

    def __init__(self, serving: Serving, epoch: int = 500) -> None:
        self.socket = serving.dealer(serving.publish)
        self.receiver = Receiver(transmitter(self.socket), epoch)
        self.answers: list[Reply] = []

    def pump(self, milliseconds: int = 5) -> None:
        """Take what has come, and grant."""
        self.receiver.announce(time.monotonic_ns())
        while self.socket.poll(milliseconds):
            message = unpack(self.socket.recv())
            body = self.receiver.hear(message, time.monotonic_ns())
            if isinstance(body, Reply):
                self.answers.append(body)
            if message.number:
                self.receiver.finish(message, time.monotonic_ns())


class Scanner:
    """A feed that sends what it is told to, on credit."""

    def __init__(self, serving: Serving, epoch: int, name: FeedName | None = None) -> None:
        self.socket = serving.dealer(serving.bind)
        self.sender = Sender(transmitter(self.socket), epoch)
        self.feeds = () if name is None else (name,)

    def pump(self) -> None:
        """Hear grants and show life."""
        while self.socket.poll(0):
            self.sender.hear(unpack(self.socket.recv()), time.monotonic_ns())
        self.sender.beat(time.monotonic_ns(), feeds=self.feeds)

    def send(self, frame: Frame) -> bool:
        """Send one frame if there is credit."""
        self.pump()
        return self.sender.send(frame, time.monotonic_ns())
