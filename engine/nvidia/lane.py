"""One picture's way through a GPU: memory, a stream and an execution context of its own, and perhaps a CUDA graph."""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..contract import DeviceLost, EngineError
from .device import Device
from .graph import Graph

SAME = 1e-4  # of q: two kernels that add in another order differ by less


class Computes(Protocol):
    """What a lane needs of a network; see `trt_network.Network`."""

    ends: dict[str, tuple[int, ...]]
    own_graph: bool
    why_not: str

    def context(self, addresses: dict[str, int], own_graph: bool = False) -> Any: ...

    def enqueue(self, context: Any, stream: int) -> None: ...


class Lane:
    """Everything is allocated once. Two lanes have a stream each, so that one copies while the other computes.

    picture: float32 (1, 1, size, size), pinned, where the next picture goes. answers: q (1, 1, size, size) and perhaps
    (1, 2), pinned, good after `wait`. without_graph: why there is no CUDA graph; empty where there is one.
    """

    def __init__(self, device: Device, network: Computes) -> None:
        self._device, self._network = device, network
        self._stream = device.stream()
        hosts = {name: device.pinned(shape) for name, shape in network.ends.items()}
        self._addresses = {name: device.memory(host.nbytes) for name, host in hosts.items()}
        self._input, *self._outputs = network.ends
        self.picture: NDArray[np.float32] = hosts[self._input]
        self.answers = [hosts[name] for name in self._outputs]
        self._context = network.context(self._addresses)
        self._graph: Graph | None = None
        self._graph_alone: Graph | None = None
        self.without_graph = "it was not tried"

    def launch(self) -> None:
        """Queue copy in, computing and copy out. Raises EngineError, and DeviceLost."""
        try:
            if self._graph is None:
                self._enqueue()
            else:
                with self._device.working("the GPU takes no graph"):
                    self._graph.launch()
        except EngineError as error:
            if not isinstance(error, DeviceLost):
                self.wait()  # what was queued before it failed may still touch the memory
            raise

    def compute(self) -> None:
        """Queue the computing alone, on the picture that is on the device already, by a graph where `launch` has one.

        Raises EngineError, and DeviceLost.
        """
        if self._graph is None:
            self._enqueue_alone()
            return
        if self._graph_alone is None:
            self._graph_alone = self._device.capture(self._stream, self._enqueue_alone)
        with self._device.working("the GPU takes no graph"):
            self._graph_alone.launch()

    def wait(self) -> None:
        """Until the answers are there. Raises EngineError, and DeviceLost."""
        self._device.wait(self._stream)

    def warm_up(self, times: int) -> None:
        """Nobody's frame should wait for first runs, which allocate, compile and tune; then the graph.

        Raises EngineError, and DeviceLost.
        """
        self.picture[...] = np.random.default_rng(0).random(self.picture.shape, np.float32)
        self._run(times)
        self.without_graph = self._network.why_not or self._try_graph(times)
        self._run(1)  # the stream and the context are sound, whatever became of the graph

    def close(self) -> None:
        """Free graph and context; the memory is the device's."""
        with contextlib.suppress(EngineError), self._device.working("the GPU takes nothing back"):
            for graph in (self._graph, self._graph_alone):
                if graph is not None:
                    graph.close()
            self._context = None
        self._graph = self._graph_alone = self._context = None  # of a lost device as well

    def _run(self, times: int) -> None:
        for _ in range(times):
            self.launch()
            self.wait()

    def _enqueue(self) -> None:
        self._device.copy_in(self._addresses[self._input], self.picture, self._stream)
        self._enqueue_alone()
        for name, host in zip(self._outputs, self.answers, strict=True):
            self._device.copy_out(host, self._addresses[name], self._stream)

    def _enqueue_alone(self) -> None:
        self._network.enqueue(self._context, self._stream)

    def _try_graph(self, times: int) -> str:
        """Capture, and hold the graph's answers against those without it; why there is none, or empty.

        A library with a graph of its own captures at one of the first `times` runs.
        """
        picture, wanted = self.picture.copy(), [answer.copy() for answer in self.answers]
        try:
            self.picture[...] = 1.0 - picture  # a graph that does nothing would leave the wanted answers on the device
            self._run(1)
            if self._network.own_graph:
                self._renew(own_graph=True)
                self._run(times)
            else:
                self._graph = self._device.capture(self._stream, self._enqueue)
            self.picture[...] = picture
            for answer in self.answers:
                answer.fill(np.nan)
            self._run(1)
            if all(np.allclose(a, b, rtol=SAME, atol=SAME) for a, b in zip(self.answers, wanted, strict=True)):
                return ""
            reason = "its answers differ from those without it"
        except DeviceLost:
            raise
        except EngineError as error:
            reason = str(error)
        self._renew(own_graph=False)  # a context that was captured is not to be relied on
        return reason

    def _renew(self, own_graph: bool) -> None:
        """Go on with a new context, without the graph that there was."""
        self.close()
        self._context = self._network.context(self._addresses, own_graph)
