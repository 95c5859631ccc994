"""The one door to an engine: `open_runner` alone chooses what runs it, and `open_segmenter` outlines with it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec

from .. import onnx_bytes, plugins
from ..errors import SmartcaError
from .contract import MAKES_MODELS, SHIPPED, SHIPPED_MODEL, Engine, EngineError, Foreign, Remote, Runner, engine_at
from .cpu.ready_int8 import chosen
from .foreign_runner import Judged
from .operating_point import USUAL, OperatingPoint, PointName, point_name
from .paths import sheet_path
from .plan import require_fit
from .segmenter import Segmenter

log = logging.getLogger(__name__)
Backend = Literal["auto", "onnxruntime"]


def open_segmenter(
    engine: str | Engine = SHIPPED,
    *,
    precision: str = "auto",
    threshold: float | None = None,
    point: PointName | None = None,
    threads: int = 0,
    insecure: bool = False,
) -> Segmenter:
    """Open `engine`, ready to outline tears at its stored operating point. Use it with `with`, or call `close`.

    engine: 'shipped', the path of an .onnx or .engine file, a Triton server's address, or PLUGIN:REST. point:
    'careful', 'balanced' (unless given) or 'searching'; an engine calibrated for one only has it under all three names.
    threshold: one of your own, of fitted q in 0..1, in place of the point's; there is no 'unsure' with it. precision,
    threads and insecure: see `open_runner`.
    Raises EngineError as `open_runner` does, and where the stored point is damaged or of other weights, `threshold` is
    not in 0..1, `point` is no such name, or both are given.

    Where the stored point says so, the shipped network is opened too, on the CPU, and answers about pictures that are
    strange to `engine` (`OperatingPoint.otherwise`).
    """
    if threshold is not None and point is not None:
        raise EngineError("a threshold of your own takes the point's place; give one of the two")
    runner = open_runner(engine, precision, threads, insecure)
    try:
        name, stored = point_name(point or USUAL), runner.point()
        own, name = (stored, name) if threshold is None else (replace_threshold(stored, threshold), "")
        segmenter = Segmenter(runner, own, name)
        if stored.otherwise:
            asked = precision if precision in ("fp32", "bf16") else "auto"
            segmenter.otherwise = open_segmenter(
                SHIPPED_MODEL, precision=asked, threshold=threshold, point=point, threads=threads
            )
        told = {"threshold": segmenter.point.threshold, "point": segmenter.point_name}
        log.info("engine opened", extra={**runner.info.as_report(), **told})
        return segmenter
    except BaseException as error:
        runner.close()
        if isinstance(error, ValueError):
            raise EngineError(str(error)) from error
        raise


def open_runner(
    engine: str | Engine = SHIPPED,
    precision: str = "auto",
    threads: int = 0,
    insecure: bool = False,
    *,
    backend: Backend = "auto",
    timeout_s: float | None = None,
) -> Runner:
    """Open `engine` on the backend its kind asks for: warm, ready to infer.

    .onnx runs in OpenVINO on the CPU, .engine in TensorRT on an NVIDIA GPU, a `Remote` on its server, a `Foreign` in
    its plugin. What `smartca build` made must still be what its build sheet says, and fit this machine. precision: auto
    (what the engine was built in; of a plain .onnx int8 where that stands ready beside it and this processor is quick
    with it, else bf16 where it has that), or the wanted one, which a built engine can only agree to. threads: of the
    CPU, 0 = all cores but one, which capture and display share. insecure: pictures may travel unencrypted to a `Remote`
    elsewhere. backend: onnxruntime instead of OpenVINO, to compare the two; timeout_s: of a `Remote`'s answer.
    Raises EngineError if there is no such engine, it is no SMART-CA network, or it does not fit.
    """
    engine = engine_at(engine)
    if isinstance(engine, Remote):
        from .triton.triton_runner import TIMEOUT_S, TritonRunner

        return _agreed(engine, TritonRunner(engine.url, insecure, timeout_s or TIMEOUT_S), precision)
    if isinstance(engine, Foreign):
        return _agreed(engine, _foreign(engine), precision)
    if not engine.is_file():
        raise EngineError(
            f"there is no model at {engine}; give an .onnx file made by {MAKES_MODELS}, or an engine "
            "made by `smartca build`"
        )
    if engine.suffix == ".engine":
        from .nvidia import tensorrt_runner as trt

        return trt.open_engine(engine, built_in(engine, precision))
    if engine.suffix != ".onnx":
        raise EngineError(
            f"{engine.name} is not an .onnx file or .engine file; the one is made by {MAKES_MODELS}; "
            "the other from that by `smartca build`"
        )
    _weights_there(engine)
    if backend == "onnxruntime":
        from .cpu.onnxruntime_runner import OnnxRuntimeRunner

        return OnnxRuntimeRunner(engine, precision, threads)
    return _on_cpu(chosen(engine, precision), precision, threads)


def _weights_there(model: Path) -> None:
    """Raises EngineError where a file that holds some of the weights of `model` is missing."""
    try:
        onnx_bytes.weight_files(model)
    except SmartcaError as error:
        raise EngineError(str(error)) from error


def built_in(engine: Path, precision: str) -> str:
    """The precision that `smartca build` made `engine` in.

    Raises EngineError where its build sheet is absent or no longer holds, or where another `precision` than auto is
    asked for.
    """
    built = require_fit(engine).plan.precision
    if precision not in ("auto", built):
        raise EngineError(_other_precision(engine, built))
    return built


def _on_cpu(engine: Path, precision: str, threads: int) -> Runner:
    from .cpu.openvino_runner import OpenVinoRunner

    if not sheet_path(engine).exists():
        return OpenVinoRunner(engine, precision, threads)
    built = built_in(engine, precision)
    # fp16 and int8 are in the file itself; what they leave in fp32 stays exact
    asked = {"bf16": "bf16", "int8": "auto"}.get(built, "fp32")
    runner = OpenVinoRunner(engine, asked, threads)
    runner.info = replace(runner.info, precision=built)
    return runner


def _foreign(engine: Foreign) -> Runner:
    """The runner that an installed plugin makes of `rest`."""
    try:
        runner = plugins.make("smartca.engines", engine.plugin, engine.rest)
    except EngineError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise EngineError(str(error)) from error
    if runner is None:
        raise EngineError(
            f"there is no model at {engine} and no engine called {engine.plugin!r}; give an .onnx file made "
            f"by {MAKES_MODELS}, an engine made by `smartca build`, or triton://HOST:PORT/NAME; "
            f"{plugins.told('smartca.engines')}"
        )
    return Judged(runner, engine.name)


def _agreed(engine: Engine, runner: Runner, precision: str) -> Runner:
    """`runner`, if it computes in what was asked for; else it is closed again."""
    if precision not in ("auto", runner.info.precision):
        runner.close()
        raise EngineError(_other_precision(engine, runner.info.precision))
    return runner


def _other_precision(engine: Engine, built: str) -> str:
    return f"{engine.name} computes in {built}: leave --precision out, or build another with `smartca build`"


def replace_threshold(point: OperatingPoint, threshold: float) -> OperatingPoint:
    """The same operating point with another threshold; what was found for the old one is left out."""
    return msgspec.structs.replace(
        point, threshold=threshold, recall_wanted=None, recall_found=None, unsure=None, reached=None, points={}
    )
