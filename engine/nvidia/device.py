"""An NVIDIA GPU through pycuda: memory, streams and graphs, and every failure in one sentence."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..contract import DeviceLost, EngineError
from .graph import CudaError, Graph, capture

NON_BLOCKING = 1  # a stream that does not wait for the default one, on which other libraries work
# a GPU and a thread -> its primary context, which is never released: pycuda leaves a released one current on the thread
CONTEXTS: dict[tuple[str, int], Any] = {}
NEW_PROCESS = "a new process is needed, which `smartca run` and `smartca serve` start by themselves"

NEEDS_PYCUDA = "uv sync --extra cuda, or pip install 'smartca[cuda]'"
DRIVERS = ("libcuda.so.1", "nvcuda.dll")  # on Linux and on Windows


class Device(Protocol):
    """What a lane needs of a GPU; streams and memory are plain numbers, as TensorRT takes them.

    All methods raise EngineError, and DeviceLost once the device has failed for good.
    """

    name: str

    def stream(self) -> int:
        """A new stream."""
        ...

    def memory(self, size: int) -> int:
        """The address of `size` bytes on the device, kept until the device is closed."""
        ...

    def pinned(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Memory of the host, black, that the device copies from and to by itself."""
        ...

    def copy_in(self, target: int, source: NDArray[np.float32], stream: int) -> None:
        """Queue a copy to the device."""
        ...

    def copy_out(self, target: NDArray[np.float32], source: int, stream: int) -> None:
        """Queue a copy from the device."""
        ...

    def wait(self, stream: int) -> None:
        """Until all that was queued is done."""
        ...

    def capture(self, stream: int, enqueue: Callable[[], None]) -> Graph:
        """What `enqueue` queues, as one graph instead."""
        ...

    def working(self, doing: str) -> contextlib.AbstractContextManager[None]:
        """The device is current in here, so that a library may use it; `doing` begins the sentence of a failure."""
        ...

    def close(self) -> None:
        """Give all memory back."""
        ...


def has_driver() -> bool:
    """Whether the NVIDIA driver's own library is here; pycuda, which needs it, is not asked."""
    for name in DRIVERS:
        with contextlib.suppress(OSError):
            ctypes.CDLL(name)
            return True
    return False


def open_device(name: str | None = None) -> CudaDevice:
    """The first GPU of that name, or the first of all (see CUDA_VISIBLE_DEVICES). Raises EngineError with the cure."""
    try:
        driver = importlib.import_module("pycuda.driver")
    except ImportError as error:
        if not has_driver():
            raise EngineError(
                "there is no NVIDIA GPU with a driver here, so no TensorRT engine can run: use an .onnx model, or "
                f"install the driver and then pycuda ({NEEDS_PYCUDA})"
            ) from error
        raise EngineError(
            f"a TensorRT engine needs pycuda, which is not installed or does not load ({error}): {NEEDS_PYCUDA}"
        ) from error
    try:
        driver.init()
        every = [driver.Device(number) for number in range(driver.Device.count())]
        return CudaDevice(driver, next((gpu for gpu in every if gpu.name() == name), every[0]))
    except (driver.Error, IndexError) as error:
        raise EngineError(
            f"the NVIDIA driver here gives no GPU to work with ({error}); `smartca doctor` says what there is"
        ) from error


class CudaDevice:
    """See `Device`. The GPU's primary context, which TensorRT and torch share, is current only while it is used."""

    def __init__(self, driver: Any, device: Any) -> None:
        self.name = str(device.name())
        self._driver = driver
        self._context = _primary_context(device)
        self._streams: dict[int, Any] = {}
        self._memory: list[Any] = []
        self._pinned: list[Any] = []
        self._lost: DeviceLost | None = None
        self._capturing = False

    def stream(self) -> int:
        """See `Device.stream`."""
        with self.working("the GPU gives no stream"):
            made = self._driver.Stream(NON_BLOCKING)
            self._streams[int(made.handle)] = made
            return int(made.handle)

    def memory(self, size: int) -> int:
        """See `Device.memory`."""
        with self.working("the GPU gives no memory"):
            self._memory.append(self._driver.mem_alloc(size))
            return int(self._memory[-1])

    def pinned(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """See `Device.pinned`."""
        with self.working("the GPU's driver gives no pinned memory"):
            made: NDArray[np.float32] = self._driver.pagelocked_zeros(shape, np.float32)
            self._pinned.append(made.base)
            return made

    def copy_in(self, target: int, source: NDArray[np.float32], stream: int) -> None:
        """See `Device.copy_in`."""
        with self.working("the GPU takes no picture"):
            self._driver.memcpy_htod_async(target, source, self._streams[stream])

    def copy_out(self, target: NDArray[np.float32], source: int, stream: int) -> None:
        """See `Device.copy_out`."""
        with self.working("the GPU gives no answer"):
            self._driver.memcpy_dtoh_async(target, source, self._streams[stream])

    def wait(self, stream: int) -> None:
        """See `Device.wait`."""
        with self.working("the GPU failed at its work"):
            self._streams[stream].synchronize()

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
            self._context.push()
            try:
                yield
            finally:
                self._driver.Context.pop()
        except (self._driver.Error, CudaError) as error:
            raise self._failure(doing, error) from error

    def _failure(self, doing: str, error: Exception) -> EngineError:
        """DeviceLost where the device fails at nothing at all: such errors stay with the process for good."""
        if self._capturing:  # to wait is forbidden then; the run that must follow tells whether the device is lost
            return EngineError(f"{doing} ({error})")
        try:
            self._context.push()
            try:
                self._driver.Context.synchronize()
            finally:
                self._driver.Context.pop()
        except self._driver.Error as again:
            self._lost = DeviceLost(f"the GPU {self.name} is lost ({again}): {NEW_PROCESS}")
            return self._lost
        return EngineError(f"{doing} ({error})")

    def close(self) -> None:
        """See `Device.close`; of a lost device the driver takes everything back when the process ends."""
        if self._lost is not None:
            return
        held, self._memory, self._pinned = [*self._memory, *self._pinned], [], []
        with contextlib.suppress(EngineError), self.working("the GPU takes nothing back"):
            self._streams.clear()
            for memory in held:
                memory.free()


def _primary_context(device: Any) -> Any:
    """The GPU's primary context for this thread, as pycuda wants it."""
    key = (str(device.pci_bus_id()), threading.get_ident())
    if key not in CONTEXTS:
        CONTEXTS[key] = device.retain_primary_context()
    return CONTEXTS[key]
