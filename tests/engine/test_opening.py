"""Which engine: a model, what `smartca build` made of it, or a server, by one option in every command."""

from __future__ import annotations

import json
from pathlib import Path

import click
import msgspec
import numpy as np
import pytest
from smartca.cli import main
from smartca.commands.options import model_arguments, model_options
from smartca.engine import SHIPPED_MODEL, Engine, EngineError, OperatingPoint, Remote, engine_at, open_runner
from smartca.engine import plan as plans
from smartca.engine.building.assembly import Options
from smartca.engine.building.build import build_engine
from smartca.engine.cpu.openvino_runner import most_exact
from smartca.files import sha256
from support.networks import brightness_network, quantised


def parsed(*words: str) -> Engine:
    """What the option makes of these words."""
    found: list[Engine] = []

    @click.command()
    @model_options
    def command(engine: Engine, **_: object) -> None:
        found.append(engine)

    command.main(list(words), standalone_mode=False)
    return found[0]


def built(folder: Path, network: Path, precision: str) -> Path:
    """An OpenVINO engine with its build sheet."""
    out = folder / f"{precision}.onnx"
    return build_engine(network, Options("openvino", precision, out=out), lambda *_: None, folder / "cache")


@pytest.mark.parametrize("url", ["triton://host:8001/smartca", "tritons://[::1]:8001/smartca?ca=a.pem"])
def test_an_address_stays_as_it_was_typed(url: str) -> None:
    engine = engine_at(url)
    assert engine == Remote(url)
    assert str(engine) == engine.name == url
    assert parsed("--engine", url) == engine
    assert parsed(*model_arguments(engine, 0.5, "auto", 2)) == engine


def test_one_option_of_two_names() -> None:
    assert parsed() == SHIPPED_MODEL
    assert parsed("--model", "a.onnx") == parsed("--engine", "a.onnx") == Path("a.onnx")
    with pytest.raises(click.BadParameter, match="give one engine"):
        parsed("--model", "a.onnx", "--engine", "b.engine")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_int8_ranges_of_its_own_are_not_called_another_precision(precision: str, tmp_path: Path, network: Path) -> None:
    plain = quantised(tmp_path / "narrow.onnx", network)
    with pytest.raises(EngineError, match=rf"narrow.onnx brings INT8 ranges .* not in {precision}; leave --precision"):
        open_runner(plain, precision, 1)
    for asked in ("auto", most_exact(plain)):
        with open_runner(plain, asked, 1) as runner:
            assert runner.info.precision == "int8"
    assert most_exact(network) == most_exact(tmp_path / "absent.onnx") == "fp32"
    engine = build_engine(
        plain, Options("openvino", "int8", out=tmp_path / "own.onnx"), lambda *_: None, tmp_path / "cache"
    )
    assert most_exact(engine) == "fp32"  # which its build sheet refuses
    with open_runner(engine, "int8", 1) as runner:
        assert runner.info.precision == "int8"


def test_a_built_engine_runs_in_the_precision_it_was_built_in(tmp_path: Path, network: Path) -> None:
    engine = built(tmp_path, network, "fp16")
    with open_runner(engine) as runner:
        assert runner.info.precision == "fp16"
        assert runner.info.model_sha256 == sha256(engine)
    with open_runner(engine, "fp16") as runner:
        assert runner.info.precision == "fp16"
    with pytest.raises(EngineError, match=r"computes in fp16: leave --precision out"):
        open_runner(engine, "bf16")


def test_a_built_engine_that_no_longer_fits_does_not_run(tmp_path: Path, network: Path) -> None:
    engine = built(tmp_path, network, "fp32")
    sheet = plans.load_sheet(engine)
    other = msgspec.structs.replace(sheet.plan, smartca_version="0.0.1")
    plans.save_sheet(engine, msgspec.structs.replace(sheet, plan=other))
    with pytest.raises(EngineError, match=r"smartca's version was 0\.0\.1.*`smartca build"):
        open_runner(engine)
    plans.save_sheet(engine, sheet)
    open_runner(engine).close()
    brightness_network(network, (1, 1, 32, 32))  # a retrained model at the old path
    with pytest.raises(EngineError, match=r"weights.*`smartca build"):
        open_runner(engine)


def test_what_is_no_engine_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no model at"):
        open_runner(tmp_path / "missing.engine")
    (tmp_path / "alone.engine").write_bytes(b"vtrt")
    with pytest.raises(EngineError, match="no build sheet"):
        open_runner(tmp_path / "alone.engine")
    with pytest.raises(EngineError, match="unencrypted"):
        open_runner(Remote("triton://elsewhere.example:8001/smartca"))


def test_a_server_is_an_engine_with_an_operating_point_of_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kserve = pytest.importorskip("kserve", reason="the package tritonclient[grpc] is absent", exc_type=ImportError)
    import cv2

    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((64, 64), 90 + 50 * number, np.uint8))
    server = kserve.SmallServer(kserve.Behaviour())
    server.its.config = kserve.describe(point=OperatingPoint(model_sha256=kserve.DIGEST, threshold=0.7))
    try:
        report = tmp_path / "r.json"
        data = ("--data", str(tmp_path), "--crop", "0,0,64,64", "--report", str(report))
        with pytest.raises(SystemExit) as done:
            main(["evaluate", "--engine", server.url, *data])
        assert not done.value.code, capfd.readouterr().err
        found = json.loads(report.read_text())
        assert found["engine"]["backend"].startswith("triton")
        assert found["engine"]["model_sha256"] == kserve.DIGEST
        assert found["threshold"] == 0.7
        assert found["states"]["tear_outlined"] == 1  # of greys 90, 140 and 190 of 255
        with pytest.raises(EngineError, match="computes in fp32"):
            open_runner(Remote(server.url), "bf16")
    finally:
        server.stop()
