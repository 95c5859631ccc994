"""Engines really built: TensorRT-RTX builds for GPUs that are not there, OpenVINO's run here."""

from __future__ import annotations

import subprocess
import sys
import types
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import numpy_helper
from smartca.calibration.int8.data import CalibrationData
from smartca.commands.build import build as command
from smartca.commands.build import calibration_of
from smartca.commands.progress import Phases
from smartca.engine import EngineError, OperatingPoint, open_runner
from smartca.engine import operating_point as points
from smartca.engine import plan as plans
from smartca.engine.building.assembly import Asked, Int8Calibration, Options
from smartca.engine.building.build import build_engine, fastest, usual_precision
from smartca.engine.building.cache import WAITING
from smartca.engine.contract import Progress
from smartca.engine.machine import gpus, installed
from smartca.engine.nvidia.compile import compile_network
from smartca.engine.onnx_graph import contract, is_quantised, read_network
from smartca.files import sha256
from support.int8_network import clip, several
from support.networks import quantised

RTX = pytest.mark.skipif(not installed("tensorrt_rtx"), reason="tensorrt-rtx is not installed")
TARGETS = ("sm86", "sm89")
OLD_AND_NEW = ("sm75", "sm86")


def silent(phase: str, done: int, total: int) -> None:
    """Nobody watches."""


