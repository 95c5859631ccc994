"""The layer that suffers from INT8 is found, and the fewest layers possible are spared."""

from __future__ import annotations

import numpy as np
import pytest
from support.int8_network import LAYERS, layered, several

pytest.importorskip("onnxruntime", reason="onnxruntime comes with the extra 'build'")

from onnx import ModelProto
from smartca.calibration.int8.network import WatchedNetwork
from smartca.calibration.int8.quantise import convolutions, named, quantised
from smartca.calibration.int8.ranges import ranges, spreads
from smartca.calibration.int8.sensitivity import Harm, difference, groups, measure
from smartca.engine import Answer, OperatingPoint

SQUARES = [shown.square for shown in several(range(5))]
POINT = OperatingPoint()


def harms(model: ModelProto) -> list[Harm]:
    exact = named(model)
    inputs = [node.input[0] for node in convolutions(exact)]
    narrow = quantised(exact, ranges(spreads(WatchedNetwork(exact, inputs).watch(SQUARES)), "minmax"))
    told: list[tuple[int, int]] = []
    found = measure(
        narrow, exact, SQUARES, WatchedNetwork(exact).answers(SQUARES), POINT, lambda *step: told.append(step)
    )
    assert told == [(done, len(LAYERS)) for done in range(len(LAYERS) + 1)]
    return found


def test_the_layer_whose_input_is_uneven_is_found() -> None:
    worst, *others = harms(layered(loud=1000))
    assert worst.group.startswith("body")
    assert worst.disagreement > 0.5
    assert len(worst.layers) == 1
    assert all(harm.disagreement < 0.05 for harm in others)


def test_where_all_is_even_none_stands_out() -> None:
    found = harms(layered())
    assert all(harm.disagreement < 0.05 for harm in found)
    assert found == sorted(found, key=lambda harm: (-harm.disagreement, -harm.change))
    assert all(harm.change > 0 for harm in found)


def with_weights(*names: str) -> ModelProto:
    """Convolutions in a row, their weights by these names: enough to group them."""
    model = layered()
    kernel = model.graph.initializer[0]
    del model.graph.node[:], model.graph.initializer[:]
    for number, name in enumerate(names):
        tensor = model.graph.initializer.add()
        tensor.CopyFrom(kernel)
        tensor.name = name
        model.graph.node.add(
            op_type="Conv", name=f"conv {number}", input=[f"x{number}", name], output=[f"x{number + 1}"]
        )
    return model


def test_groups_are_parts_of_the_network() -> None:
    weights = [f"network.encoder.stages.{stage}.{block}.conv.weight" for stage in range(6) for block in range(8)]
    found = groups(with_weights(*weights, "network.decoder.up.0.0.conv.weight"))
    assert list(found) == [*(f"encoder.stages.{stage}" for stage in range(6)), "decoder.up.0"]
    assert found["encoder.stages.1"] == [f"conv {number}" for number in range(8, 16)]


def test_names_that_tell_nothing_are_grouped_by_place() -> None:
    found = groups(with_weights(*(f"onnx::Conv_{number}" for number in range(40))))
    assert len(found) == 12
    assert [name for layers in found.values() for name in layers] == [f"conv {number}" for number in range(40)]
    assert list(groups(with_weights("one"))) == ["layers 1 of 1"]


def test_a_difference_by_hand() -> None:
    one, other = np.zeros((4, 4), np.float32), np.zeros((4, 4), np.float32)
    one[0, :3], other[0, 1:4] = 0.9, 0.9  # three pixels each, two of them shared
    changed, mean = difference([Answer(one)], [Answer(other)], POINT)
    assert changed == pytest.approx(2 / 6)
    assert mean == pytest.approx(2 * 0.9 / 16)
    assert difference([Answer(one)], [Answer(one)], POINT) == (0.0, 0.0)
    nothing = Answer(np.zeros((4, 4), np.float32))
    assert difference([nothing], [nothing], POINT) == (0.0, 0.0)
