"""What stands where an engine is to go, or beside it: nobody's file is taken, and what is wrong is found first."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from smartca.engine import EngineError, OperatingPoint
from smartca.engine import operating_point as points
from smartca.engine.building.assembly import Int8Calibration, Options
from smartca.engine.building.build import build_engine
from smartca.files import sha256
from support.networks import quantised
from test_build import RTX, asked, cache, never, silent

__all__ = ["cache"]  # a fixture


@RTX
def test_an_engine_of_the_models_name_keeps_its_own_operating_point(tmp_path: Path, network: Path) -> None:
    kept = points.save_point(OperatingPoint(sha256(network), 0.3, fitted_on="two phantoms"), network)
    before = kept.read_bytes()
    options = Options("tensorrt-rtx", "fp32", ("sm86",), out=network.with_suffix(".engine"))
    engine = build_engine(network, options, silent, tmp_path / "cache")
    assert build_engine(network, options, silent, tmp_path / "cache") == engine
    assert kept.read_bytes() == before
    assert points.point_path(engine).name == f"{engine.name}.point.json"
    assert points.load_point(engine, sha256(engine)).threshold == 0.3
    with pytest.raises(ValueError, match=r"on the \.onnx model that it was built from"):
        points.load_point(engine, "0" * 64)


def test_an_engine_in_the_cache_that_lost_its_operating_point_is_built_again(tmp_path: Path, network: Path) -> None:
    points.save_point(OperatingPoint(sha256(network), 0.3), network)
    engine = build_engine(network, Options("openvino", "fp32"), silent, tmp_path / "cache")
    points.point_path(engine).unlink()
    assert points.point_path(build_engine(network, Options("openvino", "fp32"), silent, tmp_path / "cache")).is_file()


@pytest.mark.parametrize("foreign", ["out.onnx", "out.json", "out.onnx.json"])
def test_files_of_others_are_not_taken(foreign: str, tmp_path: Path, network: Path) -> None:
    other = tmp_path / foreign
    other.write_bytes(network.read_bytes() if foreign == "out.onnx" else b'{"annotations": []}')
    before = other.read_bytes()
    options = Options("openvino", "fp32", out=tmp_path / "out.onnx")
    with pytest.raises(EngineError, match=f"/{foreign} is there already and smartca did not build it"):
        build_engine(network, options, silent, tmp_path / "cache")
    assert other.read_bytes() == before
    assert not (tmp_path / "cache").exists()
    other.unlink()
    build_engine(network, options, silent, tmp_path / "cache")
    build_engine(network, options, silent, tmp_path / "cache")  # over its own
    (tmp_path / "out.onnx").write_bytes(b"exchanged")
    with pytest.raises(EngineError, match="damaged, or another file stands in its place"):
        build_engine(network, options, silent, tmp_path / "cache")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder is known here that nobody may write into")
def test_a_place_that_cannot_be_written_is_found_before_the_work(tmp_path: Path, network: Path) -> None:
    options = Options("openvino", "int8", calibration=Int8Calibration("x", "0", never), out=Path("/proc/x.onnx"))
    with pytest.raises(EngineError, match=r"/proc/x\.onnx cannot be written there"):
        build_engine(network, options, silent, tmp_path / "cache")


def test_the_folder_of_an_engine_is_made(tmp_path: Path, network: Path) -> None:
    out = tmp_path / "new" / "deep" / "out.onnx"
    assert build_engine(network, Options("openvino", "fp32", out=out), silent, tmp_path / "cache") == out
    assert out.is_file()


def test_a_missing_library_is_found_before_the_ranges(
    tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    options = Options("openvino", "int8", calibration=Int8Calibration("x", "0", never))
    with pytest.raises(ImportError, match=r"needs the package onnx: uv sync --extra build"):
        build_engine(network, options, silent, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_truncated_model_beside_its_operating_point(tmp_path: Path, network: Path) -> None:
    points.save_point(OperatingPoint(sha256(network), 0.3), network)
    network.write_bytes(network.read_bytes()[:-200])
    with pytest.raises(EngineError, match="cut short or is no ONNX file"):
        build_engine(network, Options("openvino"), silent, tmp_path / "cache")


def test_the_command_says_that_no_gate_has_judged(cache: Path, tmp_path: Path, network: Path) -> None:
    model = quantised(tmp_path / "int8.onnx", network)
    done = asked(model, "--backend", "openvino", "--precision", "int8")
    assert done.exit_code == 0, done.output
    assert "no gate has judged this INT8 network" in done.stderr
    assert "no gate" not in asked(network, "--backend", "openvino", "--precision", "fp32").stderr
