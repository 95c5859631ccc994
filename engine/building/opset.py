"""A network for a library that reads an earlier ONNX than it was written in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..contract import EngineError

if TYPE_CHECKING:
    from onnx import AttributeProto, ModelProto, NodeProto, TensorProto

TENSORRT_8 = 17  # the latest opset that it knows; of a later one it misreads the axes of reductions


def in_opset(network: ModelProto, opset: int, name: str) -> ModelProto:
    """A copy of `network` that says the same in that opset, or `network` where it is not later than that.

    Opset 18 moved the axes of reductions from an attribute to an input, and told Split how many parts there are.
    Raises EngineError where it holds more than that is told earlier.
    """
    import onnx

    later = [entry for entry in network.opset_import if entry.domain in ("", "ai.onnx") and entry.version > opset]
    if not later:
        return network
    earlier = onnx.ModelProto()
    earlier.CopyFrom(network)
    weights = {tensor.name: tensor for tensor in earlier.graph.initializer}
    for node in earlier.graph.node:
        if node.op_type.startswith("Reduce") and node.op_type != "ReduceSum" and len(node.input) > 1:
            _axes_as_attribute(node, weights, name)
        _forget_what_changes_nothing(node, later[0].version, opset)
    for entry in earlier.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = opset
    try:
        onnx.checker.check_model(earlier)
    except onnx.checker.ValidationError as error:
        said = str(error).splitlines()[0]
        raise EngineError(
            f"TensorRT 8 reads ONNX up to opset {opset}, and {name} needs a later one ({said}); use TensorRT 10"
        ) from error
    return earlier


def _axes_as_attribute(node: NodeProto, weights: dict[str, TensorProto], name: str) -> None:
    import onnx

    if not node.input[1]:
        del node.input[1:]
        return
    if node.input[1] not in weights:
        raise EngineError(f"TensorRT 8 cannot read {name}, whose {node.op_type} computes its axes; use TensorRT 10")
    axes = [int(axis) for axis in onnx.numpy_helper.to_array(weights[node.input[1]])]
    del node.input[1:]
    node.attribute.append(onnx.helper.make_attribute("axes", axes))


def _forget_what_changes_nothing(node: NodeProto, opset: int, earlier: int) -> None:
    """Attributes that the earlier opset does not know, and that say what it does anyway."""
    import onnx

    try:
        known = onnx.defs.get_schema(node.op_type, earlier, node.domain).attributes
        usual = onnx.defs.get_schema(node.op_type, opset, node.domain).attributes
    except onnx.defs.SchemaError:  # an operator that is not there yet: the check tells
        return
    kept = [
        one
        for one in node.attribute
        if one.name in known
        or not (one.name == "num_outputs" or (one.name in usual and _same(one, usual[one.name].default_value)))
    ]
    del node.attribute[:]
    node.attribute.extend(kept)


def _same(one: AttributeProto, other: AttributeProto) -> bool:
    import onnx

    return one.type == other.type and onnx.helper.get_attribute_value(one) == onnx.helper.get_attribute_value(other)