def never(asked: Asked, progress: Progress) -> tuple[bytes, plans.Gate]:
    """No ranges are taken where none can be used."""
    raise AssertionError("pictures were asked for")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, empty and ours alone."""
    monkeypatch.setattr("smartca.engine.building.build.cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@RTX
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8"])
def test_engines_are_built_without_a_gpu(precision: str, tmp_path: Path, network: Path) -> None:
    model = quantised(tmp_path / "int8.onnx", network) if precision == "int8" else network
    options = Options(precision=precision, targets=("sm89", "sm86"))
    phases: Counter[str] = Counter()
    engine = build_engine(model, options, lambda phase, done, total: phases.update([phase]), tmp_path / "a")
    data = engine.read_bytes()
    assert data[:4] == b"vtrt"
    assert int.from_bytes(data[16:24], "little") == len(data)
    assert phases["Building engine"] > 2
    assert build_engine(model, options, silent, tmp_path / "b").read_bytes() == data
    sheet = plans.load_sheet(engine)
    assert sheet.plan.targets == TARGETS
    assert sheet.plan.onnx_sha256 == sha256(model)
    assert sheet.input.shape == (1, 1, 64, 64)
    assert sheet.layers["Conv"] == {precision: 1}
    assert sheet.layers["Sigmoid"] == {"fp32": 1}
    assert {gpu.target for gpu in gpus()} - set(TARGETS) or plans.misfit(engine) is None


@RTX
def test_the_same_again_needs_no_builder(tmp_path: Path, network: Path) -> None:
    def again(wanted: str) -> str:
        code = (
            "import sys\nfrom pathlib import Path\nfrom smartca.engine.building.build import build_engine as build\n"
            "from smartca.engine.building.assembly import Options\n"
            "options = Options(precision='fp32', targets=('sm86',))\n"
            "told = []\n"
            "print(build(Path(sys.argv[1]), options, lambda *a: told.append(a), Path(sys.argv[2])))\n"
            f"assert bool(told) == {wanted}\n"
            f"assert bool({{'tensorrt_rtx', 'onnx', 'openvino'}} & sys.modules.keys()) == {wanted}\n"
        )
        arguments = [sys.executable, "-c", code, str(network), str(tmp_path / "cache")]
        return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout

    assert again("True") == again("False")


@RTX
def test_another_model_at_the_old_path_is_built_anew(tmp_path: Path, network: Path) -> None:
    options = Options(precision="fp32", targets=("sm86",), out=tmp_path / "x.engine")
    first = build_engine(network, options, silent, tmp_path / "cache").read_bytes()
    model = onnx.load(str(network))
    model.graph.initializer[2].CopyFrom(numpy_helper.from_array(np.array(-20, np.float32), "bias"))
    onnx.save(model, str(network))
    assert "the model's weights" in str(plans.misfit(tmp_path / "x.engine"))
    assert build_engine(network, options, silent, tmp_path / "cache").read_bytes() != first
    assert gpus() or plans.misfit(tmp_path / "x.engine") is None


@RTX
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (Options(targets=("sm90",)), "not for sm90"),
        (Options(targets=("sm61", "sm86")), "not for sm61"),
        (Options(precision="bf16", targets=OLD_AND_NEW), "sm75 cannot compute in bf16"),
        (Options(targets=("sm86",), workspace_mb=1), "workspace of 1 MB is too little"),
        (Options(precision="int8", targets=("sm86",)), "--calibrate DATA"),
        (Options(targets=("sm86",), size=128), "learnt at 64 x 64"),
        (Options(targets=("current", "sm86")), "stands alone"),
        (Options(backend="tensorrt", targets=("sm86",)), "GPU it runs on"),
        (Options(backend="openvino", batch=2), "one picture at a time"),
        (Options(backend="openvino", targets=("sm86",)), "NVIDIA"),
        (Options(backend="coreml"), "no backend"),
        (Options(precision="int3"), "no precision"),
        (Options(calibration=Int8Calibration("x", "0", never)), "--calibrate is for"),
        (Options(out=Path("x.plan")), "must end in .engine"),
        (Options(out=Path("/dev/null/x.engine")), "folder"),
    ],
)
def test_what_cannot_be_is_one_sentence(options: Options, says: str, tmp_path: Path, network: Path) -> None:
    with pytest.raises(EngineError) as error:
        build_engine(network, options, silent, tmp_path / "cache")
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300
    assert [path for path in tmp_path.glob("cache/*") if path.suffix != ".lock"] == []


@RTX
def test_ranges_that_are_not_symmetric(tmp_path: Path, network: Path) -> None:
    model = quantised(tmp_path / "int8.onnx", network, zero=3)
    with pytest.raises(EngineError, match="symmetric INT8 ranges"):
        build_engine(model, Options(precision="int8", targets=("sm86",)), silent, tmp_path / "cache")


def test_weights_in_another_file_are_refused(tmp_path: Path, network: Path) -> None:
    model = onnx.load(str(network))
    kernel = model.graph.initializer[0]
    kernel.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(kernel), "w"))
    onnx.save(model, str(tmp_path / "two.onnx"), save_as_external_data=True, size_threshold=0)
    with pytest.raises(EngineError, match="weights in other files"):
        build_engine(tmp_path / "two.onnx", Options("openvino", "fp32"), silent, tmp_path / "cache")


@RTX
@pytest.mark.parametrize("cut", [0, 1, 200, -200])
def test_a_truncated_model_is_one_sentence(cut: int, tmp_path: Path, network: Path) -> None:
    short = tmp_path / "short.onnx"
    short.write_bytes(network.read_bytes()[:cut])
    with pytest.raises(EngineError, match="cut short or is no ONNX file"):
        build_engine(short, Options(targets=("sm86",)), silent, tmp_path / "cache")


def test_a_missing_library_or_gpu_names_the_cure(
    tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    for backend in ("tensorrt", "tensorrt-rtx"):
        with pytest.raises(EngineError, match=f"pip install {backend}$"):
            build_engine(network, Options(backend=backend), silent, tmp_path / "cache")
    with pytest.raises(EngineError, match="no \\.onnx file"):
        build_engine(tmp_path / "gone.onnx", Options(), silent, tmp_path / "cache")


@RTX
def test_for_the_gpu_here_where_there_is_none(tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="no NVIDIA GPU"):
        build_engine(network, Options(targets=("current",)), silent, tmp_path / "cache")
    engine = build_engine(network, Options(), silent, tmp_path / "cache")
    assert plans.load_sheet(engine).plan.targets == ("sm80", "sm86", "sm89", "sm120")


@RTX
@pytest.mark.parametrize("error", [KeyboardInterrupt, EngineError("enough")])
def test_a_build_can_be_ended(error: BaseException, tmp_path: Path, network: Path) -> None:
    def stop(phase: str, done: int, total: int) -> None:
        if phase == "Building engine" and done == 1:
            raise error

    with pytest.raises((KeyboardInterrupt, EngineError)):
        build_engine(network, Options(targets=("sm86",)), stop, tmp_path / "cache")
    assert [path for path in tmp_path.glob("cache/*") if path.suffix != ".lock"] == []


@RTX
@pytest.mark.filterwarnings("ignore:.*Timing cache:DeprecationWarning")
def test_tensorrt_goes_the_same_way(tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT itself needs a GPU even to build; its branch is taken with RTX' builder under its name."""
    import tensorrt_rtx

    names = {name: getattr(tensorrt_rtx, name) for name in dir(tensorrt_rtx) if name != "ComputeCapability"}
    library = types.ModuleType("tensorrt")
    vars(library).update(names)
    monkeypatch.setitem(sys.modules, "tensorrt", library)
    made = plans.EnginePlan(
        onnx_sha256="", backend="tensorrt", backend_version="11", precision="fp32", targets=("current",)
    )
    data = network.read_bytes()
    timings = tmp_path / "timings.cache"
    first = compile_network(data, contract(read_network(data, "m"), "m"), made, silent, timings)
    assert first[:4] == b"vtrt"
    assert timings.is_file()
    assert compile_network(data, contract(read_network(data, "m"), "m"), made, silent, timings)[:4] == b"vtrt"


