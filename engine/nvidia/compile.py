"""ONNX -> TensorRT engine, one way for TensorRT 8.6 (JetPack 6.0), 10 and 11 and for TensorRT-RTX.

Networks are strongly typed: every tensor has the type that the ONNX file gives it, which is all that TensorRT 11
knows; 8.6 does not know that yet, and takes its flags instead. TensorRT-RTX builds for GPUs that are not there;
TensorRT builds for the one it runs on.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...files import write_whole
from ..contract import EngineError, Inside, Progress
from ..machine import LIBRARIES
from ..onnx_graph import Contract
from ..plan import EnginePlan

TYPED = "STRONGLY_TYPED"
NO_TF32 = "NO_TF32"  # of every engine: fp32 means fp32, not the GPU's 19-bit float
OLD_FLAGS = {"fp16": ("FP16",), "int8": ("INT8",)}  # what TensorRT 8 must be allowed, where the file asks for it
EXAMPLE_TARGETS = "sm86,sm89,sm120"
AHEAD_OF_TIME = "--backend tensorrt-rtx builds for GPUs that are not here"


def load_library(backend: str) -> Any:
    """The library's module. Raises EngineError with the command that installs it."""
    module, _, install = LIBRARIES[backend]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise EngineError(
            f"{backend} is not installed or does not load ({in_one_line(str(error))}): {install}"
        ) from error


def flags(backend: str, version: str, precision: str) -> tuple[str, ...]:
    """How the library is told what to compute in; see the head of this file."""
    return (*OLD_FLAGS.get(precision, ()), NO_TF32) if is_old(backend, version) else (TYPED, NO_TF32)


def is_old(backend: str, version: str) -> bool:
    """Whether it is TensorRT 8, which knows neither strongly typed networks nor ONNX beyond opset 17."""
    return backend == "tensorrt" and version.split(".")[0] == "8"


def compile_network(
    network: bytes, ends: Contract, plan: EnginePlan, progress: Progress, timings: Path | None = None
) -> bytes:
    """Build `network` (an ONNX file's bytes, already in the wanted precision) as `plan` says.

    progress is called from TensorRT's own monitor; what it raises ends the build. timings: a file in which TensorRT
    keeps what it measured, for the next build to take less long (RTX measures nothing).
    Raises EngineError in one sentence for whatever TensorRT refuses, and KeyboardInterrupt after Ctrl-C.
    """
    trt = load_library(plan.backend)
    monitor = _monitor(trt, progress)
    old = is_old(plan.backend, plan.backend_version)
    if old:
        progress("TensorRT 8 tells nothing until it is done, in one to four minutes", 0, 0)
    with _interrupts(monitor, old):
        engine = _compile(trt, network, ends, plan, monitor, timings)
    if monitor.raised is not None:
        raise monitor.raised
    return engine


