"""From pictures to a judged INT8 network: the whole way, on a network small enough for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from support.int8_network import LAYERS, SIZE, layered, several

pytest.importorskip("onnxruntime", reason="onnxruntime comes with the extra 'build'")

from onnx import ModelProto
from smartca.calibration.int8.find import ASKING_EXACT, find
from smartca.calibration.int8.findings import Int8Findings, Material
from smartca.calibration.int8.gate import Limits
from smartca.calibration.int8.network import WatchedNetwork
from smartca.calibration.int8.picture_choice import CalibrationPicture
from smartca.calibration.int8.ranges import METHODS
from smartca.engine import EngineError, OperatingPoint
from smartca.engine.cpu.capabilities import quick_int8
from smartca.engine.onnx_graph import layer_counts, read_network

NARROW_HERE = quick_int8()  # without 8-bit dot products sums of bytes overflow, and the gate gives layers back to fp32
BLACK = [CalibrationPicture(np.zeros((SIZE, SIZE), np.uint8))] * 10
GATE = several(range(100, 108))


def material(calibrate: Sequence[CalibrationPicture], gate: Sequence[CalibrationPicture] = GATE) -> Material:
    return Material(calibrate, gate, "these", "those")


def found_for(
    model: ModelProto, pictures: Material, on_cpu: bool = True, point: OperatingPoint | None = None
) -> Int8Findings:
    data = model.SerializeToString()
    return find(data, "layered.onnx", pictures, point or OperatingPoint(), lambda *_: None, on_cpu)


@pytest.mark.parametrize("on_cpu", [True, False])
def test_a_sound_calibration_passes_with_all_layers(on_cpu: bool) -> None:
    found = found_for(layered(heads=True), material(several(range(30))), on_cpu)
    found.require()
    assert found.verdict.accepted
    assert found.method in METHODS and set(found.methods) == set(METHODS)
    assert found.methods[found.method] == min(found.methods.values())
    made = read_network(found.network, "made")
    onnx.checker.check_model(made, full_check=True)
    assert layer_counts(made)["Conv", "int8"] == found.narrow_layers == len(LAYERS) - len(found.kept)
    scores = found.scores
    assert scores["data"] == "those"
    if NARROW_HERE or not on_cpu:
        assert found.kept == [] and scores["kept_in_fp32"] is None
        assert scores["layers_in_int8"] == "4 of 4 convolutions"
    assert str(scores["judged_by"]).startswith("openvino" if on_cpu else "onnxruntime")
    assert scores["judged_on_target"] is on_cpu
    assert [scores[f"{name}_allowed"] for name in ("dice", "worst", "recall")] == [-0.005, -0.05, -0.01]
    assert found.exact[0].strange == pytest.approx(found.narrow[0].strange, abs=0.01)


def test_the_layer_that_cannot_be_narrow_stays_in_fp32_and_no_other() -> None:
    found = found_for(layered(loud=1000), material(several(range(12))), on_cpu=NARROW_HERE)
    assert [group.split(".")[0] for group in found.kept] == ["body"]
    assert found.narrow_layers == len(LAYERS) - 1
    assert found.verdict.accepted
    kinds = layer_counts(read_network(found.network, "made"))
    assert (kinds["Conv", "int8"], kinds["Conv", "fp32"]) == (3, 1)


@pytest.mark.parametrize("on_cpu", [True, False])
def test_black_pictures_are_refused(on_cpu: bool) -> None:
    found = found_for(layered(loud=20, heads=True), material(BLACK), on_cpu)
    assert not found.verdict.accepted
    with pytest.raises(EngineError, match=r"^the gate refuses this INT8 engine \(8 frames of those\): .*--calibrate"):
        found.require()


def test_a_black_gate_proves_nothing() -> None:
    """And that is found before the search for ranges begins."""
    heard: list[str] = []
    data, pictures = layered().SerializeToString(), material(several(range(6)), [*GATE[:2], *BLACK])
    with pytest.raises(EngineError, match="of 12 frames of those fp32 outlines something on 2, and 3 are needed"):
        find(data, "layered.onnx", pictures, OperatingPoint(), lambda phase, *_: heard.append(phase))
    assert set(heard) == {ASKING_EXACT}


def test_the_operating_point_decides_what_is_outlined() -> None:
    """With a threshold that the network never reaches, nothing is outlined and so nothing proved."""
    pictures = material(several(range(6)))
    with pytest.raises(EngineError, match="fp32 outlines something on none"):
        found_for(layered(), pictures, point=OperatingPoint(min_area=SIZE * SIZE))


def test_tuning_pictures_are_not_those_of_the_ranges() -> None:
    """With 80 pictures 64 lend their ranges; the other 16 choose, and not one of the gate's."""
    asked: list[str] = []
    kind, pictures = WatchedNetwork.__call__, several(range(80))
    inside = {shown.square.tobytes(): number for number, shown in enumerate(pictures)}

    def watching(self: WatchedNetwork, square: np.ndarray) -> object:
        asked.append(str(inside.get(square.tobytes(), "another")))
        return kind(self, square)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WatchedNetwork, "__call__", watching)
        found = found_for(layered(), material(pictures), on_cpu=False)
    taken = {str(number) for number in found.chosen.chosen}
    assert len(taken) == 64
    count = len(GATE)
    assert set(asked[:count]) == set(asked[-count:]) == {"another"}  # in fp32 before the search, in INT8 after it
    assert len(set(asked[count:-count])) == 16
    assert not taken.intersection(asked)


def test_the_same_pictures_make_the_same_network() -> None:
    pictures = material(several(range(9)))
    first, second = (found_for(layered(), pictures) for _ in range(2))
    assert first.network == second.network
    assert first.scores == second.scores


def test_each_phase_is_told_to_its_end() -> None:
    told: list[tuple[str, int, int]] = []
    find(
        layered().SerializeToString(),
        "layered.onnx",
        material(several(range(6))),
        OperatingPoint(),
        lambda *step: told.append(step),
        on_cpu=NARROW_HERE,
    )
    phases = list(dict.fromkeys(phase for phase, _, _ in told))
    assert len(phases) == 6
    for phase in phases:
        steps = [(done, total) for name, done, total in told if name == phase]
        assert steps[-1][0] == steps[-1][1] and steps == sorted(steps)
    tries = [done for phase, done, _ in told if phase == "giving sensitive layers back to fp32"]
    assert tries == [0, len(LAYERS)]  # the first was good enough


def test_limits_are_those_that_are_given() -> None:
    data = layered().SerializeToString()
    pictures = material(several(range(6)))
    found = find(data, "m", pictures, OperatingPoint(), lambda *_: None, limits=Limits(agreement=-0.1))
    assert [words.split(" (Dice)")[0] for words in found.verdict.refusals] == ["agreement with fp32's outlines"]


def test_what_cannot_be_done_is_one_sentence() -> None:
    pictures = several(range(3))
    with pytest.raises(ValueError, match="--calibrate"):
        found_for(layered(), material([]))
    with pytest.raises(ValueError, match="give it some with --gate"):
        found_for(layered(), material(pictures, []))
    model = layered()
    for node in [node for node in model.graph.node if node.op_type == "Conv"]:
        node.op_type = "Identity"
        del node.input[1:], node.attribute[:]
    with pytest.raises(EngineError, match="no convolution to compute in INT8"):
        found_for(model, material(pictures))
