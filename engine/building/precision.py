"""An fp32 ONNX network -> the same network computing in fp16 or bf16, as strongly typed TensorRT networks want it.

TensorRT 11 takes the types from the ONNX file alone. What lies between the first and the last convolution becomes
narrow, where nearly all the time goes; the input's normalisation, the pooled heads (a distance that squares, a
softmax) and the confidence behind the last convolution (logarithms of small numbers) stay fp32, and so do input
and outputs: the contract of the network does not change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..contract import EngineError
from ..onnx_graph import is_quantised

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

NARROW = ("fp16", "bf16")
HEAVY = frozenset({"Conv", "ConvTranspose"})
LARGEST_HALF = 65504.0
RESIZE_FACTORS = {"Resize": (1, 2), "Upsample": (1,)}  # roi and scales: float32 by the standard
# what TensorRT and OpenVINO compute in 16 bits; anything else between two convolutions stays fp32
ACTIVATIONS = {
    "Relu",
    "Clip",
    "LeakyRelu",
    "PRelu",
    "Sigmoid",
    "HardSigmoid",
    "HardSwish",
    "Tanh",
    "Elu",
    "Gelu",
    "Mish",
}
ARITHMETIC = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Erf", "BatchNormalization", "InstanceNormalization"}
POOLING = {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax"}
MOVES = {"Concat", "Split", "Slice", "Pad", "Resize", "Upsample", "Identity", "Transpose", "Reshape", "Flatten"}
MORE_MOVES = {"Squeeze", "Unsqueeze", "Expand", "DepthToSpace", "SpaceToDepth"}
LIGHT = ACTIVATIONS | ARITHMETIC | POOLING | MOVES | MORE_MOVES


def narrowed(model: ModelProto, precision: str, name: str) -> ModelProto:
    """A copy of `model` that computes in `precision` ('fp16' or 'bf16') between its convolutions.

    Raises EngineError where it holds Q/DQ nodes or branches, or a weight that fp16 cannot hold.
    """
    from onnx import ModelProto

    if precision not in NARROW:
        raise InputError(f"{precision!r} is no narrow precision; choose one of {', '.join(NARROW)}")
    if is_quantised(model):
        raise EngineError(f"{name} holds INT8 ranges (Q/DQ nodes): build it with --precision int8")
    copy = ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        raise EngineError(f"{name} holds branches or loops, which are built in fp32 only: use --precision fp32")
    _lift_constants(graph)
    chosen = _between_convolutions(graph)
    if not chosen:
        raise EngineError(f"{name} holds no convolution to compute in {precision}: use --precision fp32")
    _Rewriter(graph, precision, name).rewrite(chosen, _float_tensors(copy))
    del graph.value_info[:]
    return copy


def _lift_constants(graph: GraphProto) -> None:
    """Constant nodes become initialisers, so that there is one kind of constant."""
    lifted = [n for n in graph.node if n.op_type == "Constant" and n.attribute[0].name == "value"]
    for node in lifted:
        tensor = graph.initializer.add()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        graph.node.remove(node)


def _between_convolutions(graph: GraphProto) -> set[int]:
    """Numbers of the nodes to narrow: convolutions, and light layers with one before and one behind them."""
    behind: set[str] = set()  # tensors that depend on a convolution
    for node in graph.node:  # ONNX keeps nodes in an order in which they can be computed
        if node.op_type in HEAVY or behind.intersection(node.input):
            behind.update(node.output)
    chosen: set[int] = set()
    ahead: set[str] = set()  # tensors that a convolution depends on
    for number in range(len(graph.node) - 1, -1, -1):
        node = graph.node[number]
        heavy = node.op_type in HEAVY
        if not heavy and not ahead.intersection(node.output):
            continue
        ahead.update(node.input)
        if heavy or (node.op_type in LIGHT and behind.intersection(node.input)):
            chosen.add(number)
    return chosen


class _Rewriter:
    """Gives the chosen nodes narrow constants, and casts wherever a tensor goes from one kind of node to the other."""

    def __init__(self, graph: GraphProto, precision: str, name: str) -> None:
        from onnx import TensorProto

        self._graph = graph
        self._precision = precision
        self._name = name
        self._narrow = TensorProto.FLOAT16 if precision == "fp16" else TensorProto.BFLOAT16
        self._wide = TensorProto.FLOAT
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._kinds: dict[str, int] = {}  # of tensors computed by a node, once that node was passed
        self._nodes: list[NodeProto] = []
        self._made: set[str] = set()

    def rewrite(self, chosen: set[int], floats: set[str]) -> None:
        """Replace the graph's nodes and constants; `floats` names all tensors that are float32 before it."""
        ends = {value.name for value in self._graph.output}
        for number, node in enumerate(list(self._graph.node)):
            kind = self._narrow if number in chosen else self._wide
            kept = RESIZE_FACTORS.get(node.op_type, ())
            for place, tensor in enumerate(node.input):
                if tensor in floats and place not in kept:
                    node.input[place] = self._as(tensor, kind)
            self._nodes.append(node)
            for place, tensor in enumerate(node.output):
                self._kinds[tensor] = kind
                if kind == self._narrow and tensor in ends:
                    node.output[place] = inner = f"{tensor}.{self._precision}"
                    self._kinds[tensor] = self._wide
                    self._made.add(inner)  # narrow nodes behind it take that
                    self._cast(inner, tensor, self._wide)
        self._finish()

    def _as(self, tensor: str, kind: int) -> str:
        """The name under which `tensor` is to be had in `kind`, after casting it or copying it if need be."""
        here = self._wide if tensor in self._constants else self._kinds.get(tensor, self._wide)
        if here == kind:
            return tensor
        name = f"{tensor}.{'fp32' if kind == self._wide else self._precision}"
        if name in self._made:
            return name
        self._made.add(name)
        if tensor in self._constants:
            self._graph.initializer.append(self._constant(self._constants[tensor], name))
        else:
            self._cast(tensor, name, kind)
        return name

    def _cast(self, source: str, result: str, kind: int) -> None:
        from onnx import helper

        self._nodes.append(helper.make_node("Cast", [source], [result], name=f"cast {result}", to=kind))

    def _constant(self, tensor: TensorProto, name: str) -> TensorProto:
        from onnx import TensorProto, numpy_helper

        values = numpy_helper.to_array(tensor)
        largest = float(np.abs(values).max()) if values.size else 0.0
        if self._narrow == TensorProto.FLOAT16 and np.isfinite(largest) and largest > LARGEST_HALF:
            raise EngineError(
                f"{self._name} holds a weight of {largest:.3g} ({tensor.name}), more than fp16 can hold: "
                f"use --precision bf16 or fp32"
            )
        bits = values.astype(np.float16).view(np.uint16) if self._precision == "fp16" else to_bf16(values)
        raw = np.ascontiguousarray(bits).astype("<u2").tobytes()
        return TensorProto(name=name, data_type=self._narrow, dims=tensor.dims, raw_data=raw)

    def _finish(self) -> None:
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        used = {tensor for node in self._nodes for tensor in node.input}
        kept = [tensor for tensor in self._graph.initializer if tensor.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)


def _float_tensors(model: ModelProto) -> set[str]:
    """Names of all float32 tensors: constants by their type, computed ones by ONNX' inference."""
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = [*inferred.input, *inferred.output, *inferred.value_info]
    names = {v.name for v in values if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    return names | {t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT}


def to_bf16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """float32 -> the bits of bfloat16, rounded to the nearest (ties to even), same shape; NaN stays NaN."""
    wide = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (wide + 0x7FFF + ((wide >> 16) & 1)) >> 16
    return np.where(np.isnan(values), 0x7FC0, rounded).astype(np.uint16)
