"""The NVIDIA driver through pycuda."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .driver import NON_BLOCKING, no_gpu
from .graph import CudaError

# a GPU and a thread -> its primary context, which is never released: pycuda leaves a released one current on the thread
CONTEXTS: dict[tuple[str, int], Any] = {}


def open_by_pycuda(pycuda: Any, name: str | None) -> PycudaDriver:
    """See `device.open_driver`; pycuda: the module pycuda.driver."""
    try:
        pycuda.init()
        every = [pycuda.Device(number) for number in range(pycuda.Device.count())]
        return PycudaDriver(pycuda, next((gpu for gpu in every if gpu.name() == name), every[0]))
    except (pycuda.Error, IndexError) as error:
        raise no_gpu(error) from error


class PycudaDriver:
    """See `driver.Driver`."""

    through = "pycuda"

    def __init__(self, pycuda: Any, device: Any) -> None:
        self.name = str(device.name())
        self.failures: tuple[type[Exception], ...] = (pycuda.Error, CudaError)
        self._pycuda = pycuda
        self._context = _primary_context(device)
        self._streams: dict[int, Any] = {}
        self._held: list[Any] = []

    def push(self) -> None:
        """See `Driver.push`."""
        self._context.push()

    def pop(self) -> None:
        """See `Driver.pop`."""
        self._pycuda.Context.pop()

    def synchronize(self) -> None:
        """See `Driver.synchronize`."""
        self._pycuda.Context.synchronize()

    def stream(self) -> int:
        """See `Driver.stream`."""
        made = self._pycuda.Stream(NON_BLOCKING)
        self._streams[int(made.handle)] = made
        return int(made.handle)

    def memory(self, size: int) -> int:
        """See `Driver.memory`."""
        self._held.append(self._pycuda.mem_alloc(size))
        return int(self._held[-1])

    def pinned(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """See `Driver.pinned`."""
        made: NDArray[np.float32] = self._pycuda.pagelocked_zeros(shape, np.float32)
        self._held.append(made.base)
        return made

    def copy_in(self, target: int, source: NDArray[np.float32], stream: int) -> None:
        """See `Driver.copy_in`."""
        self._pycuda.memcpy_htod_async(target, source, self._streams[stream])

    def copy_out(self, target: NDArray[np.float32], source: int, stream: int) -> None:
        """See `Driver.copy_out`."""
        self._pycuda.memcpy_dtoh_async(target, source, self._streams[stream])

    def wait(self, stream: int) -> None:
        """See `Driver.wait`."""
        self._streams[stream].synchronize()

    def free(self) -> None:
        """See `Driver.free`."""
        held, self._held = self._held, []
        self._streams.clear()
        for memory in held:
            memory.free()


def _primary_context(device: Any) -> Any:
    """The GPU's primary context for this thread, as pycuda wants it."""
    key = (str(device.pci_bus_id()), threading.get_ident())
    if key not in CONTEXTS:
        CONTEXTS[key] = device.retain_primary_context()
    return CONTEXTS[key]