@RTX
def test_many_pictures_at_once(tmp_path: Path, network: Path) -> None:
    one = build_engine(network, Options(precision="fp32", targets=("sm86",)), silent, tmp_path / "cache")
    eight = build_engine(network, Options(precision="fp32", targets=("sm86",), batch=8), silent, tmp_path / "cache")
    assert plans.load_sheet(eight).plan.batch == (1, 8, 8)
    assert plans.load_sheet(eight).input.shape == (-1, 1, 64, 64)
    assert one.read_bytes() != eight.read_bytes()


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8"])
def test_openvino_engines_open_and_outline(precision: str, tmp_path: Path, network: Path) -> None:
    points.save_point(OperatingPoint(sha256(network), 0.3, fitted_on="two phantoms"), network)
    model = network
    if precision == "int8":
        model = quantised(tmp_path / "int8.onnx", network)
        points.save_point(OperatingPoint(sha256(model), 0.3, fitted_on="two phantoms"), model)
    options = Options("openvino", precision, out=tmp_path / "engine.onnx")
    engine = build_engine(model, options, silent, tmp_path / "cache")
    assert plans.misfit(engine) is None
    assert (engine.read_bytes() == model.read_bytes()) == (precision != "fp16")
    picture = np.random.default_rng(0).random((1, 1, 64, 64), dtype=np.float32)
    with open_runner(network, "fp32") as exact, open_runner(engine) as runner:
        assert runner.info.precision == precision
        assert np.abs(exact.infer(picture).q - runner.infer(picture).q).max() < 0.06
        point = runner.point()
    assert point.threshold == 0.3
    assert point.fitted_on == f"two phantoms; taken over from {model.name}"


def test_an_engine_never_takes_the_models_place(tmp_path: Path, network: Path) -> None:
    before = network.read_bytes()
    with pytest.raises(EngineError, match="model itself"):
        build_engine(network, Options("openvino", "fp16", out=network), silent, tmp_path / "cache")
    assert network.read_bytes() == before


def test_an_operating_point_of_other_weights_is_refused(tmp_path: Path, network: Path) -> None:
    points.save_point(OperatingPoint("0" * 64, 0.3), network)
    with pytest.raises(ValueError, match="other weights"):
        build_engine(network, Options("openvino"), silent, tmp_path / "cache")


