"""An fp32 ONNX network -> the same network with Q/DQ nodes, by onnxruntime's static quantiser.

Signed INT8 without zero points, weights by output channel, biases in fp32: what TensorRT takes, and OpenVINO too.
Only the inputs of convolutions are quantised: what stands between two of them (activation, residual sum, enlarging,
joining) is then fused into one of them by either library, and nothing is rounded twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine.contract import EngineError
from ...engine.onnx_graph import QUANTISED
from .network import need_onnxruntime
from .one_channel import one_channel

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


def convolutions(model: ModelProto) -> list[NodeProto]:
    """The layers that INT8 is for, in the graph's order: convolutions with constant weights."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [node for node in model.graph.node if node.op_type == "Conv" and node.input[1] in weights]


def named(model: ModelProto) -> ModelProto:
    """A copy, constants folded, normalisation merged into convolutions, one channel for one grey; every node named."""
    need_onnxruntime()
    import tempfile
    from pathlib import Path

    import onnx
    from onnxruntime.quantization import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        onnx.save(model, str(before))
        with _refusals_told():
            quant_pre_process(str(before), str(after), skip_symbolic_shape=True)
        copy = one_channel(onnx.load(str(after)))
    for number, node in enumerate(copy.graph.node):
        node.name = f"{number} {node.name or node.op_type}"
    return copy


def quantised(model: ModelProto, ranges: Mapping[str, float]) -> ModelProto:
    """`model` (as `named` gives it) with every convolution in INT8; `ranges`: half the range of each one's input."""
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType, TensorData, TensorsData

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    told: dict[str, TensorData | tuple[Any, ...]] = {
        tensor: TensorData(lowest=np.float32(-half), highest=np.float32(half)) for tensor, half in ranges.items()
    }
    quantiser = QDQQuantizer(
        copy,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, told),
        nodes_to_quantize=[node.name for node in convolutions(copy)],
        nodes_to_exclude=[],
        op_types_to_quantize=["Conv"],
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "OpTypesToExcludeOutputQuantization": ["Conv"],
        },
    )
    with _refusals_told():
        quantiser.quantize_model()
    made: onnx.ModelProto = quantiser.model.model
    return made


@contextmanager
def _refusals_told() -> Iterator[None]:
    """Turns what onnxruntime's quantisation raises, of no common kind, into EngineError."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise EngineError(f"onnxruntime cannot quantise the network ({reason}); use --precision fp32") from error


def loosened(narrow: ModelProto, exact: ModelProto, keep: Collection[str]) -> ModelProto:
    """A copy of `narrow` in which the convolutions named in `keep` are in fp32 again, as they are in `exact`.

    A tensor that no convolution takes in INT8 any more loses its Q/DQ nodes.
    """
    from onnx import ModelProto

    copy = ModelProto()
    copy.CopyFrom(narrow)
    before = {node.name: node for node in exact.graph.node}
    still = {node.input[0] for node in convolutions(exact) if node.name not in keep}
    for node in copy.graph.node:
        old = before.get(node.name)
        if old is None:
            continue
        loose = node.name in keep
        for place, tensor in enumerate(old.input):
            in_fp32 = loose if node.op_type == "Conv" else tensor not in still
            if in_fp32:
                node.input[place] = tensor
    weights = {tensor.name: tensor for tensor in exact.graph.initializer}
    here = {tensor.name for tensor in copy.graph.initializer}
    needed = {tensor for node in copy.graph.node for tensor in node.input}
    copy.graph.initializer.extend(weights[name] for name in sorted((needed - here) & weights.keys()))
    _drop_unused(copy)
    return copy


def _drop_unused(model: ModelProto) -> None:
    """Take out Q/DQ nodes and constants that nothing reads."""
    graph = model.graph
    ends = {output.name for output in graph.output}
    while True:
        read = {tensor for node in graph.node for tensor in node.input} | ends
        dead = [n for n in graph.node if n.op_type in QUANTISED and not read.intersection(n.output)]
        if not dead:
            break
        for node in dead:
            graph.node.remove(node)
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
