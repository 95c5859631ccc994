"""Engines side by side, each in a real process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from smartca.cli import main
from smartca.engine import EngineError, open_runner, plan
from smartca.engine.cpu.onnxruntime_runner import INSTALL, OnnxRuntimeRunner
from smartca.engine.machine import gpus, installed, processor
from smartca.evaluation.bench import STARTING, TIMING, race
from smartca.evaluation.bench_worker import Job, Worker
from smartca.evaluation.contenders import Contender, Missing, contenders
from smartca.files import sha256
from support.networks import brightness_network, int8_beside

ORT = pytest.mark.skipif(not installed("onnxruntime"), reason="onnxruntime is not installed")


def silent(phase: str, done: int, total: int) -> None:
    """Nobody watches."""


def pictures(count: int = 3, size: int = 64) -> list[np.ndarray]:
    """Noise with a bright square that wanders: float32 (1, 1, size, size) in 0..1."""
    found = []
    for seed in range(count):
        picture = 0.5 * np.random.default_rng(seed).random((1, 1, size, size), dtype=np.float32)
        picture[0, 0, 8 + seed : 30 + seed, 10:34] = 0.9
        found.append(picture)
    return found


@ORT
def test_every_engine_that_runs_here_is_compared(tmp_path: Path, network: Path) -> None:
    int8_beside(network)
    command = [sys.executable, "-m", "smartca", "bench", str(network), "--rounds", "25", "--threads", "1"]
    done = subprocess.run([*command, "--report", "r.json"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    timings = {(t["backend"].split()[0], t["precision"]): t for t in report["timings"]}
    bf16 = [("openvino", "bf16")] if any("BF16" in name for name in processor().instructions or ()) else []
    cpu = [("openvino", "fp32"), *bf16, ("openvino", "int8"), ("onnxruntime", "fp32"), ("onnxruntime", "int8")]
    assert [name for name in timings if name[0] in ("openvino", "onnxruntime")] == cpu
    first = report["timings"][0]
    assert (first["largest_difference"], first["pixels_that_differ"]) == (0.0, 0.0)
    assert first["model_sha256"] == report["model_sha256"] == sha256(network)
    for timing in report["timings"]:
        assert 0 < timing["p50_ms"] <= timing["p99_ms"]
        assert 0 < timing["open_ms"] < timing["first_answer_ms"]
        assert timing["memory_mb"] is None or 1 < timing["memory_mb"] < 4000
    assert timings["onnxruntime", "fp32"]["largest_difference"] < 1e-4
    assert 1e-4 < timings["openvino", "int8"]["largest_difference"] < 0.5
    assert "int8" in done.stdout
    if not gpus():
        assert {one["backend"] for one in report["missing"]} >= {"tensorrt", "tensorrt-rtx"}
        assert "left out: tensorrt-rtx" in done.stderr


def test_a_given_engine_is_told_by_its_name(capfd: pytest.CaptureFixture[str]) -> None:
    from smartca.commands.bench import _tell
    from smartca.evaluation.bench import Timing

    names = ("shipped-int8.onnx", "folder/mine[1].onnx")
    timings = [Timing("openvino", "int8", name, "ab", 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0) for name in names]
    _tell(timings, [], names[1:])
    told = capfd.readouterr().out
    assert told.count("openvino int8") == 2 and "mine[1].onnx" in told and "shipped" not in told


def test_they_take_turns_and_who_fails_is_told_of(tmp_path: Path, network: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    larger = brightness_network(tmp_path / "larger.onnx", (1, 1, 96, 96))
    heard: list[tuple[str, int, int]] = []
    field = [Contender("openvino", "fp32", str(network))]
    field += [Contender("given", "auto", str(path)) for path in (broken, tmp_path / "absent.onnx", larger)]
    field += [Contender("openvino", "fp32", str(network))]
    timings, missing = race(field, pictures(), 25, 1, lambda *told: heard.append(told))
    assert [timing.engine for timing in timings] == [str(network)] * 2
    assert [timing.pixels_that_differ for timing in timings] == [0.0, 0.0]
    for one, words in zip(missing, ("readable ONNX", "no model at", "takes float32"), strict=True):
        assert words in one.reason
    assert [done for phase, done, _ in heard if phase == TIMING] == [10, 20, 25]
    assert (STARTING, 5, 5) in heard


def test_a_server_takes_part(tmp_path: Path) -> None:
    kserve = pytest.importorskip("kserve", reason="the package tritonclient[grpc] is absent", exc_type=ImportError)
    network = brightness_network(tmp_path / "small.onnx", (1, 1, kserve.SIZE, kserve.SIZE))
    server = kserve.SmallServer(kserve.Behaviour())  # its q is the picture itself
    field = [Contender("openvino", "fp32", str(network)), Contender("given", "auto", server.url)]
    (here, there), missing = race(field, pictures(2, kserve.SIZE), 20, 1, silent)
    server.stop()
    assert missing == []
    assert (there.backend, there.engine, there.model_sha256) == ("triton 2.51.0 identity", server.url, kserve.DIGEST)
    assert there.largest_difference > 0.1 > here.largest_difference


def test_without_the_reference_there_is_nothing_to_compare(tmp_path: Path, network: Path) -> None:
    field = [Contender("openvino", "fp32", str(tmp_path / "absent.onnx")), Contender("openvino", "fp32", str(network))]
    with pytest.raises(EngineError, match="no model at"):
        race(field, pictures(), 20, 1, silent)


def test_an_engine_that_dies_is_an_error_and_no_figure(tmp_path: Path, network: Path) -> None:
    np.save(tmp_path / "pictures.npy", np.stack(pictures()))
    job = Job("openvino", "fp32", str(network), str(tmp_path / "pictures.npy"), 1)
    with Worker(job, tmp_path / "words") as worker:
        assert len(worker.infer(4)) == 4
        assert worker.ready.model_sha256 == sha256(network)
        worker._child.kill()
        with pytest.raises(EngineError, match="ended with code -9"):
            worker.infer(4)


def test_masks_are_those_of_each_operating_point(tmp_path: Path, network: Path) -> None:
    np.save(tmp_path / "pictures.npy", np.stack(pictures()))
    job = Job("openvino", "fp32", str(network), str(tmp_path / "pictures.npy"), 1)
    with Worker(job, tmp_path / "words") as worker:
        worker.answers(tmp_path / "answers.npz")
    found = np.load(tmp_path / "answers.npz")
    with open_runner(network, "fp32", 1) as runner:
        expected = np.stack([runner.infer(picture).q for picture in pictures()])
    assert np.array_equal(found["q"], expected)
    assert np.array_equal(found["masks"], expected >= 0.5)
    assert 0.01 < found["masks"].mean() < 0.9


def gate_missing(network: Path) -> None:
    int8_beside(network, gated=False)


def other_weights(network: Path) -> None:
    int8_beside(network, weights="cd" * 32)


def exchanged(network: Path) -> None:
    engine = int8_beside(network)
    engine.write_bytes(engine.read_bytes() + b" ")


def no_sheet(network: Path) -> None:
    plan.sheet_path(int8_beside(network)).unlink()


def nothing(network: Path) -> None:
    """No file at all."""


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (nothing, "smartca build"),
        (no_sheet, "no build sheet"),
        (gate_missing, "not passed the gate"),
        (other_weights, "other weights"),
        (exchanged, "exchanged"),
    ],
)
def test_int8_is_run_only_where_the_gate_let_these_weights_pass(prepare, words: str, network: Path) -> None:  # type: ignore[no-untyped-def]
    prepare(network)
    found = list(contenders(network, ("openvino",), silent))
    assert found[0] == Contender("openvino", "fp32", str(network))
    assert not [one for one in found if isinstance(one, Contender) and one.precision == "int8"]
    (why,) = [one.reason for one in found if isinstance(one, Missing) and one.precision == "int8"]
    assert words in why


def test_what_is_not_installed_is_named_with_its_cure(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("onnxruntime", "tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, module, None)
    found = list(contenders(network, ("onnxruntime", "tensorrt", "tensorrt-rtx"), silent))
    why = {one.backend: one.reason for one in found if isinstance(one, Missing)}
    assert why == {
        "onnxruntime": INSTALL,
        "tensorrt": "tensorrt is not installed: pip install tensorrt",
        "tensorrt-rtx": "tensorrt-rtx is not installed: pip install tensorrt-rtx",
    }
    with pytest.raises(EngineError, match=r"onnxruntime is not installed: .*pip install"):
        OnnxRuntimeRunner(network)


@ORT
def test_onnx_runtime_keeps_the_contract(tmp_path: Path) -> None:
    network = brightness_network(tmp_path / "more.onnx", tells_more=True)
    with OnnxRuntimeRunner(network, threads=1) as there, open_runner(network, "fp32", 1) as here:
        assert (there.info.input, there.info.model_sha256) == (here.info.input, here.info.model_sha256)
        for picture in pictures():
            mine, its = there.infer(picture), here.infer(picture)
            assert np.allclose(mine.q, its.q, atol=1e-5)
            assert (mine.tear, mine.strange) == pytest.approx((its.tear, its.strange), abs=1e-4)
        with pytest.raises(EngineError, match="takes float32"):
            there.start(np.zeros((1, 1, 8, 8), np.float32))
        with pytest.raises(EngineError, match="start comes before finish"):
            there.finish()
        with pytest.raises(EngineError, match=r"outside 0\.\.1"):
            there.infer(np.full((1, 1, 64, 64), np.nan, np.float32))
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    with pytest.raises(EngineError, match=r"cannot open broken\.onnx"):
        OnnxRuntimeRunner(tmp_path / "broken.onnx")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["missing.onnx"], "no model at"),
        (["fast.engine"], "give it as --engine"),
        (["--engine", "nope.onnx"], "no .onnx file or .engine file at nope.onnx"),
        (["--backend", "abacus"], "abacus"),
        (["--report", "no/such/r.json"], "no folder"),
        (["--rounds", "3"], "rounds"),
    ],
)
def test_one_sentence(arguments: list[str], says: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["bench", *arguments])
    assert done.value.code == 2
    assert says in capfd.readouterr().err