def test_ranges_from_pictures(tmp_path: Path, network: Path) -> None:
    pytest.importorskip("onnxruntime")
    pictures = clip(tmp_path / "pictures", [shown.square for shown in several(range(12))])
    data = CalibrationData(str(pictures), crop="0,0,64,64")
    options = Options("openvino", "int8", calibration=calibration_of(data))
    engine = build_engine(network, options, silent, tmp_path / "cache")
    assert is_quantised(onnx.load(str(engine)))
    sheet = plans.load_sheet(engine)
    assert sheet.calibrated_on == str(pictures)
    assert sheet.calibration_options == ("--crop", "0,0,64,64")
    assert sheet.plan.calibration == data.digest()
    assert sheet.gate is not None and sheet.gate["accepted"] is True
    told: list[str] = []
    assert build_engine(network, options, lambda phase, done, total: told.append(phase), tmp_path / "cache") == engine
    assert not told


def asked(*arguments: object) -> Result:
    """`smartca build` in this process."""
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@RTX
def test_the_command_builds_finds_and_inspects(cache: Path, network: Path) -> None:
    wanted = [network, "--precision", "fp32", "--target", "SM86,sm89", "--batch", "1..4"]
    first = asked(*wanted)
    assert first.exit_code == 0, first.output
    assert "built in" in first.stderr
    engine = Path(first.stdout.strip())
    assert engine.is_relative_to(cache)
    again = asked(*wanted, "--inspect")
    assert "was in the cache" in again.stderr
    assert "Sigmoid" in again.stdout
    assert gpus() or "not known here" in again.stdout
    assert again.stdout.splitlines()[-1] == str(engine)
    assert plans.load_sheet(engine).plan.batch == (1, 4, 4)


def test_a_bare_command_chooses_for_this_machine(
    cache: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi
    done = asked(network)
    assert done.exit_code == 0, done.output
    assert Path(done.stdout.strip()).suffix == ".onnx"
    assert fastest(("sm86",)) == "tensorrt-rtx"
    assert (usual_precision("tensorrt", False), usual_precision("openvino", True)) == ("fp16", "int8")
    assert usual_precision("openvino", False) in ("bf16", "fp32")


def test_the_command_inspects_what_openvino_executes(cache: Path, network: Path) -> None:
    done = asked(network, "--backend", "openvino", "--precision", "fp32", "--inspect")
    assert done.exit_code == 0, done.output
    assert "layer after fusion" in done.stdout
    assert "f32" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--batch", "2..8"], "1..8"),
        (["--batch", "0"], "not understood"),
        (["--target", "rtx3060"], "names no GPU"),
        (["--precision", "fp8"], "fp8"),
    ],
)
def test_options_that_are_not_understood(arguments: list[str], says: str, network: Path) -> None:
    done = asked(network, *arguments)
    assert done.exit_code == 2
    assert says in done.output


def test_other_pictures_have_another_digest(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"one")
    folder = str(tmp_path)
    first = CalibrationData(folder).digest()
    assert CalibrationData(folder).digest() == first
    others = [
        CalibrationData(folder, crop="0,0,9,9"),
        CalibrationData(folder, mask_value=2),
        CalibrationData(folder, gate=folder),
    ]
    assert len({first, *(data.digest() for data in others)}) == 4
    (tmp_path / "a.png").write_bytes(b"two")
    assert CalibrationData(folder).digest() != first
    assert CalibrationData("phantom", gate=folder).digest() != CalibrationData("phantom").digest()
    assert CalibrationData("phantom:seeds=1..2").digest() != CalibrationData("phantom:seeds=1..3").digest()


def test_bars_come_and_go() -> None:
    with Phases() as phases:
        phases(WAITING, 0, 1)
        assert phases.names() == [WAITING]
        phases(WAITING, 1, 1)
        assert not phases.built
        for done in range(3):
            phases("outer", done, 3)
            phases("inner", done, 2)
        assert phases.names() == ["outer"]
        assert phases.built
