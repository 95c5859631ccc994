"""The NVIDIA driver as smartca asks it, through whichever package is there: pycuda, else cuda-bindings."""

from __future__ import annotations

import contextlib
import ctypes
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..contract import EngineError

# cuda-bindings, which has wheels: pycuda is compiled, which takes NVIDIA's CUDA toolkit
NEEDS_BINDINGS = "uv sync --extra cuda, or pip install 'smartca[cuda]'"
NON_BLOCKING = 1  # a stream that does not wait for the default one, on which other libraries work
DRIVERS = ("libcuda.so.1", "nvcuda.dll")  # on Linux and on Windows


class Queues(Protocol):
    """What a GPU is asked for; streams and memory are plain numbers, as TensorRT takes them."""

    name: str

    def stream(self) -> int:
        """A new stream, which waits for no other."""
        ...

    def memory(self, size: int) -> int:
        """The address of `size` bytes on the device, kept until all is given back."""
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
        """Until all that the stream was asked is done."""
        ...


class Driver(Queues, Protocol):
    """One GPU's primary context, which TensorRT and torch share.

    through: the package. failures: what its calls raise. All of `Queues`, and `free`, want the context to be current.
    """

    through: str
    failures: tuple[type[Exception], ...]

    def push(self) -> None:
        """Make the context current on this thread."""
        ...

    def pop(self) -> None:
        """Undo `push`."""
        ...

    def synchronize(self) -> None:
        """Until all that the context was asked is done."""
        ...

    def free(self) -> None:
        """Give back all that was taken; a second time nothing is left to do."""
        ...


def has_driver() -> bool:
    """Whether the NVIDIA driver's own library is here; the packages, which need it, are not asked."""
    for name in DRIVERS:
        with contextlib.suppress(OSError):
            ctypes.CDLL(name)
            return True
    return False


def no_gpu(error: Exception) -> EngineError:
    """Where the driver is there and has no GPU to give."""
    return EngineError(
        f"the NVIDIA driver here gives no GPU to work with ({error}); `smartca doctor` says what is here"
    )
