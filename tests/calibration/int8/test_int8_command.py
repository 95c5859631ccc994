"""INT8 by the commands that people type: made, refused, and used with --precision int8."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from smartca.cli import main
from smartca.engine import SHIPPED_MODEL, EngineError, open_runner
from smartca.engine.cpu.capabilities import quick_int8
from smartca.engine.cpu.ready_int8 import place
from smartca.engine.onnx_graph import is_quantised
from smartca.engine.paths import sheet_path
from smartca.engine.plan import load_sheet
from smartca.files import sha256
from support.int8_network import SIZE, clip, layered, saved
from test_data import labelled

pytest.importorskip("onnxruntime", reason="onnxruntime comes with the extra 'build'")

SPLITS = ["train"] * 6 + ["val"] * 4 + ["test"] * 3
ON_CPU = ("--backend", "openvino", "--precision", "int8")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, empty and ours alone."""
    monkeypatch.setattr("smartca.engine.building.build.cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Labelled pictures that the small network outlines well."""
    return labelled(tmp_path / "mine", SPLITS)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return saved(tmp_path, layered())


def black(folder: Path) -> Path:
    return clip(folder, [np.zeros((SIZE, SIZE), np.uint8)] * 10)


def smartca(*words: object) -> int:
    """Run a command in this process; its exit code."""
    with pytest.raises(SystemExit) as done:
        main([str(word) for word in words])
    return int(done.value.code or 0)


def is_one_sentence_and_nothing_is_left(told: str, cache: Path, out: Path) -> None:
    assert told.startswith("smartca: ") and told.count("\n") == 1 and "Traceback" not in told
    assert not [path for path in cache.rglob("*") if path.suffix != ".lock"]
    assert not [path for path in out.parent.iterdir() if path.name.startswith((out.name, f".{out.name}"))]
    assert not out.with_suffix(".json").exists()


@pytest.mark.timeout(300)  # 29 s on two busy cores
def test_ten_black_frames_are_refused_for_the_shipped_model(
    tmp_path: Path, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bad.onnx"
    gate = ("--gate", "phantom:seeds=86000..86003,frames=2")
    assert smartca("build", SHIPPED_MODEL, *ON_CPU, "--calibrate", black(tmp_path / "black"), *gate, "-o", out) == 2
    told = capfd.readouterr()
    assert told.out == ""
    assert "the gate refuses this INT8 engine (8 frames of phantom:seeds=86000..86003,frames=2)" in told.err
    (lost,) = re.findall(r"pooled Dice falls by (\d\.\d+) \(at most 0\.005\)", told.err)
    assert float(lost) > 0.02
    is_one_sentence_and_nothing_is_left(told.err, cache, out)


def test_it_is_made_judged_and_used(
    model: Path, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert smartca("build", model, *ON_CPU, "--calibrate", folder, "--mask-value", 1, "-o", place(model)) == 0
    told = capfd.readouterr()
    assert told.out.strip() == str(place(model))
    assert "the gate let it pass: pooled Dice" in told.err and f"4 frames of {folder}, split val" in told.err
    sheet = load_sheet(place(model))
    assert sheet.gate is not None and sheet.gate["accepted"] is True
    assert sheet.plan.onnx_sha256 == sha256(model)
    assert sheet.layers["Conv"]["int8"] == 4 if quick_int8() else sum(sheet.layers["Conv"].values()) == 4
    assert is_quantised(onnx.load(str(place(model))))
    for precision, file in (("int8", place(model)), ("fp32", model)):
        report = tmp_path / f"{precision}.json"
        wanted = ("--precision", precision, "--data", folder, "--mask-value", 1, "--report", report)
        assert smartca("evaluate", "--engine", model, *wanted) == 0
        found = json.loads(report.read_text())
        assert (found["engine"]["precision"], found["engine"]["model_sha256"]) == (precision, sha256(file))
        assert found["truth"]["dice_pooled"] > 0.9


def test_where_there_is_none_the_sentence_holds_the_command_that_makes_it(
    model: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wanted = ("evaluate", "--engine", model, "--precision", "int8", "--data", folder, "--mask-value", 1)
    assert smartca(*wanted) == 2
    told = capfd.readouterr().err
    (line,) = [line for line in told.splitlines() if line.startswith("smartca: ")]
    assert f"there is no {place(model).name} beside {model.name}" in line
    (command,) = re.findall(r"`smartca (build .*)` makes one", line)
    assert smartca(*shlex.split(command.replace("DATA", str(folder))), "--mask-value", 1) == 0
    assert smartca(*wanted) == 0


@pytest.mark.parametrize("command", ["run", "serve"])
def test_the_live_commands_say_the_same(command: str, model: Path, folder: Path, tmp_path: Path) -> None:
    source = [str(folder / "images"), "--headless"] if command == "run" else []
    places = [] if command == "run" else ["--bind", f"ipc://{tmp_path}/in", "--publish", f"ipc://{tmp_path}/out"]
    words = [sys.executable, "-m", "smartca", command, *source, "--engine", str(model), "--precision", "int8", *places]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode != 0
    assert f"there is no {place(model).name} beside {model.name}; `smartca build {model}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_live_run_computes_in_int8(model: Path, folder: Path, tmp_path: Path) -> None:
    assert smartca("build", model, *ON_CPU, "--calibrate", folder, "--mask-value", 1, "-o", place(model)) == 0
    words = ["run", str(folder / "images"), "--headless", "--crop", f"0,0,{SIZE},{SIZE}", "--report", "r.json"]
    words += ["--engine", str(model), "--precision", "int8"]
    done = subprocess.run([sys.executable, "-m", "smartca", *words], capture_output=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["engine"]["precision"], report["engine"]["model_sha256"]) == ("int8", sha256(place(model)))
    assert report["states"]["tear_outlined"] == len(SPLITS)


def test_a_refused_engine_leaves_the_old_one_in_place(
    model: Path, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small.onnx"
    dark = black(tmp_path / "black")
    assert smartca("build", model, *ON_CPU, "--calibrate", dark, "-o", out) == 2
    assert "fp32 outlines something on none" in capfd.readouterr().err  # the gate's pictures are black as well
    assert not out.exists()
    assert smartca("build", model, *ON_CPU, "--calibrate", folder, "-o", out) == 0
    before = out.read_bytes(), sheet_path(out).read_bytes()
    assert smartca("build", model, *ON_CPU, "--calibrate", dark, "-o", out) == 2
    assert (out.read_bytes(), sheet_path(out).read_bytes()) == before


def test_other_pictures_make_it_anew(model: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ("build", model, *ON_CPU, "--calibrate", folder, "--mask-value", 1)
    for change, how in ((None, "built in"), (None, "was in the cache"), (60, "built in")):
        if change is not None:
            cv2.imwrite(str(folder / "images" / "0.png"), np.full((SIZE, SIZE), change, np.uint8))
        assert smartca(*words) == 0
        assert how in capfd.readouterr().err


def test_one_that_did_not_pass_is_not_run(model: Path, folder: Path) -> None:
    assert smartca("build", model, *ON_CPU, "--calibrate", folder, "--mask-value", 1, "-o", place(model)) == 0
    path = sheet_path(place(model))
    path.write_text(path.read_text().replace('"accepted": true', '"accepted": false'))
    with pytest.raises(EngineError, match=r"has not passed the gate; `smartca build"):
        open_runner(model, "int8", 1)


def test_a_gate_without_pictures_for_ranges(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert smartca("build", model, "--gate", "phantom") == 2
    assert "go with --calibrate" in capfd.readouterr().err
