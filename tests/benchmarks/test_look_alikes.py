"""benchmarks/look_alikes.py: which outlines on whole tendons it counts, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import look_alikes
import pytest


def test_a_network_that_outlines_what_is_bright_is_counted(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "r.json"
    monkeypatch.setattr(sys, "argv", ["x", "--model", str(network), "--seeds", "6", "--json", str(report)])
    look_alikes.main()
    found = json.loads(report.read_text())
    shares = found["look_alikes"].values()
    assert found["recipe"] == "usual" and sum(each["frames"] for each in shares) == 2 * look_alikes.FRAMES
    assert sum(each["outlined"] for each in shares) > 0


def test_a_model_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "--model", str(tmp_path / "no.onnx")])
    with pytest.raises(SystemExit, match="no model at"):
        look_alikes.main()
