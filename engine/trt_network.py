"""A TensorRT engine as the library opened it: TensorRT 10 and 11 and TensorRT-RTX, by one way."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from . import trt_build
from .cuda_device import Device
from .plan import write_whole
from .runner import EngineError

NOT_OPENED = "the TensorRT engine cannot be opened on this GPU"
REMAKE = "build it again with `smartca build`"


class Network:
    """An engine and its input and outputs.

    ends: tensor -> shape for one picture: the input's first, then q's, then perhaps picture's. own_graph: TensorRT-RTX
    captures a CUDA graph by itself; why_not says why it does not, where it could.
    Raises EngineError, with the library's own words where it refuses the engine.
    """

    def __init__(self, data: bytes, backend: str, device: Device, cache: Path | None = None) -> None:
        self._trt = trt_build.load(backend)
        self._log = trt_build.quiet_logger(self._trt)
        self._device = device
        self._cache = cache
        self._config: Any = None  # of TensorRT-RTX only
        self.own_graph, self.why_not = False, ""
        with device.working(NOT_OPENED):
            self._runtime: Any = self._open_runtime()
            self._refuse_invalid(data)
            self._engine: Any = self._runtime.deserialize_cuda_engine(data)
            if self._engine is None:
                raise EngineError(f"{NOT_OPENED}: {self._said()}")
            self.ends = self._read_ends()
            if hasattr(self._engine, "create_runtime_config") and hasattr(self._trt, "CudaGraphStrategy"):
                self._configure()

    @property
    def input(self) -> str:
        """The input's name."""
        return next(iter(self.ends))

    def context(self, addresses: dict[str, int]) -> Any:
        """A new execution context for one picture, whose tensors are at `addresses` on the device."""
        with self._device.working(NOT_OPENED):
            context = self._new_context()
            settled = context.set_input_shape(self.input, self.ends[self.input])
            if not (settled and all(context.set_tensor_address(name, address) for name, address in addresses.items())):
                raise EngineError(f"{NOT_OPENED}: {self._said()}")
            return context

    def enqueue(self, context: Any, stream: int) -> None:
        """Queue the computing. Raises EngineError, and DeviceLost."""
        doing = "the GPU does not compute"
        with self._device.working(doing):
            if context.execute_async_v3(stream):
                return
        said = self._said()
        self._device.wait(stream)  # tells whether the device itself is lost
        raise EngineError(f"{doing}: {said}")

    def keep_kernels(self) -> None:
        """TensorRT-RTX compiles at the first inference; what it compiled is kept for the next start."""
        if self._config is None or self._cache is None:
            return
        before = self._cache.read_bytes() if self._cache.is_file() else b""
        with contextlib.suppress(OSError), self._device.working("the GPU's kernels cannot be kept"):
            after = bytes(self._config.get_runtime_cache().serialize())
            if after and after != before:  # it only saves time
                self._cache.parent.mkdir(parents=True, exist_ok=True)
                write_whole(self._cache, after)

    def memory(self) -> int:
        """Bytes of the device's memory that one context computes in."""
        return int(getattr(self._engine, "device_memory_size_v2", 0) or getattr(self._engine, "device_memory_size", 0))

    def close(self) -> None:
        """Free it; contexts must be gone. In this order: an engine may not outlive its runtime."""
        with contextlib.suppress(EngineError), self._device.working("the GPU takes nothing back"):
            self._config = None
            self._engine = None
            self._runtime = None

    def _open_runtime(self) -> Any:
        try:
            return self._trt.Runtime(self._log)
        except (TypeError, RuntimeError) as error:  # what the bindings raise where the library gives them nothing
            raise EngineError(f"{NOT_OPENED}: {self._said()}") from error

    def _refuse_invalid(self, data: bytes) -> None:
        """TensorRT-RTX can tell beforehand what is wrong, with names."""
        if not hasattr(self._runtime, "get_engine_validity"):
            return
        validity, diagnostics = self._runtime.get_engine_validity(data)
        if validity != self._trt.EngineValidity.INVALID:
            return
        kinds = self._trt.EngineInvalidityDiagnostics.__members__.items()
        names = [name for name, kind in kinds if int(diagnostics) & int(kind)]
        said = ", ".join(names) or self._said()
        raise EngineError(f"{NOT_OPENED} ({self._device.name}), TensorRT-RTX says: {said}; {REMAKE}")

    def _read_ends(self) -> dict[str, tuple[int, ...]]:
        """Hold the engine to the contract."""
        engine, trt = self._engine, self._trt
        names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
        shapes = {name: (1, *tuple(engine.get_tensor_shape(name))[1:]) for name in names}
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        outputs = sorted((name for name in names if name not in inputs), key=lambda name: -len(shapes[name]))
        kinds = {engine.get_tensor_dtype(name) for name in names}
        found = [shapes[name] for name in (*inputs, *outputs)]
        sides = found[0][2:] if found else ()
        known = len(inputs) == 1 and found[1:] in ([found[0]], [found[0], (1, 2)]) and len(set(sides)) == 1
        if not known or len(sides) != 2 or kinds != {trt.DataType.FLOAT}:
            words = ", ".join(f"{name} {engine.get_tensor_dtype(name).name} {shapes[name]}" for name in names)
            raise EngineError(f"the TensorRT engine is no SMART-CA network (it has {words}); {REMAKE}")
        return {name: shapes[name] for name in (*inputs, *outputs)}

    def _configure(self) -> None:
        """TensorRT-RTX: the kernels of the last start, and its own graph."""
        config = self._engine.create_runtime_config()
        kernels = config.create_runtime_cache()
        if self._cache is not None and self._cache.is_file():
            with contextlib.suppress(OSError):  # one of another driver or GPU is refused, and made anew
                kernels.deserialize(self._cache.read_bytes())
        config.set_runtime_cache(kernels)
        config.cuda_graph_strategy = self._trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        self._config, self.own_graph = config, True

    def _new_context(self) -> Any:
        if self._config is None:
            made = self._engine.create_execution_context()
        else:
            made = self._engine.create_execution_context(self._config)
            if made is None:
                self.own_graph, self.why_not = False, f"TensorRT-RTX makes none: {self._said()}"
                self._config.cuda_graph_strategy = self._trt.CudaGraphStrategy.DISABLED
                made = self._engine.create_execution_context(self._config)
        if made is None:
            raise EngineError(f"{NOT_OPENED}: {self._said()}")
        return made

    def _said(self) -> str:
        """The library's last words, which are then forgotten."""
        errors: list[str] = self._log.errors
        said = trt_build.in_one_line(errors[-1]) if errors else "TensorRT gave no reason"
        errors.clear()
        return said