@contextlib.contextmanager
def _interrupts(monitor: Any, old: bool = False) -> Iterator[None]:
    """Ctrl-C is only noted in here, for `monitor` to end the build: raised in TensorRT's frames, it would be lost.

    TensorRT 8 has no monitor, so nothing of ours would run for minutes: there Ctrl-C ends the process at once.
    """
    before = signal.getsignal(signal.SIGINT)
    # the main thread alone is told of it; who ignores it, or hears it without Python, goes on doing so
    if threading.current_thread() is not threading.main_thread() or before in (None, signal.SIG_IGN):
        yield
        return

    def note(number: int, frame: object) -> None:
        monitor.raised = KeyboardInterrupt()

    signal.signal(signal.SIGINT, signal.SIG_DFL if old else note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _compile(trt: Any, network: bytes, ends: Contract, plan: EnginePlan, monitor: Any, timings: Path | None) -> bytes:
    log = quiet_logger(trt)
    builder = _builder(trt, log)
    kind = "EXPLICIT_BATCH" if is_old(plan.backend, plan.backend_version) else TYPED
    definition = builder.create_network(1 << int(getattr(trt.NetworkDefinitionCreationFlag, kind)))
    parser = trt.OnnxParser(definition, log)
    if not parser.parse(network):
        reasons = [parser.get_error(number).desc() for number in range(parser.num_errors)]
        raise EngineError(_refusal(plan, reasons or log.errors))
    config = builder.create_builder_config()
    _configure(trt, builder, config, ends, plan)
    cache = _timing_cache(config, plan, timings)
    if hasattr(config, "progress_monitor"):  # TensorRT 8 has none, and tells of nothing before it is done
        config.progress_monitor = monitor
    engine = builder.build_serialized_network(definition, config)
    if monitor.raised is not None:
        raise monitor.raised
    if engine is None:
        raise EngineError(_refusal(plan, log.errors))
    if cache is not None and timings is not None:
        with contextlib.suppress(OSError):  # it only saves time
            write_whole(timings, bytes(config.get_timing_cache().serialize()))
    return bytes(engine)


def _builder(trt: Any, log: Any) -> Any:
    try:
        return trt.Builder(log)
    except (TypeError, RuntimeError) as error:  # what the bindings raise where the library gives them nothing
        raise EngineError(
            f"TensorRT {trt.__version__} finds no NVIDIA GPU with a driver here ({in_one_line(' '.join(log.errors))}); "
            f"{AHEAD_OF_TIME}"
        ) from error


def _configure(trt: Any, builder: Any, config: Any, ends: Contract, plan: EnginePlan) -> None:
    """Flags, workspace, profile and targets."""
    config.clear_flag(trt.BuilderFlag.TF32)
    if is_old(plan.backend, plan.backend_version):
        for flag in OLD_FLAGS.get(plan.precision, ()):
            config.set_flag(getattr(trt.BuilderFlag, flag))
        # without cuBLAS and cuDNN, as TensorRT 10 computes: they are packages of their own
        own = (trt.TacticSource.EDGE_MASK_CONVOLUTIONS, trt.TacticSource.JIT_CONVOLUTIONS)
        config.set_tactic_sources(sum(1 << int(source) for source in own))
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # names of layers, for --inspect
    if plan.workspace_mb is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, plan.workspace_mb << 20)
    if plan.batch[2] > 1:
        profile = builder.create_optimization_profile()
        profile.set_shape(ends.input, *((pictures, 1, ends.size, ends.size) for pictures in plan.batch))
        config.add_optimization_profile(profile)
    if plan.backend == "tensorrt-rtx" and plan.targets:
        if plan.targets == ("current",):
            # it would build, and then refuse to open the engine
            _capability(trt, plan.compute_capability or "current", ", which is here: use --backend tensorrt")
        config.num_compute_capabilities = len(plan.targets)
        for number, target in enumerate(plan.targets):
            if not config.set_compute_capability(_capability(trt, target), number):
                raise EngineError(f"TensorRT-RTX {trt.__version__} takes no {target} as a target: choose --target")


def _capability(trt: Any, target: str, cure: str = ": choose --target") -> Any:
    known = {name: value for name, value in trt.ComputeCapability.__members__.items() if name != "NONE"}
    if target.upper() not in known:
        names = ", ".join(name.lower() for name in known)
        raise EngineError(f"TensorRT-RTX {trt.__version__} builds for {names}, not for {target}{cure}")
    return known[target.upper()]


def _timing_cache(config: Any, plan: EnginePlan, timings: Path | None) -> Any:
    """TensorRT's timing cache, with what earlier builds measured; None where the flavour keeps none."""
    if plan.backend != "tensorrt" or timings is None:
        return None
    before = timings.read_bytes() if timings.is_file() else b""
    for data in (before, b""):  # one of another version or GPU is refused, and begun anew
        cache = config.create_timing_cache(data)
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
    return None


