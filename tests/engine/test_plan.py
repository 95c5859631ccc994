"""An engine's plan, key, build sheet and place in the cache."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from smartca.engine import EngineError, OperatingPoint
from smartca.engine import operating_point as points
from smartca.engine.building.cache import EngineCache, deliver
from smartca.engine.machine import Gpu, gpus, library_version, processor, read_gpus
from smartca.engine.paths import sheet_path
from smartca.engine.plan import (
    WORDS,
    BuildSheet,
    EnginePlan,
    Input,
    differences,
    here,
    load_sheet,
    misfit,
    record_gate,
    require_fit,
    save_sheet,
)
from smartca.files import sha256
from support.paths import import_path
from support.waiting import PATIENCE_S, wait_until

ANOTHER = {
    "onnx_sha256": "b" * 64,
    "backend": "tensorrt-rtx",
    "backend_version": "0.0.1",
    "precision": "int8",
    "batch": (1, 8, 8),
    "targets": ("sm86", "sm89"),
    "gpu": "NVIDIA GeForce RTX 3060",
    "compute_capability": "sm86",
    "driver": "550.54",
    "builder_flags": ("STRONGLY_TYPED",),
    "workspace_mb": 64,
    "calibration": "c" * 64,
    "quantiser": "onnxruntime 1.0",
    "operating_point": "d" * 64,
    "normalisation": "something else",
    "smartca_version": "0.0.1",
    "recipe": 0,
}
PLAN = EnginePlan(onnx_sha256="a" * 64, backend="openvino", backend_version="1", precision="fp32")


def put_engine(folder: Path, model: Path, made: EnginePlan = PLAN, name: str = "x.onnx") -> Path:
    """An engine's file with its build sheet; what is in it does not matter here."""
    folder.mkdir(exist_ok=True)
    engine = folder / name
    engine.write_bytes(b"an engine")
    ends = Input("image", (1, 1, 64, 64))
    save_sheet(
        engine,
        BuildSheet(plan=made, engine_sha256=sha256(engine), model=str(model), input=ends, outputs=("q",), layers={}),
    )
    return engine


def as_here(model: Path, **fields: object) -> EnginePlan:
    """A plan for `model` that would be made the same way here."""
    from smartca import __version__

    known = {"onnx_sha256": sha256(model), "smartca_version": __version__}
    return msgspec.structs.replace(PLAN, **{**known, **fields})


def test_the_table_holds_every_field() -> None:
    assert set(ANOTHER) == set(EnginePlan.__struct_fields__) == set(WORDS)


@pytest.mark.parametrize("field", ANOTHER)
def test_every_field_changes_the_key(field: str, tmp_path: Path) -> None:
    other = msgspec.structs.replace(PLAN, **{field: ANOTHER[field]})
    assert other.key() != PLAN.key()
    assert differences(PLAN, other) == [field]
    cache = EngineCache(tmp_path)
    cache.add(PLAN, lambda folder: put_engine(folder, Path("m.onnx")))
    assert cache.find(PLAN) is not None
    assert cache.find(other) is None


def test_one_plan_has_one_key_whatever_the_model_is_called() -> None:
    assert msgspec.json.decode(msgspec.json.encode(PLAN), type=EnginePlan).key() == PLAN.key()


def test_an_engine_that_fits_is_let_through(tmp_path: Path, network: Path) -> None:
    engine = put_engine(tmp_path / "e", network, as_here(network))
    assert misfit(engine) is None
    assert require_fit(engine).model == str(network)
    network.unlink()  # an engine may travel without its model
    assert misfit(engine) is None


@pytest.mark.parametrize("field", ["smartca_version", "recipe", "normalisation", "onnx_sha256", "operating_point"])
def test_the_field_that_differs_is_named(field: str, tmp_path: Path, network: Path) -> None:
    engine = put_engine(tmp_path / "e", network, as_here(network, **{field: ANOTHER[field]}))
    said = misfit(engine)
    assert said is not None
    assert WORDS[field] in said
    assert "\n" not in said
    command = shlex.split(said.split("`")[1])
    assert command[:3] == ["smartca", "build", str(network)]
    assert command[-2:] == ["-o", str(engine)]
    with pytest.raises(EngineError, match="does not fit"):
        require_fit(engine)


