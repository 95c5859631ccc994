"""CUDA graphs by cuda-bindings: what was queued once is launched again in one call."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from typing import Any, Protocol

from ...errors import RunError
from .driver import NEEDS_BINDINGS


class CudaError(RunError):
    """A call of the driver's failed; the message is the driver's own."""


class Graph(Protocol):
    """Queued work that can be launched as often as wanted, always on the same memory."""

    def launch(self) -> None:
        """Queue it all. Raises CudaError."""
        ...

    def close(self) -> None:
        """Free it."""
        ...


class CudaGraph:
    """An instantiated graph and the stream it was captured from."""

    def __init__(self, driver: Any, graph: Any, stream: Any) -> None:
        self._driver = driver
        self._graph = graph
        self._stream = stream
        self._ready = checked(driver, driver.cuGraphInstantiate(graph, 0))

    def launch(self) -> None:
        """See `Graph.launch`."""
        checked(self._driver, self._driver.cuGraphLaunch(self._ready, self._stream))

    def close(self) -> None:
        """See `Graph.close`."""
        self._driver.cuGraphExecDestroy(self._ready)
        self._driver.cuGraphDestroy(self._graph)


def capture(stream: int, enqueue: Callable[[], None]) -> CudaGraph:
    """What `enqueue` queues on `stream`, which must have been queued and done before: first runs allocate.

    The device must be current. Raises CudaError where it cannot be captured or cuda-bindings is absent, and whatever
    `enqueue` raises; the stream is then as it was before.
    """
    driver = bindings()
    handle = driver.CUstream(stream)
    # other threads may go on to use the device meanwhile
    mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    checked(driver, driver.cuStreamBeginCapture(handle, mode))
    try:
        enqueue()
    except BaseException:
        with contextlib.suppress(CudaError):  # a capture that failed ends in an error, and must be ended all the same
            driver.cuGraphDestroy(checked(driver, driver.cuStreamEndCapture(handle)))
        raise
    graph = checked(driver, driver.cuStreamEndCapture(handle))
    try:
        return CudaGraph(driver, graph, handle)
    except CudaError:
        driver.cuGraphDestroy(graph)
        raise


def bindings() -> Any:
    """cuda-bindings' driver module, in touch with the driver. Raises CudaError with the cure."""
    try:
        driver = importlib.import_module("cuda.bindings.driver")
    except ImportError as error:
        raise CudaError(f"cuda-bindings is not installed or does not load ({error}): {NEEDS_BINDINGS}") from error
    try:
        checked(driver, driver.cuInit(0))
    except RuntimeError as error:  # it looks for the driver on its own, and in fewer places
        raise CudaError(f"cuda-bindings cannot reach the driver ({error})") from error
    return driver


def checked(driver: Any, answer: tuple[Any, ...]) -> Any:
    """What a call gave besides its return code. Raises CudaError where that is not success."""
    code, *rest = answer
    if code != driver.CUresult.CUDA_SUCCESS:
        known, words = driver.cuGetErrorString(code)
        said = words.decode() if known == driver.CUresult.CUDA_SUCCESS and words else "an error unknown to it"
        raise CudaError(f"the driver says: {said}")
    return rest[0] if rest else None
