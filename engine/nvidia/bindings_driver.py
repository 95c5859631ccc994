"""The NVIDIA driver through cuda-bindings, NVIDIA's own package: it has wheels, so that no compiler is needed."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .driver import NON_BLOCKING, no_gpu
from .graph import CudaError, checked

# a GPU -> its primary context, which is never released: other libraries of this process go on to use it
CONTEXTS: dict[int, Any] = {}
NAME_LENGTH = 256


def open_by_bindings(bindings: Any, name: str | None) -> BindingsDriver:
    """See `device.open_driver`; bindings: the module cuda.bindings.driver."""
    try:
        checked(bindings, bindings.cuInit(0))
        count = int(checked(bindings, bindings.cuDeviceGetCount()))
        every = [checked(bindings, bindings.cuDeviceGet(number)) for number in range(count)]
        return BindingsDriver(bindings, next((gpu for gpu in every if _name(bindings, gpu) == name), every[0]))
    except (RuntimeError, IndexError) as error:  # it looks for the driver on its own, and may not find it
        raise no_gpu(error) from error


class BindingsDriver:
    """See `driver.Driver`."""

    through = "cuda-bindings"
    failures: tuple[type[Exception], ...] = (CudaError,)

    def __init__(self, bindings: Any, device: Any) -> None:
        self.name = _name(bindings, device)
        self._bindings = bindings
        if int(device) not in CONTEXTS:
            CONTEXTS[int(device)] = self._call("cuDevicePrimaryCtxRetain", device)
        self._context = CONTEXTS[int(device)]
        self._streams: list[Any] = []
        self._memory: list[Any] = []
        self._pinned: list[int] = []

    def push(self) -> None:
        """See `Driver.push`."""
        self._call("cuCtxPushCurrent", self._context)

    def pop(self) -> None:
        """See `Driver.pop`."""
        self._call("cuCtxPopCurrent")

    def synchronize(self) -> None:
        """See `Driver.synchronize`."""
        self._call("cuCtxSynchronize")

    def stream(self) -> int:
        """See `Driver.stream`."""
        self._streams.append(self._call("cuStreamCreate", NON_BLOCKING))
        return int(self._streams[-1])

    def memory(self, size: int) -> int:
        """See `Driver.memory`."""
        self._memory.append(self._call("cuMemAlloc", size))
        return int(self._memory[-1])

    def pinned(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """See `Driver.pinned`."""
        count = math.prod(shape)
        address = int(self._call("cuMemHostAlloc", 4 * count, 0))
        self._pinned.append(address)
        made = np.ctypeslib.as_array((ctypes.c_float * count).from_address(address)).reshape(shape)
        made.fill(0.0)
        return made

    def copy_in(self, target: int, source: NDArray[np.float32], stream: int) -> None:
        """See `Driver.copy_in`."""
        self._call("cuMemcpyHtoDAsync", target, source.ctypes.data, source.nbytes, stream)

    def copy_out(self, target: NDArray[np.float32], source: int, stream: int) -> None:
        """See `Driver.copy_out`."""
        self._call("cuMemcpyDtoHAsync", target.ctypes.data, source, target.nbytes, stream)

    def wait(self, stream: int) -> None:
        """See `Driver.wait`."""
        self._call("cuStreamSynchronize", stream)

    def free(self) -> None:
        """See `Driver.free`."""
        streams, memory, pinned = self._streams, self._memory, self._pinned
        self._streams, self._memory, self._pinned = [], [], []
        for made in streams:
            self._call("cuStreamDestroy", made)
        for address in memory:
            self._call("cuMemFree", address)
        for address in pinned:
            self._call("cuMemFreeHost", address)

    def _call(self, function: str, *asked: Any) -> Any:
        """The driver's function of that name. Raises CudaError."""
        return checked(self._bindings, getattr(self._bindings, function)(*asked))


def _name(bindings: Any, device: Any) -> str:
    said: bytes = checked(bindings, bindings.cuDeviceGetName(NAME_LENGTH, device))
    return said.split(b"\0")[0].decode(errors="replace")
