"""A network told in an earlier opset says the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from smartca.engine import SHIPPED_MODEL, EngineError
from smartca.engine.building.opset import TENSORRT_8, in_opset
from smartca.engine.nvidia.compile import flags

onnx = pytest.importorskip("onnx", reason="the package onnx is absent")
ort = pytest.importorskip("onnxruntime", reason="the package onnxruntime is absent")


def run(network: Any, image: np.ndarray) -> Any:
    return ort.InferenceSession(network.SerializeToString()).run(None, {network.graph.input[0].name: image})


@pytest.mark.parametrize("name", [SHIPPED_MODEL.name, "smartca-lite-int8.onnx"])
def test_the_shipped_networks_say_the_same_in_the_last_opset_that_tensorrt_8_reads(name: str) -> None:
    network = onnx.load(SHIPPED_MODEL.with_name(name))
    earlier = in_opset(network, TENSORRT_8, name)
    assert [entry.version for entry in earlier.opset_import if entry.domain == ""] == [TENSORRT_8]
    assert in_opset(earlier, TENSORRT_8, name) is earlier, "nothing left to do"
    size = network.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    image = np.random.default_rng(0).random((1, 1, size, size), np.float32)
    for before, after in zip(run(network, image), run(earlier, image), strict=True):
        assert np.array_equal(before, after)


def reduction(axes: list[Any], weights: list[Any], operator: str) -> Any:
    """A network of one node that takes `axes`."""
    ends = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 1, 8, 8]) for n in ("image", "q")]
    node = onnx.helper.make_node(operator, ["image", "axes"], ["q"], keepdims=1)
    graph = onnx.helper.make_graph([*axes, node], "g", ends[:1], ends[1:], weights)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)


def test_what_an_earlier_opset_cannot_tell_is_a_sentence() -> None:
    shape = onnx.helper.make_node("Shape", ["image"], ["axes"])
    with pytest.raises(EngineError, match=r"cannot read m, whose ReduceMean computes its axes; use TensorRT 10"):
        in_opset(reduction([shape], [], "ReduceMean"), TENSORRT_8, "m")
    newer = reduction([], [onnx.numpy_helper.from_array(np.array([1]), "axes")], "ReduceMax")
    newer.graph.node[0].op_type = "BitwiseAnd"
    with pytest.raises(EngineError, match=r"up to opset 17, and m needs a later one"):
        in_opset(newer, TENSORRT_8, "m")


@pytest.mark.parametrize(
    ("backend", "version", "told"),
    [
        ("tensorrt", "8.6.0", ("FP16", "NO_TF32")),
        ("tensorrt", "10.16.1.11", ("STRONGLY_TYPED", "NO_TF32")),
        ("tensorrt-rtx", "1.7.1.116", ("STRONGLY_TYPED", "NO_TF32")),
    ],
)
def test_only_tensorrt_8_is_told_by_flags_what_the_file_says(backend: str, version: str, told: tuple[str, ...]) -> None:
    assert flags(backend, version, "fp16") == told
