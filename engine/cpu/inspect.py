"""What OpenVINO executes of a network on this CPU: layers after fusion, and the precision each computes in."""

from __future__ import annotations

from pathlib import Path

from ..contract import Inside
from .openvino_import import ov, the_core

_NOT_LAYERS = ("Parameter", "Result", "Output", "Input", "Const")


def inspect(engine: Path, precision: str) -> Inside:
    """Compile `engine` (an .onnx file) as the runner would and read back its execution graph.

    OpenVINO's CPU device tells nothing of the memory that it needs.
    """
    hint = ov.Type.bf16 if precision == "bf16" else ov.Type.f32
    settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": 1}
    compiled = the_core().compile_model(str(engine), "CPU", settings)
    layers = []
    for operation in compiled.get_runtime_model().get_ordered_ops():
        told = operation.get_rt_info()
        kind = str(told["layerType"].astype(str)) if "layerType" in told else operation.get_type_name()
        if kind not in _NOT_LAYERS:
            layers.append((operation.get_friendly_name(), str(told["runtimePrecision"].astype(str))))
    return Inside(layers, None)
