"""Who owns what of a GPU, with stand-ins for pycuda and cuda-bindings that keep CUDA's stack of contexts as they do."""

from __future__ import annotations

import ctypes
import importlib
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from smartca.engine import DeviceLost, EngineError
from smartca.engine.nvidia import bindings_driver, pycuda_driver
from smartca.engine.nvidia import device as cuda_device
from smartca.engine.nvidia.device import CudaDevice, open_device
from smartca.engine.nvidia.driver import has_driver
from support.waiting import join

NAMES = (b"a GPU", b"another GPU")


@dataclass
class Gpu:
    """What both packages ask: a stack of contexts, memory in the host and what was given back. broken: it fails."""

    stack: list[object] = field(default_factory=list)
    retained: int = 0
    held: dict[int, Any] = field(default_factory=dict)
    freed: int = 0
    broken: bool = False

    def allocate(self, size: int) -> int:
        assert self.stack, "no context is current"
        memory = (ctypes.c_uint8 * size)(*[255] * size)
        self.held[ctypes.addressof(memory)] = memory
        return ctypes.addressof(memory)

    def free(self, address: int) -> None:
        assert self.stack, "no context is current"
        del self.held[address]
        self.freed += 1

    def copy(self, target: int, source: int, size: int) -> None:
        assert self.stack, "no context is current"
        ctypes.memmove(target, source, size)


@dataclass
class Held:
    """pycuda's memory."""

    gpu: Gpu
    address: int

    def __int__(self) -> int:
        return self.address

    def free(self) -> None:
        self.gpu.free(self.address)


class Pycuda:
    """pycuda.driver."""

    Error = type("Error", (Exception,), {})

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu

    @property
    def Context(self) -> Any:
        return SimpleNamespace(pop=self.gpu.stack.pop, synchronize=self._work)

    @property
    def Device(self) -> Any:
        gpu = self.gpu

        class Device:
            count = staticmethod(lambda: len(NAMES))

            def __init__(self, number: int) -> None:
                self.number = number

            def name(self) -> str:
                return NAMES[self.number].decode()

            def pci_bus_id(self) -> str:
                return f"0000:0{self.number}:00.0"

            def retain_primary_context(self) -> Any:
                gpu.retained += 1
                made = SimpleNamespace()
                made.push = lambda: gpu.stack.append(made)
                return made

        return Device

    def init(self) -> None:
        pass

    def _work(self) -> None:
        if self.gpu.broken:
            raise self.Error("an illegal memory access was encountered")

    def Stream(self, flags: int) -> Any:
        return SimpleNamespace(handle=7, synchronize=self._work)

    def mem_alloc(self, size: int) -> Held:
        return Held(self.gpu, self.gpu.allocate(size))

    def pagelocked_zeros(self, shape: tuple[int, ...], kind: type) -> Any:
        size = 4 * int(np.prod(shape))
        held = Held(self.gpu, self.gpu.allocate(size))
        made = np.frombuffer(self.gpu.held[held.address], np.float32).reshape(shape).view(Pinned)
        made.fill(0)
        made.held = held
        return made

    def memcpy_htod_async(self, target: int, source: Any, stream: Any) -> None:
        self.gpu.copy(target, source.ctypes.data, source.nbytes)

    def memcpy_dtoh_async(self, target: Any, source: int, stream: Any) -> None:
        self.gpu.copy(target.ctypes.data, source, target.nbytes)


class Pinned(np.ndarray[Any, Any]):
    """pycuda's pinned memory: its base owns it."""

    held: Held

    @property
    def base(self) -> Any:
        return self.held


class Bindings:
    """cuda.bindings.driver."""

    CUresult = SimpleNamespace(CUDA_SUCCESS=0)

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu

    def cuInit(self, flags: int) -> tuple[int]:
        return (0,)

    def cuGetErrorString(self, code: int) -> tuple[int, bytes]:
        return 0, b"an illegal memory access was encountered"

    def cuDeviceGetCount(self) -> tuple[int, int]:
        return 0, len(NAMES)

    def cuDeviceGet(self, number: int) -> tuple[int, int]:
        return 0, number

    def cuDeviceGetName(self, length: int, device: int) -> tuple[int, bytes]:
        return 0, NAMES[device].ljust(length, b"\0")

    def cuDevicePrimaryCtxRetain(self, device: int) -> tuple[int, object]:
        self.gpu.retained += 1
        return 0, object()

    def cuCtxPushCurrent(self, context: object) -> tuple[int]:
        self.gpu.stack.append(context)
        return (0,)

    def cuCtxPopCurrent(self) -> tuple[int, object]:
        return 0, self.gpu.stack.pop()

    def cuCtxSynchronize(self) -> tuple[int]:
        return (700 if self.gpu.broken else 0,)

    def cuStreamCreate(self, flags: int) -> tuple[int, int]:
        return 0, 7

    def cuStreamSynchronize(self, stream: int) -> tuple[int]:
        return self.cuCtxSynchronize()

    def cuStreamDestroy(self, stream: int) -> tuple[int]:
        return (0,)

    def cuMemAlloc(self, size: int) -> tuple[int, int]:
        return 0, self.gpu.allocate(size)

    def cuMemHostAlloc(self, size: int, flags: int) -> tuple[int, int]:
        return 0, self.gpu.allocate(size)

    def cuMemFree(self, address: int) -> tuple[int]:
        self.gpu.free(address)
        return (0,)

    cuMemFreeHost = cuMemFree

    def cuMemcpyHtoDAsync(self, target: int, source: int, size: int, stream: int) -> tuple[int]:
        self.gpu.copy(target, source, size)
        return (0,)

    cuMemcpyDtoHAsync = cuMemcpyHtoDAsync


