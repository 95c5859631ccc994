"""A stand-in for a GPU in the host's memory: it shows who owns what and what follows what, and nothing of CUDA.

Each stream is a thread that does in order what was queued on it, some time later, as a GPU's does.
"""

from __future__ import annotations

import contextlib
import ctypes
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from smartca.engine.contract import DeviceLost, EngineError, EngineInfo
from smartca.engine.nvidia.lane import Lane
from smartca.engine.nvidia.tensorrt_runner import LANES, TrtRunner

from support.waiting import PATIENCE_S, join

SIZE = 32
INFO = EngineInfo("tensorrt 0", "fp32", "ab" * 32, (1, 1, SIZE, SIZE))
ENDS: dict[str, tuple[int, ...]] = {"image": (1, 1, SIZE, SIZE), "q": (1, 1, SIZE, SIZE), "picture": (1, 2)}
Work = Callable[[], None]


class Stream:
    """Does what was queued, in order, in a thread of its own; `gate` holds it back."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def put(self, work: Work) -> None:
        """Queue."""
        self._queue.put(work)

    def wait(self) -> None:
        """Until all that was queued is done."""
        done = threading.Event()
        self._queue.put(done.set)
        assert done.wait(PATIENCE_S), "what was queued is not done"

    def end(self) -> None:
        """Stop the thread."""
        self.gate.set()
        self._queue.put(None)
        join(self._thread)

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            self.gate.wait()
            work()


class HostDevice:
    """`nvidia.device.Device` without a device. captures: what becomes of a graph; lost: as if it failed for good."""

    name = "host memory"

    def __init__(self, captures: str = "well") -> None:
        self.captures = captures
        self.lost: DeviceLost | None = None
        self.refuses = ""  # the next piece of work fails once, for this reason
        self.streams: list[Stream] = []
        self.held: list[NDArray[np.uint8]] = []
        self.closed = False
        self.graphs: list[HostGraph] = []
        self._captured: list[Work] | None = None

    def stream(self) -> int:
        self.streams.append(Stream())
        return len(self.streams) - 1

    def memory(self, size: int) -> int:
        self.held.append(np.zeros(size, np.uint8))
        return self.held[-1].ctypes.data

    def pinned(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        return np.zeros(shape, np.float32)

    def copy_in(self, target: int, source: NDArray[np.float32], stream: int) -> None:
        self.put(lambda: _copy(target, source.ctypes.data, source.nbytes), stream)

    def copy_out(self, target: NDArray[np.float32], source: int, stream: int) -> None:
        self.put(lambda: _copy(target.ctypes.data, source, target.nbytes), stream)

    def put(self, work: Work, stream: int) -> None:
        """Queue on a stream, or into the graph that is being captured."""
        with self.working("it takes no work"):
            if self._captured is not None:
                self._captured.append(work)
            else:
                self.streams[stream].put(work)

    def wait(self, stream: int) -> None:
        with self.working("it failed"):
            self.streams[stream].wait()
        with self.working("it failed"):  # a device can be lost meanwhile
            pass

    def capture(self, stream: int, enqueue: Work) -> HostGraph:
        if self.captures == "not at all":
            raise EngineError("it makes no graph (cuda-bindings is not installed)")
        self._captured = []
        try:
            enqueue()
            work = self._captured
        finally:
            self._captured = None
        self.graphs.append(HostGraph(self.streams[stream], work[:-1] if self.captures == "badly" else work))
        return self.graphs[-1]

    @contextlib.contextmanager
    def working(self, doing: str) -> Iterator[None]:
        if self.lost is not None:
            raise self.lost
        if self.refuses:
            reason, self.refuses = self.refuses, ""
            raise EngineError(f"{doing} ({reason})")
        yield

    def close(self) -> None:
        self.closed = True
        for stream in self.streams:
            stream.end()


@dataclass
class HostGraph:
    """Work that was captured."""

    stream: Stream
    work: list[Work]
    launched: int = 0

    def launch(self) -> None:
        self.launched += 1
        for piece in self.work:
            self.stream.put(piece)

    def close(self) -> None:
        self.work = []


@dataclass
class HostNetwork:
    """q is the picture itself; picture is (0.25, 3.5).

    own_graph: the library captures graphs, which answer as `captures` of the device says.
    """

    device: HostDevice
    own_graph: bool = False
    why_not: str = ""
    contexts: int = 0
    graphs: int = 0
    ends: dict[str, tuple[int, ...]] = field(default_factory=lambda: dict(ENDS))

    def context(self, addresses: dict[str, int], own_graph: bool = False) -> Any:
        if own_graph and self.device.captures == "not at all":
            raise EngineError("the library makes no context with a graph")
        self.contexts += 1
        self.graphs += own_graph
        return {**addresses, "wrong": own_graph and self.device.captures == "badly"}

    def enqueue(self, context: Any, stream: int) -> None:
        said = np.array([0.25, 3.5], np.float32)

        def compute() -> None:
            _copy(context["q"], context["image"], 4 * SIZE * (SIZE - context["wrong"]))
            _copy(context["picture"], said.ctypes.data, said.nbytes)

        self.device.put(compute, stream)


def _copy(target: int, source: int, size: int) -> None:
    ctypes.memmove(target, source, size)


def open_on(device: HostDevice, network: HostNetwork | None = None) -> TrtRunner:
    """A warm runner on a device in the host's memory."""
    lanes = [Lane(device, network or HostNetwork(device)) for _ in range(LANES)]
    for lane in lanes:
        lane.warm_up(2)
    free = contextlib.ExitStack()
    for close in (device.close, *(lane.close for lane in lanes)):
        free.callback(close)
    return TrtRunner(lanes, INFO, free.close)