def quiet_logger(trt: Any) -> Any:
    """A logger that keeps errors for the one sentence, and says nothing itself."""

    class Errors(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.ERROR:
                self.errors.append(message)

    return Errors()


def _monitor(trt: Any, progress: Progress) -> Any:
    """TensorRT's progress monitor, which hands its phases to `progress`; an exception in there ends the build."""

    base: Any = getattr(trt, "IProgressMonitor", object)

    class Monitor(base):
        def __init__(self) -> None:
            base.__init__(self)
            self.raised: BaseException | None = None
            self._steps: dict[str, int] = {}

        def _tell(self, phase: str, done: int) -> bool:
            try:
                progress(phase, done, self._steps.get(phase, 0))
            except BaseException as error:  # also Ctrl-C: it must not travel through TensorRT's own frames
                self.raised = error
            return self.raised is None

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps
            self._tell(phase_name, 0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return self._tell(phase_name, min(step + 1, self._steps.get(phase_name, 0)))

        def phase_finish(self, phase_name: str) -> None:
            self._tell(phase_name, self._steps.get(phase_name, 0))

    return Monitor()


def _refusal(plan: EnginePlan, reasons: list[str]) -> str:
    """One sentence out of what TensorRT said, with the cure where it is known."""
    said = " ".join(reasons)
    where = f"for {', '.join(plan.targets)}" if plan.targets else "here"
    needed = [int(number) for number in re.findall(r"Requested size was (\d+) bytes", said)]
    if "workspace" in said or ("OutOfMemory" in said and plan.workspace_mb is not None):
        least = f" (it asked for {-(-max(needed) >> 20)} MB)" if needed else ""
        return f"a workspace of {plan.workspace_mb} MB is too little{least}: give a larger --workspace, or leave it out"
    if "cudaError" in said and "current" in plan.targets:
        return f"there is no NVIDIA GPU with a driver here to build for: name one, such as --target {EXAMPLE_TARGETS}"
    types = re.search(r"target\(s\) (\S+), because the model contains HW-specific datatypes", said)
    if types:
        return f"{types[1]} cannot compute in {plan.precision}: leave it out of --target, or use --precision fp16"
    kind = re.search(r"for \w+ \((SM\d+)\): ([^.]+) is not supported", said)
    if kind:
        left_out = "leave it out of --target" if len(plan.targets) > 1 else "choose another --target"
        return f"{kind[1].lower()} cannot compute this network in {plan.precision}, for want of {kind[2]}: {left_out}"
    if plan.precision == "int8" and ("zero point" in said or "type Int32" in said):
        return "TensorRT takes symmetric INT8 ranges and an fp32 bias only: make them anew with --calibrate DATA"
    reason = in_one_line(reasons[-1]) if reasons else "no reason given"
    return f"{plan.backend} {plan.backend_version} cannot build this network {where} in {plan.precision}: {reason}"


def in_one_line(said: str) -> str:
    """TensorRT's words without source files and function names, in one line of reasonable length."""
    said = re.sub(r"\[[\w./]+:+[^\]]*\]:?|\(?In \w+ at \S+", "", said)
    said = re.sub(r"^.*Error Code \d+: (Myelin )?|\((?=\s)", "", said.replace("\n", " "))
    return re.sub(r"\s+", " ", said).strip(" .():;")[:200] or "no reason given"


def inspect(engine: bytes, backend: str) -> Inside | str:
    """Layers and memory, or the reason why they cannot be known here: reading an engine back needs a GPU."""
    trt = load_library(backend)
    log = quiet_logger(trt)
    runtime: Any = None
    with contextlib.suppress(TypeError, RuntimeError):
        runtime = trt.Runtime(log)
    opened = None if runtime is None else runtime.deserialize_cuda_engine(engine)
    if opened is None:
        reason = in_one_line(log.errors[-1]) if log.errors else "no reason given"
        return f"{backend} reads an engine back only on a GPU that it was built for ({reason})"
    told = opened.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    layers = [layer for layer in json.loads(told).get("Layers", []) if isinstance(layer, dict)]
    memory = getattr(opened, "device_memory_size_v2", None) or opened.device_memory_size
    return Inside([(str(layer.get("Name", "?")), _precision_of(layer)) for layer in layers], int(memory))


def _precision_of(layer: dict[str, Any]) -> str:
    """The type that an inspector's layer puts out, such as Half."""
    outputs = layer.get("Outputs") or [{}]
    return str(outputs[0].get("Format/Datatype", outputs[0].get("DataType", "?")))
