"""A network that sees one grey picture as three equal colours computes the same from one, with its weights summed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

SHIFTS = ("Add", "Sub", "Mul", "Div")  # by one number for all channels, as normalisation does


def one_channel(model: ModelProto) -> ModelProto:
    """A copy in which the first convolutions take the picture (N, 1, S, S) itself, where it was only repeated for them.

    Equal but for rounding: sum_c w_c * x = (sum_c w_c) * x, also where x is padded with 0. A picture that is normalised
    differently by channel, or taken by anything but convolutions, is left as it is.
    """
    from onnx import ModelProto

    copy = ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.op_type == "Expand" and _is_picture(copy, node.input[0]):
            _narrow(copy, node)
            break
    return copy


def _is_picture(model: ModelProto, name: str) -> bool:
    shapes = {value.name: value.type.tensor_type.shape.dim for value in model.graph.input}
    return name in shapes and len(shapes[name]) == 4 and shapes[name][1].dim_value == 1


def _narrow(model: ModelProto, expand: NodeProto) -> None:
    """Take `expand` out, where everything behind it allows that."""
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    shifts, takers = _behind(model, expand, constants)
    if not takers or not all(_sums(node, shifts[-1] if shifts else expand, constants) for node in takers):
        return
    here = expand.input[0]
    for node in shifts:
        port = 0 if node.input[1] in constants else 1
        number = f"{node.output[0]} by"
        value = numpy_helper.to_array(constants[node.input[1 - port]]).ravel()[:1].reshape(1, 1, 1, 1)
        model.graph.initializer.append(numpy_helper.from_array(value, number))
        node.input[port], node.input[1 - port] = here, number
        here = node.output[0]
    for name in {node.input[1] for node in takers}:
        weights = numpy_helper.to_array(constants[name]).sum(1, dtype=np.float64, keepdims=True)
        constants[name].CopyFrom(numpy_helper.from_array(weights.astype(np.float32), name))
    for node in takers:
        node.input[0] = here
    changed = {expand.output[0], *(node.output[0] for node in shifts), *constants}
    model.graph.node.remove(expand)
    _keep(model.graph.value_info, lambda value: value.name not in changed)
    taken = {name for node in model.graph.node for name in node.input}
    _keep(model.graph.initializer, lambda tensor: tensor.name in taken)


def _keep(items: Any, wanted: Callable[[Any], bool]) -> None:
    """Take the others out of a repeated field."""
    kept = [item for item in items if wanted(item)]
    del items[:]
    items.extend(kept)


def _behind(
    model: ModelProto, expand: NodeProto, constants: dict[str, TensorProto]
) -> tuple[list[NodeProto], list[NodeProto]]:
    """The nodes that shift or scale the repeated picture one after the other, and those that take the last's result."""
    shifts: list[NodeProto] = []
    tensor = expand.output[0]
    while True:
        takers = [node for node in model.graph.node if tensor in node.input]
        if len(takers) != 1 or takers[0].op_type not in SHIFTS or not _one_number(takers[0], constants):
            return shifts, takers
        shifts.append(takers[0])
        tensor = takers[0].output[0]


def _one_number(node: NodeProto, constants: dict[str, TensorProto]) -> bool:
    from onnx import numpy_helper

    found = [numpy_helper.to_array(constants[name]) for name in node.input if name in constants]
    return len(found) == 1 and found[0].size > 0 and bool((found[0] == found[0].flat[0]).all())


def _sums(node: NodeProto, before: NodeProto, constants: dict[str, TensorProto]) -> bool:
    """Whether it is a convolution over all channels whose weights are its own."""
    whole = node.op_type == "Conv" and node.input[0] == before.output[0]
    groups = [attribute.i for attribute in node.attribute if attribute.name == "group"]
    return whole and groups in ([], [1]) and node.input[1] in constants
