"""ONNX in the wanted precision and batch -> an engine's file, with operating point and build sheet, in one folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ...files import sha256, write_whole
from .. import onnx_graph, plan
from .. import operating_point as points
from ..contract import EngineError, Progress
from ..nvidia.compile import compile_network, is_old
from ..opening import open_runner
from ..operating_point import OperatingPoint
from ..plan import BuildSheet, EnginePlan, Gate, Input, suffix

if TYPE_CHECKING:
    from onnx import ModelProto

PREPARING = "preparing the network"
OPENING = "opening it in OpenVINO"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be calibrated: the bytes of an fp32 ONNX file, its name, its side in pixels, its operating point."""

    data: bytes
    name: str
    size: int
    point: OperatingPoint
    backend: str


@dataclass(frozen=True, slots=True)
class Int8Calibration:
    """How INT8 is to be had: `words` is DATA as typed, `digest` (of all that decides the result) decides the cache.

    quantise(asked, progress) gives the bytes of the Q/DQ network and what the gate found of it. It raises EngineError
    where the gate refuses it, and then there is no engine. others: further options as they were typed, each with its
    value, that make the same network again.
    """

    words: str
    digest: str
    quantise: Callable[[Asked, Progress], tuple[bytes, Gate]]
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """What is wanted of an engine.

    targets: GPU kinds such as sm86, or 'current'; () leaves the choice to the machine. batch: most pictures at once.
    size: what the model's side in pixels is expected to be. out: None leaves the engine in the cache.
    """

    backend: str = "tensorrt-rtx"
    precision: str = "fp16"
    targets: tuple[str, ...] = ()
    batch: int = 1
    size: int | None = None
    workspace_mb: int | None = None
    calibration: Int8Calibration | None = None
    out: Path | None = None


def assemble(folder: Path, model: Path, data: bytes, made: EnginePlan, options: Options, progress: Progress) -> None:
    """Write engine, operating point and build sheet of `data`, the bytes of `model`, into `folder`.

    Raises EngineError.
    """
    with onnx_graph.damage_told(data, model.name):
        _assemble(folder, model, data, made, options, progress)


def _assemble(folder: Path, model: Path, data: bytes, made: EnginePlan, options: Options, progress: Progress) -> None:
    started = time.perf_counter()
    progress(PREPARING, 0, 1)
    network = onnx_graph.read_network(data, model.name)
    ends = onnx_graph.contract(network, model.name)
    right_size(options.size, ends.size, model.name)
    progress(PREPARING, 1, 1)
    gate: Gate | None = None
    if options.calibration is not None:
        _check_ranges(network, model.name, wanted=False)
        asked = Asked(data, model.name, ends.size, points.load_point(model, made.onnx_sha256), made.backend)
        data, gate = options.calibration.quantise(asked, progress)
        network = onnx_graph.read_network(data, model.name)
    network, ready = _prepare(network, data, model.name, made)
    engine = folder / f"{model.stem}-{made.precision}{suffix(made.backend)}"
    if made.backend == "openvino":
        write_whole(engine, ready)
        _open_once(engine, made.precision, progress)
    else:
        timings = folder.parent / f"timings-{made.backend_version}-{made.compute_capability}.cache"
        write_whole(engine, compile_network(ready, ends, made, progress, timings))
    point = _write_point(engine, model)
    plan.save_sheet(
        engine,
        BuildSheet(
            plan=made,
            engine_sha256=sha256(engine),
            model=str(model.resolve()),
            input=Input(ends.input, (-1 if made.batch[2] > 1 else 1, 1, ends.size, ends.size)),
            outputs=ends.outputs,
            layers=_counts(network),
            calibrated_on=options.calibration and options.calibration.words,
            calibration_options=options.calibration.others if options.calibration else (),
            build_seconds=round(time.perf_counter() - started, 3),
            gate=gate or _gate_of(model, made),
            point=point,
        ),
    )


def _gate_of(model: Path, made: EnginePlan) -> Gate | None:
    """What the gate found of a model that `smartca build` made itself: it holds for an engine of the same network."""
    if made.precision != "int8" or not plan.sheet_path(model).is_file():
        return None
    told = plan.load_sheet(model)
    return told.gate if told.engine_sha256 == made.onnx_sha256 else None


def right_size(asked: int | None, size: int, name: str) -> None:
    """Raises EngineError where another size is asked for than the network learnt at.

    Its layers would take any; but its features, its operating point and a tear's size in pixels hold at one only.
    """
    if asked not in (None, size):
        raise EngineError(
            f"{name} learnt at {size} x {size} pixels, and what it learnt holds at that size only; for {asked}: "
            f"`smartca train segment --size {asked}`, then `smartca export`"
        )


def _prepare(network: ModelProto, data: bytes, name: str, made: EnginePlan) -> tuple[ModelProto, bytes]:
    """The network in the wanted precision and with the wanted batch: parsed, and as bytes."""
    _check_ranges(network, name, wanted=made.precision == "int8")
    # in bf16 OpenVINO takes the fp32 network and narrows it itself, better than casts in the file would
    if made.precision == "fp16" or (made.precision == "bf16" and made.backend != "openvino"):
        from .precision import narrowed

        network = narrowed(network, made.precision, name)
        data = network.SerializeToString()
    if made.batch[2] > 1:
        network = onnx_graph.with_free_batch(network, name)
        data = network.SerializeToString()
    if is_old(made.backend, made.backend_version):
        from .opset import TENSORRT_8, in_opset

        network = in_opset(network, TENSORRT_8, name)
        data = network.SerializeToString()
    return network, data


def _check_ranges(network: ModelProto, name: str, wanted: bool) -> None:
    if onnx_graph.is_quantised(network) == wanted:
        return
    if wanted:
        raise EngineError(
            f"{name} holds no INT8 ranges (Q/DQ nodes): give --calibrate DATA, pictures to take them from"
        )
    raise EngineError(f"{name} brings INT8 ranges (Q/DQ nodes) of its own: use --precision int8 without --calibrate")


def _open_once(engine: Path, precision: str, progress: Progress) -> None:
    """An OpenVINO engine that does not open here is none."""
    progress(OPENING, 0, 1)
    open_runner(engine, {"bf16": "bf16", "int8": "auto"}.get(precision, "fp32"), 1).close()
    progress(OPENING, 1, 1)


def _write_point(engine: Path, model: Path) -> OperatingPoint | None:
    """The model's operating point, as the engine's own; None where it has none."""
    if points.stored_point(model) is None:
        return None
    point = points.load_point(model, sha256(model))
    told = f"{point.fitted_on}; taken over from {model.name}"
    own = msgspec.structs.replace(point, model_sha256=sha256(engine), fitted_on=told)
    same = engine.suffix != ".onnx" or engine.read_bytes() == model.read_bytes()
    (points.save_point if same else points.store_point)(own, engine)
    return own


def _counts(network: ModelProto) -> dict[str, dict[str, int]]:
    layers: dict[str, dict[str, int]] = {}
    for (operator, precision), count in sorted(onnx_graph.layer_counts(network).items()):
        layers.setdefault(operator, {})[precision] = count
    return layers
