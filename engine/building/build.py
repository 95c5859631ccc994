"""The one way to an engine: `build(model, options, progress)` finds it in the cache or builds it there, once."""

from __future__ import annotations

import contextlib
import logging
from importlib import metadata
from pathlib import Path

import msgspec

from ...files import sha256
from .. import onnx_graph, plan
from .. import operating_point as points
from ..contract import MAKES_MODELS, PRECISIONS, EngineError, Progress
from ..cpu.capabilities import has_bf16
from ..machine import BUILDERS, LIBRARIES, gpus, library_version
from ..nvidia.compile import AHEAD_OF_TIME, EXAMPLE_TARGETS, flags, load_library
from ..paths import cache_folder
from ..plan import EnginePlan, suffix
from . import output_checks as places
from .assembly import Options, assemble, right_size
from .cache import EngineCache, deliver

log = logging.getLogger(__name__)
# Turing (sm75) must be asked for: its kernels make an engine nine times as large
EVERY_RECENT_GPU = ("sm80", "sm86", "sm89", "sm120")


def build_engine(model: Path, options: Options, progress: Progress, cache: Path | None = None) -> Path:
    """The engine of `model` as `options` say, with its build sheet and operating point beside it.

    Returns `options.out`, or its place in the cache (`cache`, or the user's own). An engine that is already there is
    returned without `progress` being called; two processes that ask for one engine build it once.
    Raises EngineError, ValueError (an operating point of other weights), ImportError and OSError, each in one
    sentence, and then writes nothing.
    """
    data = _read(model)
    _refuse(model, options)
    made = make_plan(model, data, options)
    store = EngineCache(cache or cache_folder())
    engine = store.find(made)
    facts = {"key": store.folder(made).name, "backend": made.backend, "precision": made.precision}
    log.info("the cache has no such engine" if engine is None else "the engine is in the cache", extra=facts)
    if engine is None:
        _need(options.backend)
        with store.locked(made, progress):
            engine = store.find(made) or store.add(
                made, lambda folder: assemble(folder, model, data, made, options, progress)
            )
    right_size(options.size, plan.load_sheet(engine).input.shape[2], model.name)
    return engine if options.out is None else deliver(engine, model, options.out)


def fastest(targets: tuple[str, ...] = ()) -> str:
    """The backend for these targets or, without any, for this machine as it is."""
    if any(target != "current" for target in targets):
        return "tensorrt-rtx"
    if targets or gpus():
        return "tensorrt" if library_version("tensorrt") else "tensorrt-rtx"
    return "openvino"


def usual_precision(backend: str, calibrated: bool) -> str:
    """int8 where its ranges are to be made; else the narrowest that needs none and is quick there."""
    if calibrated:
        return "int8"
    if backend != "openvino":
        return "fp16"
    return "bf16" if has_bf16() else "fp32"


def make_plan(model: Path, data: bytes, options: Options) -> EnginePlan:
    """Everything that decides the engine of `data`, the bytes of `model`; what builds it is not imported.

    Raises EngineError where that is absent or there is no such GPU, ValueError for an operating point of other weights.
    """
    from ...version import __version__

    version = library_version(options.backend)
    if version is None:
        raise EngineError(f"{options.backend} is not installed: {LIBRARIES[options.backend][2]}")
    digest = sha256(model)
    try:
        points.load_point(model, digest)  # one of other weights is refused
    except ValueError:
        onnx_graph.read_network(data, model.name)  # a file that is cut short has other bytes, too
        raise
    known = EnginePlan(
        onnx_sha256=digest,
        backend=options.backend,
        backend_version=version,
        precision=options.precision,
        batch=(1, options.batch, options.batch),
        workspace_mb=options.workspace_mb,
        calibration=options.calibration and options.calibration.digest,
        quantiser=_quantiser() if options.calibration else None,
        operating_point=points.point_digest(model),
        smartca_version=__version__,
    )
    if options.backend == "openvino":
        return known
    return msgspec.structs.replace(
        known, builder_flags=flags(options.backend, version, options.precision), **_where(options)
    )


def _where(options: Options) -> dict[str, object]:
    """The plan's fields that say for which GPUs."""
    targets, found = options.targets, gpus()
    if not targets:
        targets = ("current",) if found or options.backend == "tensorrt" else EVERY_RECENT_GPU
    if targets != ("current",):
        return {"targets": tuple(sorted(set(targets), key=lambda name: (len(name), name)))}
    if not found:
        raise EngineError(
            f"there is no NVIDIA GPU with a driver here to build for; {AHEAD_OF_TIME}: add --target {EXAMPLE_TARGETS}"
        )
    gpu = found[0]
    return {"targets": targets, "gpu": gpu.name, "compute_capability": gpu.target, "driver": gpu.driver}


def _read(model: Path) -> bytes:
    if model.suffix != ".onnx" or not model.is_file():
        raise EngineError(f"there is no .onnx file at {model}; one is made by {MAKES_MODELS}")
    return model.read_bytes()


def _need(backend: str) -> None:
    """What builds must be there before INT8 ranges are found, for minutes. Raises EngineError or ImportError."""
    onnx_graph.need_onnx()
    if backend != "openvino":
        load_library(backend)


def _quantiser() -> str:
    """Which quantiser would run, with its version."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        return f"onnxruntime {metadata.version('onnxruntime')}"
    raise EngineError("--calibrate needs onnxruntime, which is not installed: pip install onnxruntime")


def _refuse(model: Path, options: Options) -> None:
    """What can be refused before anything is looked up."""
    if options.backend not in BUILDERS:
        raise EngineError(f"there is no backend {options.backend!r}; choose one of {', '.join(BUILDERS)}")
    if options.precision not in PRECISIONS:
        raise EngineError(f"there is no precision {options.precision!r}; choose one of {', '.join(PRECISIONS)}")
    if options.batch < 1:
        raise EngineError("--batch must be 1 or more")
    if options.calibration is not None and options.precision != "int8":
        raise EngineError(f"--calibrate is for --precision int8, not {options.precision}: leave one of them out")
    if options.backend == "openvino":
        if options.batch > 1:
            raise EngineError("an OpenVINO engine takes one picture at a time, as a live feed brings them: no --batch")
        if options.targets or options.workspace_mb:
            raise EngineError("--target and --workspace are for NVIDIA GPUs: leave them out with --backend openvino")
    if options.backend == "tensorrt" and options.targets not in ((), ("current",)):
        raise EngineError(f"TensorRT builds for the GPU it runs on, --target current; {AHEAD_OF_TIME}")
    if "current" in options.targets and len(options.targets) > 1:
        raise EngineError("--target current stands alone: give either that or names such as sm86")
    if options.out is not None:
        _refuse_place(model, options.out, suffix(options.backend))


def _refuse_place(model: Path, out: Path, wanted: str) -> None:
    if out.suffix != wanted:
        raise EngineError(f"{out.name} must end in {wanted}, as such an engine does: change -o")
    if out.resolve() == model.resolve():
        raise EngineError(f"{out} is the model itself; give -o a name of its own")
    places.refuse_engine(out)
