"""Who owns what of a GPU, with a stand-in for pycuda that keeps CUDA's stack of contexts as pycuda does."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from smartca.engine.nvidia import device as cuda_device
from smartca.engine.nvidia.device import CudaDevice
from support.waiting import join


@dataclass
class Context:
    driver: Driver

    def push(self) -> None:
        self.driver.stack.append(self)

    def detach(self) -> None:
        self.driver.stack.append(self)  # and it is not popped again


@dataclass
class Held:
    """Memory; freeing it needs the context to be current."""

    driver: Driver
    address: int = 4096

    def __int__(self) -> int:
        return self.address

    def free(self) -> None:
        assert self.driver.stack
        self.driver.freed += 1


@dataclass
class Driver:
    """pycuda.driver."""

    stack: list[Context] = field(default_factory=list)
    retained: int = 0
    freed: int = 0
    Error = type("Error", (Exception,), {})

    @property
    def Context(self) -> Any:
        return SimpleNamespace(pop=self.stack.pop, synchronize=lambda: None)

    def Stream(self, flags: int) -> Any:
        return SimpleNamespace(handle=7, synchronize=lambda: None)

    def mem_alloc(self, size: int) -> Held:
        return Held(self)

    def pagelocked_zeros(self, shape: tuple[int, ...], kind: type) -> Any:
        return SimpleNamespace(base=Held(self))

    def name(self) -> str:
        return "a GPU"

    def pci_bus_id(self) -> str:
        return "0000:01:00.0"

    def retain_primary_context(self) -> Context:
        self.retained += 1
        return Context(self)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    monkeypatch.setattr(cuda_device, "CONTEXTS", {})
    return Driver()


def use(driver: Driver) -> CudaDevice:
    """Open a device, take something of all it has, and give it back, twice."""
    device = CudaDevice(driver, driver)
    device.memory(8)
    device.pinned((1, 2))
    device.wait(device.stream())
    device.close()
    device.close()
    return device


def test_a_closed_device_leaves_the_thread_as_it_was(driver: Driver) -> None:
    for times in (1, 2, 3):
        use(driver)
        assert driver.stack == []
        assert driver.freed == 2 * times
    assert driver.retained == 1, "one context for all that this thread opens"
    thread = threading.Thread(target=use, args=(driver,))
    thread.start()
    join(thread)
    assert driver.stack == []
    assert driver.retained == 2


def test_a_closed_device_can_be_opened_again(driver: Driver) -> None:
    closed, again = use(driver), CudaDevice(driver, driver)
    assert again.memory(8) == 4096
    again.close()
    assert closed.name == again.name
    assert driver.stack == []
