"""What rounding shifts is put right: each convolution's channels, and what is pooled for the heads."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from support.int8_network import LAYERS, layered, several

pytest.importorskip("onnxruntime", reason="onnxruntime comes with the extra 'build'")

from onnx import ModelProto
from smartca.calibration.int8.corrections import biases_corrected, heads_corrected
from smartca.calibration.int8.network import CpuNetwork, WatchedNetwork
from smartca.calibration.int8.quantise import convolutions, loosened, named, quantised
from smartca.engine.onnx_graph import in_order

SQUARES = [shown.square for shown in several(range(5))]
COARSE: dict[str, float] = dict.fromkeys(
    ("image", "stem", "body", "neck", "squeezed"), 6.0
)  # steps of 0.05: rounding that shows


def coarse(exact: ModelProto) -> ModelProto:
    return quantised(exact, {node.input[0]: COARSE[node.input[0]] for node in convolutions(exact)})


def means(model: ModelProto, tensor: str, kind: type[WatchedNetwork] = WatchedNetwork) -> np.ndarray:
    """Of each channel over all pictures."""
    seen = [tensors[tensor] for tensors in kind(model, [tensor]).watch(SQUARES)]
    return np.mean([values.reshape(2, -1).mean(1) for values in seen], axis=0)


def test_the_first_convolution_gets_its_exact_mean_back() -> None:
    exact = named(layered())
    narrow = coarse(exact)
    right = biases_corrected(narrow, exact, SQUARES)
    wanted = means(exact, "stem sum")
    assert np.abs(means(narrow, "stem sum") - wanted).max() > 3e-4
    np.testing.assert_allclose(means(right, "stem sum"), wanted, atol=1e-5)


def test_each_convolution_makes_up_for_its_own_rounding_only() -> None:
    """With the others in fp32 its input is exact, and so is its mean; with no correction it is not."""
    exact = named(layered())
    narrow = coarse(exact)
    right = biases_corrected(narrow, exact, SQUARES)
    for name in ("body", "neck"):
        others = {node.name for node in convolutions(exact) if f".{name}." not in node.input[1]}
        wanted = means(exact, f"{name} sum")
        np.testing.assert_allclose(means(loosened(right, exact, others), f"{name} sum"), wanted, atol=1e-5)
        assert np.abs(means(loosened(narrow, exact, others), f"{name} sum") - wanted).max() > 1e-3


def test_only_biases_change() -> None:
    exact = named(layered())
    narrow = coarse(exact)
    right = biases_corrected(narrow, exact, SQUARES)
    onnx.checker.check_model(in_order(right), full_check=True)
    before = [(node.op_type, node.name) for node in narrow.graph.node]
    assert sorted((node.op_type, node.name) for node in right.graph.node) == sorted(before)
    assert sum("corrected" in tensor.name for tensor in right.graph.initializer) == len(LAYERS)
    assert not any("corrected" in tensor.name for tensor in narrow.graph.initializer)


@pytest.mark.parametrize("kind", [WatchedNetwork, CpuNetwork])
def test_what_is_pooled_for_the_heads_gets_its_mean_back(kind: type[WatchedNetwork]) -> None:
    exact = named(layered(heads=True))
    narrow = coarse(exact)
    right = heads_corrected(narrow, exact, SQUARES, run=kind)
    onnx.checker.check_model(in_order(right), full_check=True)
    wanted = means(exact, "pooled")
    assert np.abs(means(narrow, "pooled", kind) - wanted).max() > 1e-3
    np.testing.assert_allclose(means(right, "pooled", kind), wanted, atol=1e-5)
    assert np.allclose(WatchedNetwork(right)(SQUARES[0]).q, WatchedNetwork(narrow)(SQUARES[0]).q)


def test_what_is_pooled_for_a_convolution_is_left_alone() -> None:
    exact = named(layered(heads=True, squeeze=True))
    narrow = coarse(exact)
    right = heads_corrected(narrow, exact, SQUARES)
    added = [node.name for node in right.graph.node if node.op_type == "Add"]
    assert added == ["correct pooled"]
    without = named(layered(squeeze=True))
    assert heads_corrected(coarse(without), without, SQUARES) == coarse(without)
