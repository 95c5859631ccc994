"""The Q/DQ network: what is written into it, and what giving layers back to fp32 leaves of it."""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper
from support.int8_network import LAYERS, layered, several

pytest.importorskip("onnxruntime", reason="onnxruntime comes with the extra 'build'")

from smartca.calibration.int8.network import CpuNetwork, WatchedNetwork
from smartca.calibration.int8.quantise import convolutions, loosened, named, quantised
from smartca.calibration.int8.ranges import ranges, spreads
from smartca.engine import EngineError
from smartca.engine.cpu.capabilities import quick_int8
from smartca.engine.onnx_graph import in_order, layer_counts

SQUARES = [shown.square for shown in several(range(6))]


@pytest.fixture(scope="module")
def exact() -> ModelProto:
    return named(layered())


@pytest.fixture(scope="module")
def half_ranges(exact: ModelProto) -> dict[str, float]:
    inputs = [node.input[0] for node in convolutions(exact)]
    return ranges(spreads(WatchedNetwork(exact, inputs).watch(SQUARES)), "minmax")


@pytest.fixture(scope="module")
def narrow(exact: ModelProto, half_ranges: dict[str, float]) -> ModelProto:
    return quantised(exact, half_ranges)


def constants(model: ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def makers(model: ModelProto) -> dict[str, onnx.NodeProto]:
    return {tensor: node for node in model.graph.node for tensor in node.output}


def names(model: ModelProto, *layers: str) -> set[str]:
    """Of the convolutions with these layers' weights."""
    return {node.name for node in convolutions(model) if node.input[1].split(".")[1] in layers}


def largest_change(one: ModelProto, other: ModelProto) -> float:
    pairs = zip(WatchedNetwork(one).answers(SQUARES), WatchedNetwork(other).answers(SQUARES), strict=True)
    return max(float(np.abs(mine.q - its.q).max()) for mine, its in pairs)


def test_normalisation_is_merged_and_nodes_are_named() -> None:
    model = layered()
    parts = {"scale": [1.5, 0.7], "shift": [0.1, 0.0], "mean": [0.2, 0.3], "variance": [0.5, 2.0]}
    values = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in parts.items()]
    model.graph.initializer.extend(values)
    model.graph.node[0].output[0] = "raw"
    model.graph.node.insert(1, helper.make_node("BatchNormalization", ["raw", *parts], ["stem sum"]))
    merged = named(model)
    assert Counter(node.op_type for node in merged.graph.node) == {"Conv": 4, "Relu": 3, "Sigmoid": 1}
    assert len({node.name for node in merged.graph.node}) == 8
    assert len(model.graph.node) == 9  # the given one is left as it was
    assert largest_change(model, merged) < 1e-5


def test_the_range_of_an_input_is_what_was_seen_there(half_ranges: dict[str, float], exact: ModelProto) -> None:
    assert len(half_ranges) == len(LAYERS)
    assert half_ranges["image"] == pytest.approx(max(square.max() for square in SQUARES) / 255)
    for node in convolutions(exact):
        seen = max(
            np.abs(tensors[node.input[0]]).max() for tensors in WatchedNetwork(exact, [node.input[0]]).watch(SQUARES)
        )
        assert half_ranges[node.input[0]] == seen


def test_signed_symmetric_and_weights_by_channel(
    narrow: ModelProto, exact: ModelProto, half_ranges: dict[str, float]
) -> None:
    values, made = constants(narrow), makers(narrow)
    before = constants(exact)
    old = {node.name: node for node in exact.graph.node}
    for node in [node for node in narrow.graph.node if node.op_type == "Conv"]:
        taken, weight = (made[node.input[place]] for place in (0, 1))
        assert (taken.op_type, weight.op_type) == ("DequantizeLinear", "DequantizeLinear")
        scale, zero = values[taken.input[1]], values[taken.input[2]]
        assert (zero.dtype, zero.shape, int(zero)) == (np.int8, (), 0)
        assert float(scale) == pytest.approx(half_ranges[old[node.name].input[0]] / 127, rel=0.01)
        exact_weight = before[old[node.name].input[1]]
        bytes_, scales, zeros = (values[name] for name in weight.input)
        assert bytes_.dtype == np.int8 and not zeros.any()
        assert scales.shape == (exact_weight.shape[0],)  # one for each output channel
        difference = np.abs(bytes_ * scales[:, None, None, None] - exact_weight)
        assert (difference <= scales[:, None, None, None] * 0.51).all()
        assert node.input[2] not in made and values[node.input[2]].dtype == np.float32  # the bias


