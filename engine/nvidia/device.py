"""An NVIDIA GPU: memory, streams and graphs, and every failure in one sentence."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..contract import DeviceLost, EngineError
from .bindings_driver import open_by_bindings
from .driver import NEEDS_BINDINGS, Driver, Queues, has_driver
from .graph import Graph, capture
from .pycuda_driver import open_by_pycuda

NEW_PROCESS = "a new process is needed, which `smartca run` and `smartca serve` start by themselves"


class Device(Queues, Protocol):
    """What a lane needs of a GPU. All methods raise EngineError, and DeviceLost once the device has failed for good."""

    def capture(self, stream: int, enqueue: Callable[[], None]) -> Graph:
        """What `enqueue` queues, as one graph instead."""
        ...

    def working(self, doing: str) -> contextlib.AbstractContextManager[None]:
        """The device is current in here, so that a library may use it; `doing` begins the sentence of a failure."""
        ...

    def close(self) -> None:
        """Give all memory back."""
        ...


def open_device(name: str | None = None) -> CudaDevice:
    """The first GPU of that name, or the first of all (see CUDA_VISIBLE_DEVICES). Raises EngineError with the cure."""
    return CudaDevice(open_driver(name))


def open_driver(name: str | None = None) -> Driver:
    """The first GPU of that name, or the first of all (see CUDA_VISIBLE_DEVICES). Raises EngineError with the cure."""
    try:
        pycuda: Any = importlib.import_module("pycuda.driver")
    except ImportError as without_pycuda:
        if not has_driver():
            raise EngineError(
                "there is no NVIDIA GPU with a driver here, so no TensorRT engine can run: use an .onnx model, or "
                f"install the driver and then {NEEDS_BINDINGS}"
            ) from without_pycuda
        try:
            bindings: Any = importlib.import_module("cuda.bindings.driver")
        except ImportError as without_both:
            raise EngineError(
                f"a TensorRT engine needs pycuda or cuda-bindings, and neither loads ({without_pycuda}; "
                f"{without_both}): {NEEDS_BINDINGS}"
            ) from without_both
        return open_by_bindings(bindings, name)
    return open_by_pycuda(pycuda, name)


class CudaDevice:
    """See `Device`. The GPU's primary context is current only while it is used. through: the package that is used."""

    def __init__(self, driver: Driver) -> None:
        self.name, self.through = driver.name, driver.through
        self._driver = driver
        self._lost: DeviceLost | None = None
        self._capturing = False

    def stream(self) -> int:
        """See `Device.stream`."""
        with self.working("the GPU gives no stream"):
            return self._driver.stream()

    def memory(self, size: int) -> int:
        """See `Device.memory`."""
        with self.working("the GPU gives no memory"):
            return self._driver.memory(size)

    def pinned(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """See `Device.pinned`."""
        with self.working("the GPU's driver gives no pinned memory"):
            return self._driver.pinned(shape)

    def copy_in(self, target: int, source: NDArray[np.float32], stream: int) -> None:
        """See `Device.copy_in`."""
        with self.working("the GPU takes no picture"):
            self._driver.copy_in(target, source, stream)

    def copy_out(self, target: NDArray[np.float32], source: int, stream: int) -> None:
        """See `Device.copy_out`."""
        with self.working("the GPU gives no answer"):
            self._driver.copy_out(target, source, stream)

    def wait(self, stream: int) -> None:
        """See `Device.wait`."""
        with self.working("the GPU failed at its work"):
            self._driver.wait(stream)

    def capture(self, stream: int, enqueue: Callable[[], None]) -> Graph:
        """See `Device.capture`."""
        with self.working("the GPU makes no graph"):
            self._capturing = True
            try:
                return capture(stream, enqueue)
            finally:
                self._capturing = False

    @contextlib.contextmanager
    def working(self, doing: str) -> Iterator[None]:
        """See `Device.working`."""
        if self._lost is not None:
            raise self._lost
        try:
            with self._current():
                yield
        except self._driver.failures as error:
            raise self._failure(doing, error) from error

    @contextlib.contextmanager
    def _current(self) -> Iterator[None]:
        self._driver.push()
        try:
            yield
        finally:
            self._driver.pop()

    def _failure(self, doing: str, error: Exception) -> EngineError:
        """DeviceLost where the device fails at nothing at all: such errors stay with the process for good."""
        if self._capturing:  # to wait is forbidden then; the run that must follow tells whether the device is lost
            return EngineError(f"{doing} ({error})")
        try:
            with self._current():
                self._driver.synchronize()
        except self._driver.failures as again:
            self._lost = DeviceLost(f"the GPU {self.name} is lost ({again}): {NEW_PROCESS}")
            return self._lost
        return EngineError(f"{doing} ({error})")

    def close(self) -> None:
        """See `Device.close`; of a lost device the driver takes everything back when the process ends."""
        if self._lost is not None:
            return
        with contextlib.suppress(EngineError), self.working("the GPU takes nothing back"):
            self._driver.free()
