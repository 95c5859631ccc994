"""A stand-in for TensorRT-RTX's Python: what refers to what, what keeps what, when it is freed; nothing is computed.

As in the bindings, a configuration only refers to its runtime cache and does not keep it. `freed` tells the order.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

from support.host_device import ENDS


class Strategy(IntEnum):
    DISABLED = 0
    WHOLE_GRAPH_CAPTURE = 1


class Validity(IntEnum):
    VALID = 0
    INVALID = 2


class Diagnostics(IntEnum):
    OLD_DRIVER = 4
    UNSUPPORTED_CC = 32


class Severity(IntEnum):
    ERROR = 1


class ILogger:
    Severity = Severity


class Kernels:
    """A runtime cache."""

    made: bytes | None = b"kernels"

    def deserialize(self, data: bytes) -> bool:
        return data == b"kernels"

    def serialize(self) -> bytes | None:
        return self.made


class Config:
    def __init__(self, library: Library) -> None:
        self._library = library
        self._graph = Strategy.DISABLED
        self._kernels: weakref.ref[Kernels] | None = None
        self.dynamic_shapes_kernel_specialization_strategy = "LAZY"

    @property
    def cuda_graph_strategy(self) -> Strategy:
        return self._graph

    @cuda_graph_strategy.setter
    def cuda_graph_strategy(self, wanted: Strategy) -> None:
        if self._library.takes_graphs:
            self._graph = wanted

    def create_runtime_cache(self) -> Kernels:
        return self._library.noted("kernels", Kernels())

    def set_runtime_cache(self, kernels: Kernels) -> bool:
        self._kernels = weakref.ref(kernels)
        return True

    def kernels(self) -> Kernels:
        """What it refers to."""
        kernels = self._kernels and self._kernels()
        assert kernels is not None, "a dangling pointer"
        return kernels


@dataclass
class Context:
    config: Config
    runs: bool = True
    nvtx_verbosity: str = "DETAILED"

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        return ENDS[name] == shape

    def set_tensor_address(self, name: str, address: int) -> bool:
        return name in ENDS and address > 0

    def execute_async_v3(self, stream: int) -> bool:
        return self.runs


class Cuda:
    """An engine."""

    num_io_tensors = len(ENDS)

    def __init__(self, library: Library) -> None:
        self._library = library

    def get_tensor_name(self, number: int) -> str:
        return list(ENDS)[number]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._library.shapes.get(name, ENDS[name])

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name == "image" else "out"

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType.FLOAT

    def create_runtime_config(self) -> Config:
        return self._library.noted("config", Config(self._library))

    def create_execution_context(self, config: Config) -> Context:
        config.kernels()
        return Context(config)


class Runtime:
    def __init__(self, library: Library) -> None:
        self._library = library

    def get_engine_validity(self, data: bytes) -> tuple[Validity, int]:
        self._library.asked += 1
        return self._library.validity, 36

    def deserialize_cuda_engine(self, data: bytes) -> Cuda | None:
        return self._library.noted("engine", Cuda(self._library)) if self._library.opens else None


class DataType(IntEnum):
    FLOAT = 0
    HALF = 1


@dataclass
class Library:
    """The module. opens: it deserialises; asked: how often it was asked whether an engine is valid."""

    opens: bool = True
    takes_graphs: bool = True
    validity: Validity = Validity.INVALID
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    freed: list[str] = field(default_factory=list)
    asked: int = 0

    CudaGraphStrategy = Strategy
    DynamicShapesKernelSpecializationStrategy = SimpleNamespace(EAGER="EAGER")
    EngineValidity = Validity
    EngineInvalidityDiagnostics = Diagnostics
    ProfilingVerbosity = SimpleNamespace(NONE="NONE")
    TensorIOMode = SimpleNamespace(INPUT="in")
    DataType = DataType
    ILogger = ILogger

    def Runtime(self, log: ILogger) -> Runtime:
        return self.noted("runtime", Runtime(self))

    def noted(self, name: str, made: Any) -> Any:
        """Note when it is freed."""
        weakref.finalize(made, self.freed.append, name)
        return made