def test_a_retrained_model_cannot_run_old_weights(tmp_path: Path, network: Path) -> None:
    engine = put_engine(tmp_path / "e", network, as_here(network))
    network.write_bytes(network.read_bytes() + b"\x00")
    assert "the model's weights" in str(misfit(engine))


def test_a_model_calibrated_anew_asks_for_a_new_engine(tmp_path: Path, network: Path) -> None:
    engine = put_engine(tmp_path / "e", network, as_here(network))
    points.save_point(OperatingPoint(sha256(network), 0.3), network)
    assert "operating point" in str(misfit(engine))


def test_other_versions_of_the_library_are_refused(tmp_path: Path, network: Path) -> None:
    version = library_version("tensorrt-rtx")
    if version is None:
        pytest.skip("tensorrt-rtx is not installed")
    made = {"backend": "tensorrt-rtx", "targets": ("sm86",)}
    engine = put_engine(tmp_path / "e", network, as_here(network, **made, backend_version=version), "x.engine")
    before = put_engine(tmp_path / "f", network, as_here(network, **made, backend_version="1.0"), "x.engine")
    there = gpus()
    assert (misfit(engine) is None) == (not there or "sm86" in [gpu.target for gpu in there])
    assert f"the library's version was 1.0, now it is {version}" in str(misfit(before))


def test_a_missing_library_names_the_cure(tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    engine = put_engine(tmp_path / "e", network, as_here(network, backend="tensorrt-rtx"), "x.engine")
    assert "pip install tensorrt-rtx" in str(misfit(engine))


@pytest.mark.parametrize(
    ("was", "found", "field"),
    [
        (("sm86", "A", "550"), ("A", "sm86", "550"), None),
        (("sm86", "A", "550"), ("A", "sm86", "560"), "driver"),
        (("sm86", "A", "550"), ("B", "sm86", "550"), "gpu"),
        (("sm86", "A", "550"), ("A", "sm89", "550"), "compute_capability"),
    ],
)
def test_another_gpu_is_another_engine(
    was: tuple[str, str, str], found: tuple[str, str, str], field: str | None, tmp_path: Path, network: Path
) -> None:
    made = as_here(
        network, targets=("current",), compute_capability=was[0], gpu=was[1], driver=was[2], backend="tensorrt"
    )
    sheet = load_sheet(put_engine(tmp_path / "e", network, made))
    now = here(sheet, [Gpu(*found, 8000)], made.smartca_version, made.backend_version)
    assert differences(made, now) == ([] if field is None else [field])


def test_a_gpu_that_the_engine_was_not_built_for(tmp_path: Path, network: Path) -> None:
    made = as_here(network, targets=("sm86", "sm89"), backend="tensorrt-rtx")
    sheet = load_sheet(put_engine(tmp_path / "e", network, made))
    for target, fits in (("sm89", True), ("sm120", False)):
        now = here(sheet, [Gpu("a GPU", target, "550", 8000)], made.smartca_version, made.backend_version)
        assert (differences(made, now) == []) == fits


def test_damage_is_seen(tmp_path: Path, network: Path) -> None:
    engine = put_engine(tmp_path / "e", network, as_here(network))
    engine.write_bytes(b"an engin3")
    assert "damaged or was exchanged" in str(misfit(engine))
    sheet_path(engine).write_bytes(sheet_path(engine).read_bytes()[:-30])
    assert "damaged or of another version" in str(misfit(engine))
    sheet_path(engine).unlink()
    assert "no build sheet" in str(misfit(engine))


def test_the_gate_is_recorded(tmp_path: Path, network: Path) -> None:
    engine = put_engine(tmp_path / "e", network, as_here(network))
    record_gate(engine, {"dice": 0.8, "accepted": True, "data": "phantom"})
    assert load_sheet(engine).gate == {"dice": 0.8, "accepted": True, "data": "phantom"}
    assert misfit(engine) is None


def test_a_damaged_engine_in_the_cache_is_built_again(tmp_path: Path) -> None:
    cache, built = EngineCache(tmp_path / "cache"), []

    def fill(folder: Path) -> None:
        built.append(put_engine(folder, Path("m.onnx")))

    with cache.locked(PLAN, lambda *_: None):
        engine = cache.add(PLAN, fill)
    assert cache.find(PLAN) == engine
    engine.write_bytes(b"half")
    assert cache.find(PLAN) is None
    cache.add(PLAN, fill)
    assert cache.find(PLAN) == engine
    assert len(built) == 2


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "half").touch()
        raise EngineError("no")

    cache = EngineCache(tmp_path / "cache")
    with pytest.raises(EngineError, match="no"), cache.locked(PLAN, lambda *_: None):
        cache.add(PLAN, fill)
    assert [path for path in cache.root.iterdir() if path.suffix != ".lock"] == []


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(EngineError, match="cannot be written"),
        EngineCache(tmp_path / "file").locked(PLAN, lambda *_: None),
    ):
        pass


