"""What rounding shifts, put right: the mean of every convolution's channels, and of what is pooled for the heads.

Nagel et al., "Data-free quantization through weight equalization and bias correction", 2019, measured on pictures.
Without it a head that asks how unlike the usual features are finds every picture strange in INT8: a shift far smaller
than the features themselves is large beside their usual spread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...pictures.pixels import Grey
from .network import WatchedNetwork
from .quantise import QUANTISED, convolutions

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

POOLING = ("ReduceMean", "ReduceMax", "GlobalAveragePool", "GlobalMaxPool")
Array = NDArray[np.float64]


def biases_corrected(narrow: ModelProto, exact: ModelProto, pictures: Sequence[Grey], threads: int = 1) -> ModelProto:
    """Every convolution's bias makes up for its own rounding.

    Each is computed in both precisions from the same exact input: so all are put right in one pass, and none makes
    up for another's, which does not converge.
    """
    from onnx import ModelProto, numpy_helper

    copy = ModelProto()
    copy.CopyFrom(narrow)
    weights = {tensor.name for tensor in exact.graph.initializer}
    layers = [node for node in convolutions(exact) if len(node.input) == 3 and node.input[2] in weights]
    if not layers:
        return copy
    outputs = [node.output[0] for node in layers]
    both = WatchedNetwork(_side_by_side(narrow, exact), [*outputs, *map(_beside, outputs)], threads)
    means = _means(both.watch(pictures), channels_only=True)
    biases = {tensor.name: numpy_helper.to_array(tensor) for tensor in exact.graph.initializer}
    here = {node.output[0]: node for node in copy.graph.node}
    for node in layers:
        output, name = node.output[0], f"{node.name} bias corrected"
        values = biases[node.input[2]] + means[output] - means[_beside(output)]
        copy.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
        here[output].input[2] = name
    return copy


def heads_corrected(
    narrow: ModelProto,
    exact: ModelProto,
    pictures: Sequence[Grey],
    threads: int = 1,
    run: type[WatchedNetwork] = WatchedNetwork,
) -> ModelProto:
    """What is pooled over a picture for a head (and for no further convolution) gets back its exact mean.

    run: what computes the INT8 network when it is in use.
    """
    from onnx import ModelProto, helper, numpy_helper

    copy = ModelProto()
    copy.CopyFrom(narrow)
    pooled = [node.output[0] for node in _pooled_for_heads(exact)]
    if not pooled:
        return copy
    wanted = _means(WatchedNetwork(exact, pooled, threads).watch(pictures))
    found = _means(run(copy, pooled, threads).watch(pictures))
    nodes: list[NodeProto] = []
    for node in copy.graph.node:
        nodes.append(node)
        if node.output[0] in wanted:
            name = node.output[0]
            shift = (wanted[name] - found[name]).astype(np.float32)
            node.output[0] = f"{name} before correction"
            copy.graph.initializer.append(numpy_helper.from_array(shift, f"{name} correction"))
            nodes.append(helper.make_node("Add", [node.output[0], f"{name} correction"], [name], f"correct {name}"))
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def _pooled_for_heads(model: ModelProto) -> list[NodeProto]:
    """Nodes that pool a picture, from which no way leads to another convolution."""
    ahead: set[str] = set()  # tensors that a convolution depends on
    found = []
    for node in reversed(model.graph.node):
        if node.op_type == "Conv" or ahead.intersection(node.output):
            ahead.update(node.input)
        elif node.op_type in POOLING:
            found.append(node)
    return found


def _beside(name: str) -> str:
    return f"{name} in INT8"


def _side_by_side(narrow: ModelProto, exact: ModelProto) -> ModelProto:
    """The exact network, and beside each of its convolutions the same in INT8, fed with the exact input."""
    from onnx import ModelProto

    both = ModelProto()
    both.CopyFrom(exact)
    steps = {kind: [node for node in narrow.graph.node if node.op_type == kind] for kind in (*QUANTISED, "Conv")}
    for node in [*steps["QuantizeLinear"], *steps["DequantizeLinear"], *steps["Conv"]]:
        copy = both.graph.node.add()
        copy.CopyFrom(node)
        copy.name = _beside(node.name)
        if node.op_type == "Conv":
            copy.output[0] = _beside(node.output[0])
    here = {tensor.name for tensor in both.graph.initializer}
    both.graph.initializer.extend(tensor for tensor in narrow.graph.initializer if tensor.name not in here)
    return both


def _means(watched: Iterable[Mapping[str, NDArray[np.float32]]], channels_only: bool = False) -> dict[str, Array]:
    """Tensor -> its mean over all pictures; with `channels_only` also over rows and columns: (channels,)."""
    sums: dict[str, Array] = {}
    count = 0
    for tensors in watched:
        count += 1
        for name, values in tensors.items():
            mean = values[0].mean((1, 2), dtype=np.float64) if channels_only else values.astype(np.float64)
            sums[name] = sums.get(name, 0.0) + mean
    return {name: total / count for name, total in sums.items()}
