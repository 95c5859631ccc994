"""benchmarks/reality.py: what it counts, and one sentence, before the work, where it cannot."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import reality


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two grey pictures, of which one has a bright spot; a table that is no picture; a folder."""
    root = tmp_path / "data"
    (root / "stills" / "deeper.png").mkdir(parents=True)
    for n in range(2):
        picture = np.random.default_rng(n).integers(60, 120, (160, 200)).astype(np.uint8)
        picture[60:90, 60:90] += n * 130
        cv2.imwrite(str(root / "stills" / f"{n}.png"), picture)
    (root / "stills" / "notes.csv").write_text("a,b\n")
    return root


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What the script says in the end where it refuses its arguments."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["reality.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            reality.main()
        assert isinstance(done.value.code, str) and "\n" not in done.value.code
        return done.value.code

    return run


def test_it_counts_what_is_outlined(data: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reality, "OUTLINES", 2)  # each takes a phantom
    monkeypatch.setattr(reality, "STAND_INS", 4)
    arguments = [data, "--model", network, "--pattern", "stills/*.png", "--json", tmp_path / "r.json"]
    monkeypatch.setattr(sys, "argv", ["reality.py", *map(str, arguments)])
    reality.main()
    report = json.loads((tmp_path / "r.json").read_text())
    found = report["sources"]["stills/*.png"]
    assert (found["pictures"], found["outlined"], found["no_result"]) == (2, 1, 0)
    assert found["familiar"]["composites"] == 2 and len(report["model_sha256"]) == 64
    made = found["stand_ins"]
    assert 0 < made["composites"] <= reality.STAND_INS and report["lesions"] == 0
    assert made["found"] <= made["composites"] and len(report["appearance"]["solidity"]) == 5


def test_what_cannot_be_measured_is_said_at_once(
    data: Path, network: Path, tmp_path: Path, told: Callable[..., str]
) -> None:
    stills, given = ["--pattern", "stills/*.png"], ["--model", network]
    report = tmp_path / "r.json"
    assert "no model at" in told(data, *stills, "--model", tmp_path / "gone.onnx", "--json", report)
    assert "notes.csv" in told(data, *given, "--pattern", "stills/*.csv", "--json", report)
    assert "holds no file clips/*.mp4; give the folder" in told(data, *given, "--pattern", "clips/*.mp4")
    assert "holds no file clips/telemed" in told(tmp_path / "gone", *given)
    for pattern in (f"{data}/stills/*.png", ""):
        assert "is not relative to" in told(data, *given, "--pattern", pattern)
    assert "there is no folder" in told(data, *given, *stills, "--json", tmp_path / "no" / "r.json")
    assert "is a folder" in told(data, *given, *stills, "--json", data)
    assert "belongs to" in told(data, *given, *stills, "--json", network)
    assert "precision" in told(data, *given, *stills, "--precision", "fp7", "--json", report)
    assert not report.exists() and network.stat().st_size > 100