def test_a_copy_elsewhere_is_complete(tmp_path: Path, network: Path) -> None:
    engine = put_engine(tmp_path / "e", Path("gone.onnx"), as_here(network))
    points.save_point(OperatingPoint(sha256(engine), 0.3), engine)
    out = deliver(engine, network, tmp_path / "mine.onnx")
    assert misfit(out) is None
    assert load_sheet(out).model == network.name  # so that both may move together
    (tmp_path / "elsewhere").mkdir()
    assert load_sheet(deliver(engine, network, tmp_path / "elsewhere" / "mine.onnx")).model == str(network.resolve())
    assert points.load_point(out, sha256(out)).threshold == 0.3


BUILDER = """
import os, sys
from pathlib import Path
sys.path[:0] = sys.argv[2].split(os.pathsep)
from support.waiting import wait_until
from test_plan import PLAN, put_engine
from smartca.engine.building.cache import EngineCache
here, mode = Path(sys.argv[1]), sys.argv[3]

def fill(folder):
    with (here / "log").open("a") as log:
        log.write("built\\n")
    put_engine(folder, Path("m.onnx"))
    (here / "building").touch()
    wait_until((here / ("never" if mode == "hang" else "waiting")).exists)

cache = EngineCache(here / "cache")
if cache.find(PLAN) is None:
    with cache.locked(PLAN, lambda *_: (here / "waiting").touch()):
        cache.find(PLAN) or cache.add(PLAN, fill)
print(cache.find(PLAN))
"""


def start(folder: Path, mode: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", BUILDER, str(folder), import_path(__file__), mode]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_two_processes_build_one_engine_once(tmp_path: Path) -> None:
    """The first goes on only once the second waits for it."""
    both = [start(tmp_path, "build") for _ in range(2)]
    out = {process.communicate(timeout=PATIENCE_S)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(out) == 1
    assert Path(out.pop()).is_file()
    assert (tmp_path / "log").read_text() == "built\n"


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is for Unix")
def test_a_killed_builder_blocks_nobody(tmp_path: Path) -> None:
    killed = start(tmp_path, "hang")
    wait_until(lambda: (tmp_path / "building").exists() or killed.poll() is not None)
    assert killed.poll() is None
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=PATIENCE_S)
    assert list((tmp_path / "cache").glob("*.partial"))
    (tmp_path / "waiting").touch()
    after = start(tmp_path, "build")
    assert Path(after.communicate(timeout=PATIENCE_S)[0].strip()).is_file()
    assert list((tmp_path / "cache").glob("*.partial")) == []


def test_what_nvidias_tool_says() -> None:
    lines = [
        "NVIDIA GeForce RTX 3060, 8.6, 550.54.14, 12288",
        "NVIDIA H100 80GB HBM3, 9.0, 550.54, 81559",
        "No devices",
    ]
    assert read_gpus(lines) == [
        Gpu("NVIDIA GeForce RTX 3060", "sm86", "550.54.14", 12288),
        Gpu("NVIDIA H100 80GB HBM3", "sm90", "550.54", 81559),
    ]


@pytest.mark.skipif(os.name == "nt", reason="the tool's stand-in is a shell script")
@pytest.mark.parametrize(("script", "count"), [("echo 'A, B, 12.0, 570.1, 32000'", 1), ("exit 9", 0)])
def test_nvidias_tool_is_asked(script: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [gpu.target for gpu in gpus()] == ["sm120"] * count
    tool.unlink()
    assert gpus() == []


def test_the_processor_s_instructions(tmp_path: Path) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text("model name\t: A CPU\nflags\t\t: fpu avx2 avx512f avx512_vnni\n")
    assert processor(told).instructions == ("AVX2", "AVX-512", "AVX-512 VNNI")
    assert processor(told).name == "A CPU"
    assert processor(tmp_path / "nothing").instructions is None
