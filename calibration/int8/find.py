"""An INT8 network that is proved: from pictures to the search, and to the gate's verdict."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ...engine import onnx_graph
from ...engine.contract import Answer, EngineError
from ...engine.letterbox import to_input
from ...engine.operating_point import OperatingPoint
from ...errors import InputError
from .findings import Int8Findings, Material
from .gate import Limits, judge, require_outlines
from .network import CpuNetwork, WatchedNetwork
from .picture_choice import CalibrationPicture
from .quantise import convolutions, named
from .search import Progress, Search

log = logging.getLogger(__name__)
ASKING_EXACT, ASKING = "the gate: asking fp32", "the gate: asking INT8"


def find(
    data: bytes,
    name: str,
    material: Material,
    point: OperatingPoint,
    progress: Progress,
    on_cpu: bool = True,
    limits: Limits | None = None,
    threads: int = 1,
) -> Int8Findings:
    """Make the INT8 network of `data`, the bytes of an fp32 ONNX file, and let the gate judge it.

    on_cpu: judged as OpenVINO computes it here; else exactly as its Q/DQ nodes are written, as TensorRT does. Raises
    EngineError where the network cannot be quantised, or before the search where fp32 outlines too few of the gate's
    pictures to prove anything, ValueError without pictures. Where the gate refuses, it is asked
    again with one more sensitive group of layers in fp32, as long as there is one to give.
    """
    with onnx_graph.damage_told(data, name):
        exact = named(onnx_graph.read_network(data, name))
    if not convolutions(exact):
        raise EngineError(f"{name} holds no convolution to compute in INT8: use --precision fp32")
    run = CpuNetwork if on_cpu else WatchedNetwork
    ask, limits = _in_openvino if on_cpu else _as_written, limits or Limits()
    if not material.gate:
        raise InputError(f"there is not one picture for the gate in {material.gate_words}; give it some with --gate")
    progress(ASKING_EXACT, 0, 1)
    answers, judged_by = ask(data, name, material.gate, threads)
    progress(ASKING_EXACT, 1, 1)
    require_outlines(answers, point, limits, material.gate_words)
    search = Search(exact, material, point, progress, limits, threads, run)
    found = search.run()
    found.exact, found.judged_by, found.judged_on_target = answers, judged_by, on_cpu
    progress(ASKING, 0, 1)
    while True:
        found.narrow, _ = ask(found.network, name, material.gate, threads)
        found.verdict = judge(found.exact, found.narrow, material.gate, point, found.limits)
        found.asked += 1
        facts = {"accepted": found.verdict.accepted, "refusals": len(found.verdict.refusals), "asked": found.asked}
        log.info("the gate's verdict", extra={**facts, **found.verdict.scores})
        if found.verdict.accepted or not search.give_back():
            break
    progress(ASKING, 1, 1)
    return found


def _as_written(data: bytes, name: str, gate: Sequence[CalibrationPicture], threads: int) -> tuple[list[Answer], str]:
    network = WatchedNetwork(onnx_graph.read_network(data, name), threads=threads)
    return network.answers(shown.square for shown in gate), "onnxruntime on the CPU, Q/DQ nodes as written"


def _in_openvino(data: bytes, name: str, gate: Sequence[CalibrationPicture], threads: int) -> tuple[list[Answer], str]:
    from ...engine.cpu.openvino_runner import OpenVinoRunner

    precision = "auto" if onnx_graph.is_quantised(onnx_graph.read_network(data, name)) else "fp32"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(name).name
        path.write_bytes(data)
        with OpenVinoRunner(path, precision, threads) as runner:
            return [runner.infer(to_input(shown.square)) for shown in gate], runner.info.backend
