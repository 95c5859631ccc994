"""A TensorRT engine as the library opened it: TensorRT 10 and 11 and TensorRT-RTX, by one way."""

from __future__ import annotations

import contextlib
import traceback
from pathlib import Path
from typing import Any

from ...files import write_whole
from ..contract import DeviceLost, EngineError
from ..plan import REMAKE
from . import compile as trt_build
from .device import Device

NOT_OPENED = "the TensorRT engine cannot be opened on this GPU"


class TensorRtNetwork:
    """An engine and its input and outputs.

    pictures: how many are computed at once, as far as the engine's batch goes. ends: tensor -> shape for that many:
    the input's first, then q's, then perhaps picture's. own_graph: TensorRT-RTX can capture a CUDA graph by itself;
    why_not says why it does not, where it should.
    Raises EngineError, with the library's own words where it refuses the engine.
    """

    def __init__(self, data: bytes, backend: str, device: Device, cache: Path | None = None, pictures: int = 1) -> None:
        self._pictures = pictures
        self._trt = trt_build.load_library(backend)
        self._log = trt_build.quiet_logger(self._trt)
        self._device = device
        self._cache = cache
        self._runtime: Any = None
        self._engine: Any = None
        self._plain: Any = None  # configurations without and with a graph, of TensorRT-RTX only
        self._graphed: Any = None
        self._kernels: Any = None  # what they refer to and do not own: it must outlive them
        self.own_graph, self.why_not = False, ""
        with device.working(NOT_OPENED):
            try:
                self._open(data)
            except BaseException as error:
                traceback.clear_frames(error.__traceback__)  # which would keep the engine
                self._let_go()  # while the device is current
                raise

    @property
    def input(self) -> str:
        """The input's name."""
        return next(iter(self.ends))

    def context(self, addresses: dict[str, int], own_graph: bool = False) -> Any:
        """A new execution context for one picture, whose tensors are at `addresses` on the device."""
        with self._device.working(NOT_OPENED):
            context = self._new_context(own_graph)
            settled = context.set_input_shape(self.input, self.ends[self.input])
            if settled and all(context.set_tensor_address(name, address) for name, address in addresses.items()):
                return context
            context = None  # the error would keep it, and it may not outlive the engine
            raise EngineError(f"{NOT_OPENED}: {self._said()}")

    def enqueue(self, context: Any, stream: int) -> None:
        """Queue the computing. Raises EngineError, and DeviceLost."""
        doing = "the GPU does not compute"
        with self._device.working(doing):
            if context.execute_async_v3(stream):
                return
        said = self._said()
        try:
            self._device.wait(stream)  # tells whether the device itself is lost
        except DeviceLost:
            raise
        except EngineError:  # a stream that is being captured cannot be waited for
            pass
        raise EngineError(f"{doing}: {said}")

    def keep_kernels(self) -> None:
        """TensorRT-RTX compiles at the first inference; what it compiled is kept for the next start."""
        if self._kernels is None or self._cache is None:
            return
        try:
            with self._device.working("the GPU's kernels cannot be kept"):
                made = self._kernels.serialize()
            after = b"" if made is None else bytes(made)
            if after and not (self._cache.is_file() and self._cache.read_bytes() == after):
                self._cache.parent.mkdir(parents=True, exist_ok=True)
                write_whole(self._cache, after)
        except DeviceLost:
            raise
        except (OSError, EngineError):  # it only saves time
            pass

    def memory(self) -> int:
        """Bytes of the device's memory that one context computes in."""
        return int(getattr(self._engine, "device_memory_size_v2", 0) or getattr(self._engine, "device_memory_size", 0))

    def close(self) -> None:
        """Free it; contexts must be gone."""
        with contextlib.suppress(EngineError), self._device.working("the GPU takes nothing back"):
            self._let_go()

    def _let_go(self) -> None:
        """In this order: nothing may outlive what it was made of or refers to."""
        self._graphed = None
        self._plain = None
        self._kernels = None
        self._engine = None
        self._runtime = None

    def _open(self, data: bytes) -> None:
        self._runtime = self._open_runtime()
        self._engine = self._runtime.deserialize_cuda_engine(data)
        if self._engine is None:
            raise EngineError(self._refusal(data))
        self.ends = self._read_ends()
        if hasattr(self._engine, "create_runtime_config") and hasattr(self._trt, "CudaGraphStrategy"):
            self._configure()

    def _open_runtime(self) -> Any:
        try:
            return self._trt.Runtime(self._log)
        except (TypeError, RuntimeError) as error:  # what the bindings raise where the library gives them nothing
            raise EngineError(f"{NOT_OPENED}: {self._said()}") from error

    def _refusal(self, data: bytes) -> str:
        """Why it was not opened: TensorRT-RTX can name what is wrong.

        It is asked only now, because it calls engines invalid that run, on GPUs that it does not know.
        """
        said = self._said()
        if not hasattr(self._runtime, "get_engine_validity"):
            return f"{NOT_OPENED}: {said}"
        validity, diagnostics = self._runtime.get_engine_validity(data)
        self._said()
        if validity == self._trt.EngineValidity.INVALID:
            kinds = self._trt.EngineInvalidityDiagnostics.__members__.items()
            said = ", ".join(name for name, kind in kinds if int(diagnostics) & int(kind)) or said
        return f"{NOT_OPENED} ({self._device.name}), TensorRT-RTX says: {said}; build it again with {REMAKE}"

    def _read_ends(self) -> dict[str, tuple[int, ...]]:
        """Hold the engine to the contract."""
        engine, trt = self._engine, self._trt
        names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
        shapes = {name: (self._pictures, *tuple(engine.get_tensor_shape(name))[1:]) for name in names}
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        outputs = sorted((name for name in names if name not in inputs), key=lambda name: -len(shapes[name]))
        kinds = {engine.get_tensor_dtype(name) for name in names}
        found = [shapes[name] for name in (*inputs, *outputs)]
        sides = found[0][2:] if found else ()
        known = len(inputs) == 1 and found[1:] in ([found[0]], [found[0], (self._pictures, 2)]) and len(set(sides)) == 1
        if not known or len(sides) != 2 or kinds != {trt.DataType.FLOAT}:
            words = ", ".join(f"{name} {engine.get_tensor_dtype(name).name} {shapes[name]}" for name in names)
            raise EngineError(
                f"the TensorRT engine is no SMART-CA network (it has {words}); build it again with {REMAKE}"
            )
        return {name: shapes[name] for name in (*inputs, *outputs)}

    def _configure(self) -> None:
        """TensorRT-RTX: the kernels of the last start, and its own graph."""
        strategy = self._trt.CudaGraphStrategy
        self._plain = self._engine.create_runtime_config()
        self._graphed = self._engine.create_runtime_config()
        if self._plain is None or self._graphed is None:
            raise EngineError(f"{NOT_OPENED}: {self._said()}")
        self._kernels = self._plain.create_runtime_cache()
        if self._kernels is not None and self._cache is not None:
            with contextlib.suppress(OSError):  # one of another driver or GPU is refused, and made anew
                self._kernels.deserialize(self._cache.read_bytes())
        for config, wanted in ((self._plain, strategy.DISABLED), (self._graphed, strategy.WHOLE_GRAPH_CAPTURE)):
            self._settle(config, wanted)
        self.own_graph = self._graphed.cuda_graph_strategy == strategy.WHOLE_GRAPH_CAPTURE
        self.why_not = "" if self.own_graph else f"TensorRT-RTX makes none: {self._said()}"
        self._log.errors.clear()  # such as those about kernels of another driver

    def _settle(self, config: Any, graph: Any) -> None:
        if self._kernels is not None:
            config.set_runtime_cache(self._kernels)
        if hasattr(self._trt, "DynamicShapesKernelSpecializationStrategy"):
            # otherwise it compiles in the background, long after the warm-up, where the number of pictures is free
            eager = self._trt.DynamicShapesKernelSpecializationStrategy.EAGER
            config.dynamic_shapes_kernel_specialization_strategy = eager
        config.cuda_graph_strategy = graph

    def _new_context(self, own_graph: bool) -> Any:
        config = self._graphed if own_graph else self._plain
        made = self._engine.create_execution_context(*([] if config is None else [config]))
        if made is None:
            raise EngineError(f"{NOT_OPENED}: {self._said()}")
        if hasattr(made, "nvtx_verbosity"):  # an engine is built to tell of its layers; that takes time at each run
            made.nvtx_verbosity = self._trt.ProfilingVerbosity.NONE
        return made

    def _said(self) -> str:
        """The library's last words, which are then forgotten."""
        errors: list[str] = self._log.errors
        said = trt_build.in_one_line(errors[-1]) if errors else "TensorRT gave no reason"
        errors.clear()
        return said
