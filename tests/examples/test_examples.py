"""The examples as they are given: each is run, without arguments, as a newcomer runs it."""

from __future__ import annotations

import csv
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import pytest
from support.paths import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SAYS = {
    "segment_array": "outlined, confidence 0.",
    "clip_to_table": "outlines.csv: every frame of phantom 90001",
    "own_source": "cine.npy 4: ",
    "own_display": "10 frames were shown",
    "own_network": "two-layers.onnx answers as best.pt does",
    "recording_to_masks": "masks: 10 masks, and times.csv",
}


def test_every_example_is_run_here() -> None:
    assert {path.stem for path in EXAMPLES} == set(SAYS)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_is_short_and_says_what_it_does(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 60
    assert "Prints " in text and f"python examples/{path.name}" in text


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path) -> None:
    if path.stem == "own_network" and find_spec("torch") is None:
        pytest.skip("torch comes with the extra 'train'")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)], capture_output=True, text=True, cwd=tmp_path, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert SAYS[path.stem] in done.stdout
    if path.stem == "clip_to_table":
        with (tmp_path / "outlines.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 20 and {row["state"] for row in rows} == {"tear outlined"}
        assert all(float(row["area_mm2"]) < int(row["area_px"]) for row in rows)
    if path.stem == "recording_to_masks":
        with (tmp_path / "masks" / "times.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [int(row["frame"]) for row in rows] == list(range(10))
        white = cv2.imread(str(tmp_path / "masks" / "00003.png"), cv2.IMREAD_GRAYSCALE)
        assert white is not None and bool((white == 255).any()) == (rows[3]["state"] == "tear outlined")
