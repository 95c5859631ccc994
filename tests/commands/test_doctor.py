"""`smartca doctor` tells what is here and what is missing, and changes nothing."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from smartca.commands import doctor
from smartca.commands.doctor import Finding, examine, fit_to_run
from smartca.commands.doctor import doctor as command
from smartca.engine import SHIPPED_MODEL


@pytest.fixture
def findings() -> dict[str, Finding]:
    return {finding.part: finding for finding in examine()}


def test_a_machine_that_runs_smartca_is_found_fit(tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    done = CliRunner().invoke(command, ["--report", str(report)])
    assert done.exit_code == 0, done.output
    told = json.loads(report.read_text())
    assert told["fit_to_run"] is True
    assert {finding["state"] for finding in told["findings"]} <= {"ok", "missing", "note", "broken"}
    assert "shipped model" in done.stdout


def test_every_part_is_looked_at(findings: dict[str, Finding]) -> None:
    wanted = {"smartca", "packages", "openvino", "openvino CPU", "shipped model", "cache", "processor", "onnx"}
    assert wanted | {"tensorrt", "tensorrt-rtx", "gpu"} <= set(findings)
    assert "INT8" in findings["openvino CPU"].words
    assert all(finding.cure for finding in findings.values() if finding.state == "missing")


def test_the_vendors_remark_on_medical_equipment_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = "not designed, authorized, or warranted to be suitable for use in medical"
    assert [wanted in finding.words for finding in examine() if finding.part == "tensorrt-rtx"] == [True]
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    (absent,) = [finding for finding in examine() if finding.part == "tensorrt-rtx"]
    assert (absent.state, absent.cure) == ("missing", "pip install tensorrt-rtx")
    assert wanted in absent.words


@pytest.mark.parametrize(("module", "part"), [("zmq", "pyzmq"), ("cv2", "opencv-python-headless")])
def test_what_run_needs_and_is_missing_makes_it_unfit(module: str, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    findings = examine()
    (missing,) = [finding for finding in findings if finding.part == part]
    assert missing.cure == f"pip install {part}"
    assert not fit_to_run(findings)
    done = CliRunner().invoke(command)
    assert done.exit_code == 1
    assert "will not work" in done.stderr


def test_a_damaged_model_is_found(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    assert [finding.state for finding in doctor._model(model)] == ["broken"]
    shutil.copy(SHIPPED_MODEL, model)
    assert [finding.state for finding in doctor._model(model)] == ["broken"]
    shutil.copy(SHIPPED_MODEL.with_suffix(".json"), tmp_path / "m.json")
    assert [finding.state for finding in doctor._model(model)] == ["ok"]
    model.write_bytes(model.read_bytes()[:-1])
    (broken,) = doctor._model(model)
    assert broken.needed
    assert not fit_to_run([broken])


def test_a_cache_that_cannot_be_written_is_told_and_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(doctor, "user_cache_dir", lambda name: str(tmp_path / "file" / name))
    (found,) = doctor._cache()
    assert found.state == "broken"
    assert fit_to_run([found])


def test_gpus_are_told_with_what_rtx_builds_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "win32":
        pytest.skip("the tool's stand-in is a shell script")
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100, 9.0, 550.54, 81559'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (gpu,) = doctor._gpus()
    assert gpu.words == "NVIDIA H100, sm90, 81559 MB, driver 550.54"
    rtx = pytest.importorskip("tensorrt_rtx")
    assert "leaves out the sm90" in doctor._fits(rtx)
