"""The INT8 network in the box: believed only by its build sheet, sound as ONNX, and chosen where it is quick."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from smartca.engine import SHIPPED_MODEL, EngineError, open_runner
from smartca.engine.cpu.ready_int8 import chosen, place, quick_int8, why_not
from smartca.engine.paths import sheet_path
from smartca.engine.plan import load_sheet
from smartca.files import sha256

READY = place(SHIPPED_MODEL)


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A copy of the model with all that stands beside it."""
    for file in (SHIPPED_MODEL, SHIPPED_MODEL.with_suffix(".json"), READY, READY.with_suffix(".json")):
        shutil.copy(file, tmp_path)
    shutil.copy(sheet_path(READY), tmp_path)
    return tmp_path / SHIPPED_MODEL.name


def test_it_is_of_the_shipped_weights_and_passed_the_gate() -> None:
    told = load_sheet(READY)
    assert why_not(SHIPPED_MODEL) is None
    assert told.plan.onnx_sha256 == sha256(SHIPPED_MODEL)
    assert told.gate and told.gate["accepted"] and "/" not in told.model


def test_it_is_chosen_where_it_is_quick_and_where_it_is_asked_for() -> None:
    with open_runner(SHIPPED_MODEL, "int8", 1) as runner:
        assert runner.info.precision == "int8"
        assert runner.point().model_sha256 == sha256(READY)
    assert chosen(SHIPPED_MODEL, "auto") == (READY if quick_int8() else SHIPPED_MODEL)
    assert chosen(SHIPPED_MODEL, "fp32") == SHIPPED_MODEL


def test_a_model_trained_anew_never_runs_the_old_int8(box: Path) -> None:
    box.write_bytes(box.read_bytes() + b"\x00")
    assert chosen(box, "auto") == box
    with pytest.raises(EngineError, match="smartca build"):
        chosen(box, "int8")


def test_an_exchanged_int8_file_is_left_alone(box: Path) -> None:
    place(box).write_bytes(place(box).read_bytes() + b"\x00")
    assert chosen(box, "auto") == box


def test_its_nodes_are_in_order_and_can_be_put_so() -> None:
    onnx = pytest.importorskip("onnx", reason="onnx comes with the extra 'build'")
    from smartca.engine.onnx_graph import in_order

    network = onnx.load(READY)
    onnx.checker.check_model(network)
    backwards = list(network.graph.node)[::-1]
    del network.graph.node[:]
    network.graph.node.extend(backwards)
    with pytest.raises(onnx.checker.ValidationError):
        onnx.checker.check_model(network)
    onnx.checker.check_model(in_order(network))
