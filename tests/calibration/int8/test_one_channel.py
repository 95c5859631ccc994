"""One grey picture taken once instead of three times: the same answers, and nothing changed where they would not be."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

ort = pytest.importorskip("onnxruntime")
from smartca.calibration.int8.one_channel import one_channel  # noqa: E402

SIDE = 16


def network(shift: tuple[float, ...] = (0.5,) * 3, shared: bool = False, look: bool = False) -> ModelProto:
    """A picture three times, shifted, scaled, and taken by two padded convolutions; `look`: also by something else."""
    rng = np.random.default_rng(1)
    constants = {
        "thrice": np.array([1, 3, 1, 1], np.int64),
        "mean": np.array(shift, np.float32).reshape(1, 3, 1, 1),
        "a": rng.normal(size=(2, 3, 3, 3)).astype(np.float32),
        "b": rng.normal(size=(2, 3, 3, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Expand", ["image", "thrice"], ["colours"]),
        helper.make_node("Sub", ["colours", "mean"], ["less"]),
        helper.make_node("Div", ["less", "mean"], ["normal"]),
        helper.make_node("Conv", ["normal", "a"], ["one"], pads=[1] * 4),
        helper.make_node("Conv", ["normal", "a" if shared else "b"], ["two"], pads=[1] * 4),
        helper.make_node("Add", ["one", "two"], ["q"]),
    ]
    if look:
        nodes.append(helper.make_node("ReduceMean", ["normal"], ["grey"], keepdims=0))
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ["q", *["grey"] * look]]
    picture = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, SIDE, SIDE])
    tensors = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    graph = helper.make_graph(nodes, "colours", [picture], outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return onnx.shape_inference.infer_shapes(model)


def answer(model: ModelProto) -> NDArray[np.float32]:
    picture = np.random.default_rng(2).random((1, 1, SIDE, SIDE), np.float32)
    return ort.InferenceSession(model.SerializeToString()).run(["q"], {"image": picture})[0]


@pytest.mark.parametrize("shared", [False, True])
def test_one_channel_answers_the_same(shared: bool) -> None:
    model = network(shared=shared)
    narrow = one_channel(model)
    onnx.shape_inference.infer_shapes(narrow, check_type=True, strict_mode=True)
    weights = {tensor.name: list(tensor.dims) for tensor in narrow.graph.initializer}
    assert "Expand" not in [node.op_type for node in narrow.graph.node]
    assert weights["a"] == [2, 1, 3, 3] and "thrice" not in weights and "mean" not in weights
    np.testing.assert_allclose(answer(narrow), answer(model), atol=1e-5)


@pytest.mark.parametrize("model", [network((0.4, 0.5, 0.6)), network(look=True)])
def test_what_would_change_is_left_alone(model: ModelProto) -> None:
    assert one_channel(model) == model
