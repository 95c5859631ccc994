"""What is changed in a network before an engine is made of it: its precision and its batch."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from smartca.engine import EngineError
from smartca.engine.building.precision import narrowed, to_bf16
from smartca.engine.onnx_graph import is_quantised, layer_counts, read_network, with_free_batch
from support.networks import brightness_network, quantised


def answers(model: onnx.ModelProto, picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """What ONNX' own reference computes, in the types that the file says."""
    return [np.asarray(answer) for answer in ReferenceEvaluator(model).run(None, {"image": picture})]


def deep_network(path: Path, weight: float = 1.0) -> Path:
    """Two convolutions with layers before, between and behind them, and a constant they share."""
    random = np.random.default_rng(0)
    kernels = [random.normal(0, 0.3, shape).astype(np.float32) for shape in ((4, 1, 3, 3), (1, 4, 3, 3))]
    kernels[0][0, 0, 0, 0] = weight
    nodes = [
        helper.make_node("Constant", [], ["half"], value=numpy_helper.from_array(np.array([0.5], np.float32))),
        helper.make_node("Sub", ["image", "half"], ["centred"]),
        helper.make_node("Conv", ["centred", "k0"], ["first"], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Add", ["first", "half"], ["shifted"]),
        helper.make_node("Relu", ["shifted"], ["rectified"]),
        helper.make_node("Resize", ["rectified", "", "scales"], ["large"], mode="nearest"),
        helper.make_node("Conv", ["large", "k1"], ["logit"], pads=[1] * 4),
        helper.make_node("Sigmoid", ["logit"], ["q"]),
    ]
    constants = [numpy_helper.from_array(kernel, f"k{number}") for number, kernel in enumerate(kernels)]
    constants.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 32, 32]) for name in ("image", "q")]
    graph = helper.make_graph(nodes, "deep", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return path


def test_a_free_batch_answers_as_one_by_one(network: Path) -> None:
    free = with_free_batch(read_network(network.read_bytes(), "m"), "m")
    pictures = np.random.default_rng(0).random((3, 1, 64, 64), dtype=np.float32)
    (together,) = answers(free, pictures)
    for number in range(3):
        (alone,) = answers(onnx.load(str(network)), pictures[number : number + 1])
        np.testing.assert_allclose(together[number], alone[0], atol=1e-6)


def test_a_graph_that_ties_pictures_together_says_so(tmp_path: Path) -> None:
    tied = brightness_network(tmp_path / "tied.onnx", tells_more=True)
    with pytest.raises(EngineError, match="one picture at a time"):
        with_free_batch(read_network(tied.read_bytes(), "m"), "m")


def test_a_reshape_to_one_picture_is_freed(tmp_path: Path, network: Path) -> None:
    model = onnx.load(str(network))
    model.graph.node[-1].output[0] = "square"
    model.graph.node.append(helper.make_node("Reshape", ["square", "one"], ["q"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 64, 64], np.int64), "one"))
    free = with_free_batch(model, "m")
    (q,) = answers(free, np.zeros((2, 1, 64, 64), np.float32))
    assert q.shape == (2, 1, 64, 64)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp16", 2e-3), ("bf16", 2e-2)])
def test_narrow_between_the_convolutions_only(precision: str, tolerance: float, tmp_path: Path) -> None:
    model = onnx.load(str(deep_network(tmp_path / "deep.onnx")))
    narrow = narrowed(model, precision, "m")
    counts = {(operator, kind) for operator, kind in layer_counts(narrow)}
    inside = {(operator, precision) for operator in ("Conv", "Add", "Relu", "Resize")}
    assert counts == {*inside, ("Sub", "fp32"), ("Sigmoid", "fp32")}
    assert Counter(node.op_type for node in narrow.graph.node)["Cast"] == 2
    ends = [*narrow.graph.input, *narrow.graph.output]
    assert [end.type.tensor_type.elem_type for end in ends] == [TensorProto.FLOAT] * 2
    kinds = {tensor.name: tensor.data_type for tensor in narrow.graph.initializer}
    assert kinds["scales"] == TensorProto.FLOAT
    if precision == "bf16":
        return  # the reference has no arithmetic of that type
    onnx.checker.check_model(narrow, full_check=True)
    picture = np.random.default_rng(1).random((1, 1, 32, 32), dtype=np.float32)
    (exact,), (rough,) = answers(model, picture), answers(narrow, picture)
    assert rough.dtype == np.float32
    assert 0 < np.abs(exact - rough).max() < tolerance


def test_fp16_refuses_what_it_cannot_hold(tmp_path: Path, network: Path) -> None:
    model = onnx.load(str(deep_network(tmp_path / "deep.onnx", weight=1e6)))
    with pytest.raises(EngineError, match="more than fp16 can hold"):
        narrowed(model, "fp16", "m")
    assert layer_counts(narrowed(model, "bf16", "m"))["Conv", "bf16"] == 2
    ranges = onnx.load(str(quantised(tmp_path / "q.onnx", network)))
    assert is_quantised(ranges)
    with pytest.raises(EngineError, match="--precision int8"):
        narrowed(ranges, "fp16", "m")


def test_an_output_that_is_narrow_inside_stays_wide(tmp_path: Path) -> None:
    model = onnx.load(str(deep_network(tmp_path / "deep.onnx")))
    model.graph.output.append(helper.make_tensor_value_info("first", TensorProto.FLOAT, [1, 4, 16, 16]))
    narrow = narrowed(model, "fp16", "m")
    onnx.checker.check_model(narrow, full_check=True)
    picture = np.random.default_rng(1).random((1, 1, 32, 32), dtype=np.float32)
    _, first = answers(narrow, picture)
    assert first.dtype == np.float32


def test_bf16_by_hand() -> None:
    numbers = np.array([1.0, -2.5, 0.0, 1 + 2**-8, 1 + 3 * 2**-8, np.inf, np.nan], np.float32)
    assert to_bf16(numbers).tolist() == [0x3F80, 0xC020, 0, 0x3F80, 0x3F82, 0x7F80, 0x7FC0]
