"""`smartca build --triton`: from the command line to a repository, and one sentence where that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from smartca.commands.build import build as command
from smartca.commands.building.build_triton import Repository
from smartca.engine import EngineError, OperatingPoint, plan
from smartca.engine import operating_point as points
from smartca.engine.machine import gpus, library_version
from smartca.engine.triton.config import POINT, PRECISION, SHA256
from smartca.engine.triton.config import model_version as number_of
from support.networks import brightness_network, int8_beside, quantised
from test_repository import built, digest_of, read

GPU = bool(gpus() and library_version("tensorrt"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's cache, empty and ours alone."""
    monkeypatch.setattr("smartca.engine.building.build.cache_folder", lambda: tmp_path / "cache")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("options", "backend", "precision"),
    [
        (["--backend", "onnxruntime"], "onnxruntime", "fp32"),
        (["--backend", "openvino"], "openvino", "fp32"),
        (["--backend", "openvino", "--precision", "bf16"], "openvino", "bf16"),
        pytest.param([], "onnxruntime", "fp32", marks=pytest.mark.skipif(GPU, reason="TensorRT would build")),
    ],
)
def test_the_model_itself_with_its_point_is_what_is_served(
    options: list[str], backend: str, precision: str, tmp_path: Path
) -> None:
    network = brightness_network(tmp_path / "more.onnx", tells_more=True)
    points.save_point(OperatingPoint(digest_of(network), 0.25, fitted_on="pictures"), network)
    done = call(network, "--triton", tmp_path / "models", "--name", "shoulder", *options)
    folder = tmp_path / "models" / "shoulder"
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == str(folder)
    assert "triton://127.0.0.1:8001/shoulder" in done.output
    config = read(folder)
    assert (config.name, config.backend) == ("shoulder", backend)
    assert config.parameters[PRECISION].string_value == precision
    assert config.parameters[SHA256].string_value == digest_of(network)
    assert '"fitted_on":"pictures"' in config.parameters[POINT].string_value
    assert (folder / number_of(digest_of(network)) / "model.onnx").read_bytes() == network.read_bytes()


def test_the_servers_options_arrive(network: Path, tmp_path: Path) -> None:
    options = ["--backend", "onnxruntime", "--instances", 3, "--strict-queue", "--server-gpu"]
    done = call(network, "--triton", tmp_path / "models", *options)
    assert done.exit_code == 0, done.output
    config = read(tmp_path / "models" / "smartca")
    (group,) = config.instance_group
    assert (group.count, group.Kind.Name(group.kind)) == (3, "KIND_GPU")
    assert config.dynamic_batching.priority_levels == 2


def test_ranges_of_its_own_are_served_as_int8(network: Path, tmp_path: Path) -> None:
    model = quantised(tmp_path / "int8.onnx", network)
    repository = ["--triton", tmp_path / "models", "--backend", "onnxruntime"]
    assert "use --precision int8" in str(call(model, *repository).exception)
    done = call(model, *repository, "--precision", "int8")
    assert done.exit_code == 0, done.output
    assert read(tmp_path / "models" / "smartca").parameters[PRECISION].string_value == "int8"


def test_the_int8_network_beside_the_model_is_what_is_served(network: Path, tmp_path: Path) -> None:
    int8 = int8_beside(network)
    plan.record_gate(int8, {"accepted": True, "agreement": 1.0, "frames": 3, "data": "these"})
    for backend in ("onnxruntime", "openvino"):
        done = call(network, "--triton", tmp_path / backend, "--backend", backend, "--precision", "int8")
        assert done.exit_code == 0, (done.output, done.exception)
        folder = tmp_path / backend / "smartca"
        assert (folder / number_of(digest_of(int8)) / "model.onnx").read_bytes() == int8.read_bytes()
        assert read(folder).parameters[PRECISION].string_value == "int8"
        assert f"--model-repository={tmp_path / backend} --grpc-address=127.0.0.1 --allow-http=false" in done.output


def test_a_tensorrt_engine_goes_under_the_name_of_its_weights(network: Path, tmp_path: Path) -> None:
    engine = built(network, tmp_path / "fast.engine", most=4)
    moved = network.rename(tmp_path / "moved.onnx")
    folder = Repository(tmp_path / "models", instances=2).write(engine, moved, "tensorrt", "fp16", 4, False)
    config = read(folder)
    assert (config.backend, config.max_batch_size) == ("tensorrt", 4)
    assert config.parameters[SHA256].string_value == digest_of(moved)
    assert (folder / number_of(digest_of(moved)) / "model.plan").read_bytes() == engine.read_bytes()
    with pytest.raises(EngineError, match="not of tensorrt-rtx"):
        other = built(moved, tmp_path / "rtx.engine", backend="tensorrt-rtx")
        Repository(tmp_path / "models").write(other, moved, "tensorrt", "fp16", 1, False)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--name", "x"], "--name belongs to --triton"),
        (["--instances", "2"], "--instances belongs to --triton"),
        (["--strict-queue"], "--strict-queue belongs to --triton"),
        (["--server-gpu"], "--server-gpu belongs to --triton"),
        (["--backend", "onnxruntime"], "onnxruntime belongs to --triton"),
        (["--triton", "models", "--name", "a/b"], "cannot be a model's name"),
        (["--triton", "models", "--instances", "0"], "--instances"),
        (["--triton", "file"], "is a file"),
        (["--triton", ".", "--name", "taken"], "no folder of a Triton model"),
        (["--triton", "models", "--backend", "tensorrt-rtx"], "not of TensorRT-RTX"),
        (["--triton", "models", "--backend", "openvino", "--precision", "fp16"], "not in fp16"),
        (["--triton", "models", "--backend", "onnxruntime", "--precision", "bf16"], "not in bf16"),
        (["--triton", "models", "--backend", "onnxruntime", "--batch", "4"], "one picture at a time"),
        (["--triton", "models", "--backend", "onnxruntime", "--target", "sm86"], "fits any machine"),
        (["--triton", "models", "--backend", "openvino", "--server-gpu"], "runs on CPUs only"),
        (["--triton", "models", "--backend", "openvino", "-o", "x.onnx"], "two places"),
        (["--triton", "models", "--backend", "openvino", "--precision", "int8"], "holds no INT8 ranges"),
        (["--triton", "models", "--backend", "openvino", "--size", "512"], "learnt at 64 x 64"),
        pytest.param(
            ["--triton", "models", "--backend", "tensorrt"],
            "tensorrt is not installed",
            marks=pytest.mark.skipif(library_version("tensorrt") is not None, reason="TensorRT is installed"),
        ),
    ],
)
def test_misuse_is_one_sentence_and_leaves_nothing(
    options: list[str], says: str, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").touch()
    done = call(network, *options)
    assert done.exit_code != 0
    assert says in done.output + str(done.exception)
    assert not (tmp_path / "models").exists()
    assert not list((tmp_path / "taken").iterdir())
