"""ONNX in the wanted precision and batch -> an engine's file, with operating point and sidecar, in one folder."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from . import onnx_graph, plan
from . import operating_point as points
from .onnx_graph import Contract
from .plan import Input, Plan, Sidecar, suffix
from .runner import EngineError, open_runner
from .trt_build import Progress, compile_network

if TYPE_CHECKING:
    from onnx import ModelProto

READING = "preparing the network"
OPENING = "opening it in OpenVINO"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Pictures that INT8 ranges are taken from: `words` is DATA as typed, `digest` (of the pictures) decides the cache.

    pictures(size) gives float32 (1, 1, size, size) in 0..1, one after the other. crop: as typed, if it was.
    """

    words: str
    digest: str
    pictures: Callable[[int], Iterable[NDArray[np.float32]]]
    crop: str | None = None


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
    calibration: Calibration | None = None
    out: Path | None = None


def assemble(folder: Path, model: Path, data: bytes, made: Plan, options: Options, progress: Progress) -> None:
    """Write engine, operating point and sidecar of `data`, the bytes of `model`, into `folder`. Raises EngineError."""
    started = time.perf_counter()
    progress(READING, 0, 1)
    network = onnx_graph.read(data, model.name)
    ends = onnx_graph.contract(network, model.name)
    right_size(options.size, ends.size, model.name)
    network, ready = _prepare(network, data, model.name, ends, made, options.calibration, folder)
    progress(READING, 1, 1)
    engine = folder / f"{model.stem}-{made.precision}{suffix(made.backend)}"
    if made.backend == "openvino":
        engine.write_bytes(ready)
        _open_once(engine, made.precision, progress)
    else:
        timings = folder.parent / f"timings-{made.backend_version}-{made.compute_capability}.cache"
        engine.write_bytes(compile_network(ready, ends, made, progress, timings))
    _write_point(engine, model)
    plan.save(
        engine,
        Sidecar(
            plan=made,
            engine_sha256=points.sha256(engine),
            model=str(model.resolve()),
            input=Input(ends.input, (-1 if made.batch[2] > 1 else 1, 1, ends.size, ends.size)),
            outputs=ends.outputs,
            layers=_counts(network),
            calibrated_on=options.calibration and options.calibration.words,
            crop=options.calibration and options.calibration.crop,
            build_seconds=round(time.perf_counter() - started, 3),
        ),
    )


def right_size(asked: int | None, size: int, name: str) -> None:
    """Raises EngineError where another size is asked for than the network learnt at.

    Its layers would take any; but its features, its operating point and a tear's size in pixels hold at one only.
    """
    if asked not in (None, size):
        raise EngineError(
            f"{name} learnt at {size} x {size} pixels, and what it learnt holds at that size only; for {asked}: "
            f"`smartca train segment --size {asked}`, then `smartca export`"
        )


def _prepare(
    network: ModelProto,
    data: bytes,
    name: str,
    ends: Contract,
    made: Plan,
    calibration: Calibration | None,
    folder: Path,
) -> tuple[ModelProto, bytes]:
    """The network in the wanted precision and with the wanted batch: parsed, and as bytes."""
    if made.precision == "int8" and calibration is not None:
        _check_ranges(network, name, wanted=False)
        data = _quantise(data, calibration, ends.size, folder)
        network = onnx_graph.read(data, name)
    _check_ranges(network, name, wanted=made.precision == "int8")
    # in bf16 OpenVINO takes the fp32 network and narrows it itself, better than casts in the file would
    if made.precision == "fp16" or (made.precision == "bf16" and made.backend != "openvino"):
        from .precision import narrowed

        network = narrowed(network, made.precision, name)
        data = network.SerializeToString()
    if made.batch[2] > 1:
        network = onnx_graph.with_free_batch(network, name)
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


def _quantise(data: bytes, calibration: Calibration, size: int, folder: Path) -> bytes:
    """The network with Q/DQ nodes whose ranges come from the calibration's pictures."""
    before, after = folder / "fp32.onnx", folder / "int8.onnx"
    before.write_bytes(data)  # the bytes that the plan's key is of, whatever stands at the model's path by now
    try:
        quantise = importlib.import_module(".quantise", __package__).quantise
        quantise(before, calibration.pictures(size), after)
        return after.read_bytes()
    finally:
        before.unlink()
        after.unlink(missing_ok=True)


def _open_once(engine: Path, precision: str, progress: Progress) -> None:
    """An OpenVINO engine that does not open here is none."""
    progress(OPENING, 0, 1)
    open_runner(engine, "bf16" if precision == "bf16" else "fp32", 1).close()
    progress(OPENING, 1, 1)


def _write_point(engine: Path, model: Path) -> None:
    """The model's operating point, as the engine's own."""
    if not points.sidecar(model).is_file():
        return
    point = points.load(model, points.sha256(model))
    told = f"{point.fitted_on}; taken over from {model.name}"
    points.save(msgspec.structs.replace(point, model_sha256=points.sha256(engine), fitted_on=told), engine)


def _counts(network: ModelProto) -> dict[str, dict[str, int]]:
    layers: dict[str, dict[str, int]] = {}
    for (operator, precision), count in sorted(onnx_graph.layer_counts(network).items()):
        layers.setdefault(operator, {})[precision] = count
    return layers