Opens = Callable[..., CudaDevice]


@pytest.fixture
def gpu() -> Gpu:
    return Gpu()


@pytest.fixture(params=["pycuda", "cuda-bindings"])
def opens(request: pytest.FixtureRequest, gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> Opens:
    """`open_device`, with only the one package there."""
    monkeypatch.setattr(pycuda_driver, "CONTEXTS", {})
    monkeypatch.setattr(bindings_driver, "CONTEXTS", {})
    monkeypatch.setattr(cuda_device, "has_driver", lambda: True)
    there: dict[str, Any] = (
        {"pycuda.driver": Pycuda(gpu)} if request.param == "pycuda" else {"cuda.bindings.driver": Bindings(gpu)}
    )

    def load(name: str) -> Any:
        if name not in there:
            raise ImportError(f"No module named {name!r}")
        return there[name]

    monkeypatch.setattr(cuda_device, "importlib", SimpleNamespace(import_module=load))
    return open_device


def use(opens: Opens) -> CudaDevice:
    """Open a device, take something of all it has, and give it back, twice."""
    device = opens()
    there, back = device.pinned((1, 2)), device.pinned((1, 2))
    assert not there.any(), "black"
    there[...] = 3.5, -1.0
    memory, stream = device.memory(there.nbytes), device.stream()
    device.copy_in(memory, there, stream)
    device.copy_out(back, memory, stream)
    device.wait(stream)
    assert back.tolist() == [[3.5, -1.0]]
    device.close()
    device.close()
    return device


def test_a_closed_device_leaves_the_thread_as_it_was(opens: Opens, gpu: Gpu) -> None:
    for times in (1, 2, 3):
        device = use(opens)
        assert gpu.stack == []
        assert gpu.freed == 3 * times
        assert not gpu.held
    assert gpu.retained == 1, "one context for all that this thread opens"
    thread = threading.Thread(target=use, args=(opens,))
    thread.start()
    join(thread)
    assert gpu.stack == []
    assert gpu.retained == (2 if device.through == "pycuda" else 1), "pycuda wants one for each thread"


def test_a_closed_device_can_be_opened_again(opens: Opens, gpu: Gpu) -> None:
    closed, again = use(opens), opens()
    assert again.memory(8)
    again.close()
    assert closed.name == again.name == "a GPU"
    assert gpu.stack == []


def test_the_gpu_of_a_name_is_opened_and_else_the_first(opens: Opens) -> None:
    assert opens("another GPU").name == "another GPU"
    assert opens("no such GPU").name == "a GPU"


def test_a_device_that_fails_at_everything_is_lost_and_says_so_ever_after(opens: Opens, gpu: Gpu) -> None:
    device = opens()
    stream = device.stream()
    gpu.broken = True
    with pytest.raises(DeviceLost, match=r"a GPU is lost \(.*illegal memory access.*new process is needed"):
        device.wait(stream)
    gpu.broken = False
    with pytest.raises(DeviceLost):
        device.memory(8)
    assert gpu.stack == []
    device.close()


@pytest.mark.parametrize("package", ["pycuda.driver", "cuda.bindings.driver"])
def test_without_a_gpu_the_package_that_is_here_ends_in_a_sentence(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real package, where it is installed; a machine with a GPU cannot show this."""
    if has_driver():
        pytest.skip("there is an NVIDIA driver here")
    try:
        importlib.import_module(package)
    except ImportError as error:
        pytest.skip(f"{package} does not load here: {error}")
    for name in {"pycuda", "pycuda.driver"} - {package}:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(cuda_device, "has_driver", lambda: True)
    with pytest.raises(EngineError, match="gives no GPU to work with"):
        open_device()


def test_without_either_package_the_cure_needs_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pycuda", "pycuda.driver", "cuda.bindings", "cuda.bindings.driver"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(cuda_device, "has_driver", lambda: True)
    with pytest.raises(EngineError, match=r"neither loads .*: uv sync --extra cuda"):
        open_device()
