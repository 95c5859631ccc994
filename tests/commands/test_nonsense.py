"""A network that answers nonsense: said, counted, and no success."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from smartca.cli import main
from smartca.engine import EngineError
from smartca.engine.segmenter import FLAT_ZEROS, Segmenter
from support.labelled_forms import as_masks
from support.networks import brightness_network

ENDS: dict[str, tuple[list[tuple[str, list[str]]], str]] = {
    "above 1": ([("Add", ["image", "image"]), ("Add", ["n0", "image"]), ("Add", ["n1", "n1"])], "outside 0..1"),
    "below 0": ([("Sub", ["zero", "image"])], "outside 0..1"),
    "not a number": ([("Sub", ["tenth", "image"]), ("Sqrt", ["n0"])], "outside 0..1"),
    "one number": ([("Mul", ["image", "zero"]), ("Add", ["n0", "tenth"])], "same number everywhere"),
}


def called(capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """Exit code, and all that was said."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    out, err = capfd.readouterr()
    return int(ended.value.code or 0), out + err


def answering(path: Path, nodes: list[tuple[str, list[str]]]) -> Path:
    """A network of these operators, one after the other."""
    made = [helper.make_node(kind, inputs, [f"n{n}"]) for n, (kind, inputs) in enumerate(nodes)]
    made.append(helper.make_node("Identity", [f"n{len(nodes) - 1}"], ["q"]))
    constants = [helper.make_tensor(n, TensorProto.FLOAT, [], [v]) for n, v in (("zero", 0.0), ("tenth", 0.1))]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 64, 64]) for name in ("image", "q")]
    graph = helper.make_graph(made, "nonsense", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize("kind", ENDS)
def test_evaluate_says_no_result(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    nodes, why = ENDS[kind]
    model, form, report = answering(tmp_path / "n.onnx", nodes), as_masks(tmp_path / "data"), tmp_path / "r.json"
    code, told = called(
        capfd, "evaluate", "--data", form.data, *form.choice, "--split", "all", "--model", model, "--report", report
    )
    assert code == 1, told
    assert "12 frames, no result" in told and "with an outline" not in told
    assert "12 of 12 frames have no result" in told and why in told
    found = json.loads(report.read_text())
    assert found["outlined_share"] is None and sum(found["no_result"].values()) == 12


def test_a_run_without_one_result_is_no_success(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model, form, report = (
        answering(tmp_path / "n.onnx", ENDS["above 1"][0]),
        as_masks(tmp_path / "data"),
        tmp_path / "r",
    )
    code, told = called(
        capfd, "run", form.data / "images", "--headless", "--no-browser", "--model", model, "--report", report
    )
    assert code == 1, told
    assert "12 of 12 frames have no result (12 times: the network answered with numbers outside 0..1" in told
    assert sum(json.loads(report.read_text())["no_result"].values()) == 12


def test_dark_pictures_are_told_and_are_no_fault_of_the_network(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for n in range(3):
        cv2.imwrite(str(tmp_path / f"{n}.png"), np.zeros((64, 64), np.uint8))
    network = brightness_network(tmp_path / "bright.onnx")
    code, told = called(capfd, "evaluate", "--data", tmp_path, "--model", network)
    assert code == 1 and "3 frames, no result" in told and "the picture is dark" in told


def test_zeros_are_nonsense_only_when_there_is_never_anything_else(tmp_path: Path) -> None:
    from smartca.engine import OperatingPoint, open_runner

    model = answering(tmp_path / "n.onnx", [("Mul", ["image", "zero"])])
    picture = np.full((64, 64), 90, np.uint8)
    with Segmenter(open_runner(model), OperatingPoint()) as segmenter:
        for _ in range(FLAT_ZEROS - 1):
            assert not segmenter(picture).mask.any()
        with pytest.raises(EngineError, match="same number everywhere"):
            segmenter(picture)
