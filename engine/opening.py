"""The one place that chooses among engines, and knows at which operating point one runs."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import msgspec

from . import operating_point
from .contract import SHIPPED_MODEL, Engine, EngineError, Remote, Runner
from .cpu.ready_int8 import chosen, file_of
from .files import sheet_path
from .operating_point import OperatingPoint
from .plan import require_fit
from .segmenter import Segmenter

log = logging.getLogger(__name__)


def open_runner(
    engine: Engine = SHIPPED_MODEL, precision: str = "auto", threads: int = 0, insecure: bool = False
) -> Runner:
    """Open `engine` on the backend its kind asks for: warm, ready to infer.

    .onnx runs in OpenVINO on the CPU, .engine in TensorRT on an NVIDIA GPU, a `Remote` on its server. What
    `smartca build` made must still be what its build sheet says, and fit this machine. precision: auto (what the engine
    was built in; of a plain .onnx int8 where that stands ready beside it and this processor is quick with it, else
    bf16 where it has that), or the wanted one, which a built engine can only
    agree to. threads: of the CPU, 0 = all cores but one, which capture and display share. insecure: pictures may
    travel unencrypted to a `Remote` elsewhere.
    Raises EngineError if there is no such engine, it is no SMART-CA network, or it does not fit.
    """
    if isinstance(engine, Remote):
        from .triton.triton_runner import TritonRunner

        remote = TritonRunner(engine.url, insecure)
        if precision not in ("auto", remote.info.precision):
            remote.close()
            raise EngineError(_other_precision(engine, remote.info.precision))
        return remote
    if not engine.is_file():
        raise EngineError(
            f"there is no model at {engine}; give --engine an .onnx file made by `smartca export`, or an engine "
            "made by `smartca build`"
        )
    if engine.suffix == ".engine":
        from .nvidia import tensorrt_runner as trt

        return trt.open_engine(engine, built_in(engine, precision))
    if engine.suffix != ".onnx":
        raise EngineError(
            f"{engine.name} is not an .onnx file or .engine file; `smartca export` writes the one from a checkpoint, "
            "`smartca build` the other from that"
        )

    engine = chosen(engine, precision)
    return _on_cpu(engine, precision, threads)


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


def _other_precision(engine: Engine, built: str) -> str:
    return f"{engine.name} computes in {built}: leave --precision out, or build another with `smartca build`"


def segmenter_for(runner: Runner, engine: Engine, threshold: float | None = None) -> Segmenter:
    """The segmenter for `engine`, at its stored operating point or at another `threshold` of fitted q.

    The point stands in a file beside an engine's own; a server tells it together with the weights.
    Raises EngineError if the stored point is damaged or of other weights, or `threshold` is not in 0..1.
    """
    try:
        point = _stored_point(runner, engine)
        point = point if threshold is None else replace_threshold(point, threshold)
        log.info("engine opened", extra={**runner.info.as_report(), "threshold": point.threshold})
        return Segmenter(runner, point)
    except ValueError as error:
        raise EngineError(str(error)) from error


def _stored_point(runner: Runner, engine: Engine) -> OperatingPoint:
    if isinstance(engine, Remote):
        from .triton.triton_runner import TritonRunner

        assert isinstance(runner, TritonRunner)  # as `open_runner` opens it
        return runner.point
    digest = runner.info.model_sha256
    return operating_point.load_point(file_of(engine, digest), digest)


def replace_threshold(point: OperatingPoint, threshold: float) -> OperatingPoint:
    """The same operating point with another threshold; what it reached with the old one is left out."""
    return msgspec.structs.replace(point, threshold=threshold, recall_wanted=None, recall_found=None)