def test_it_is_valid_and_nothing_else_is_narrow(narrow: ModelProto) -> None:
    onnx.checker.check_model(in_order(narrow), full_check=True)
    kinds = layer_counts(narrow)
    assert kinds["Conv", "int8"] == len(LAYERS)
    assert ("Relu", "int8") not in kinds and ("Sigmoid", "int8") not in kinds
    written = [node.op_type for node in narrow.graph.node if node.op_type == "QuantizeLinear"]
    assert len(written) == len(LAYERS)  # the inputs; weights are stored as bytes


def test_it_answers_nearly_the_same(narrow: ModelProto, exact: ModelProto) -> None:
    pairs = list(zip(WatchedNetwork(exact).answers(SQUARES), WatchedNetwork(narrow).answers(SQUARES), strict=True))
    assert all(((one.q >= 0.5) == (other.q >= 0.5)).mean() > 0.98 for one, other in pairs)
    assert largest_change(exact, narrow) > 1e-4


def test_layers_given_back_are_exact_again(narrow: ModelProto, exact: ModelProto) -> None:
    everything = loosened(narrow, exact, names(exact, *LAYERS))
    assert {node.op_type for node in everything.graph.node} == {"Conv", "Relu", "Sigmoid"}
    assert largest_change(everything, exact) == 0.0
    assert loosened(narrow, exact, set()) == narrow
    some = loosened(narrow, exact, names(exact, "body", "head"))
    onnx.checker.check_model(in_order(some), full_check=True)
    assert layer_counts(some)["Conv", "int8"] == layer_counts(some)["Conv", "fp32"] == 2
    assert sum(node.op_type == "QuantizeLinear" for node in some.graph.node) == 2
    unread = set(constants(some)) - {tensor for node in some.graph.node for tensor in node.input}
    assert not unread


@pytest.mark.skipif(not quick_int8(), reason="without 8-bit dot products OpenVINO's sums of bytes overflow")
def test_openvino_reads_it_as_onnxruntime_does(narrow: ModelProto) -> None:
    """But for unsigned bytes, which are finer, where nothing is negative."""
    pairs = zip(WatchedNetwork(narrow).answers(SQUARES), CpuNetwork(narrow).answers(SQUARES), strict=True)
    assert all(((one.q >= 0.5) == (other.q >= 0.5)).mean() > 0.98 for one, other in pairs)


@pytest.mark.parametrize("kind", [WatchedNetwork, CpuNetwork])
def test_inner_tensors_are_in_sight_and_the_answer_stays(kind: type[WatchedNetwork], exact: ModelProto) -> None:
    model = named(layered(heads=True))
    network = kind(model, ["stem", "pooled"])
    (tensors,) = network.watch(SQUARES[:1])
    assert {name: values.shape for name, values in tensors.items()} == {"stem": (1, 2, 64, 64), "pooled": (1, 2)}
    (answer,) = network.answers(SQUARES[:1])
    assert answer.q.shape == (64, 64)
    assert answer.tear == pytest.approx(1 / (1 + np.exp(-5 * tensors["pooled"][0, 0])), abs=1e-4)
    assert answer.strange == pytest.approx(1 / (1 + np.exp(-0.5 * tensors["pooled"][0, 1])), abs=1e-4)


@pytest.mark.parametrize("kind", [WatchedNetwork, CpuNetwork])
def test_a_network_that_cannot_run_is_one_sentence(kind: type[WatchedNetwork]) -> None:
    model = layered()
    model.graph.node[0].op_type = "Convolve"
    with pytest.raises(EngineError, match="cannot run the network") as error:
        kind(model)
    assert "\n" not in str(error.value)


def test_without_onnxruntime_the_sentence_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"pip install 'smartca\[build\]'"):
        WatchedNetwork(layered())
