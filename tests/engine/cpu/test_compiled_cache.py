"""Compiled networks of earlier starts: taken only where they are the same, and never where they are damaged."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from smartca.engine.cpu import compiled_cache, openvino_runner
from smartca.engine.cpu.compiled_cache import KEEP, Compiled, CompiledCache, name_of
from smartca.engine.cpu.openvino_runner import OpenVinoRunner
from support.networks import brightness_network, quantised

PICTURE = np.random.default_rng(7).random((1, 1, 64, 64), np.float32)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of compiled networks of its own."""
    monkeypatch.setattr(compiled_cache, "user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    return tmp_path / "cache" / "smartca" / "openvino"


def answer(model: Path, precision: str = "auto") -> tuple[np.ndarray, str]:
    runner = OpenVinoRunner(model, precision)
    try:
        return runner.infer(PICTURE).q.copy(), runner.info.precision
    finally:
        runner.close()


def without_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object) -> object:
        raise AssertionError("the network was read and compiled anew")

    monkeypatch.setattr(openvino_runner, "_prepared", read)


@pytest.mark.parametrize("int8", [False, True])
def test_the_second_start_takes_what_the_first_compiled(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, int8: bool
) -> None:
    model = brightness_network(tmp_path / "model.onnx", tells_more=True)
    if int8:
        model = quantised(tmp_path / "int8.onnx", model)
    first, told = answer(model)
    assert told == "int8" if int8 else told in ("fp32", "bf16")
    without_reading(monkeypatch)
    again, told_again = answer(model)
    assert np.array_equal(first, again) and told == told_again
    moved = shutil.copy(model, tmp_path / "moved.onnx")  # known by what is in it, not by its name
    assert np.array_equal(first, answer(Path(moved))[0])


@pytest.mark.parametrize("what", ["another network", "another precision", "another library", "our code"])
def test_what_decides_is_never_mistaken(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    model = brightness_network(tmp_path / "model.onnx")
    answer(model)
    if what == "another network":
        model = quantised(tmp_path / "model.onnx", brightness_network(tmp_path / "plain.onnx"))
    elif what == "another library":
        monkeypatch.setattr(openvino_runner.ov, "__version__", "2031.1")
    elif what == "our code":
        monkeypatch.setattr(openvino_runner, "_our_code", lambda: "changed")
    answer(model, "fp32" if what == "another precision" else "auto")
    assert len(list(cache.glob("*.blob"))) == 2


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "a folder", "another library's"])
def test_a_damaged_one_is_compiled_anew_and_mended(tmp_path: Path, cache: Path, harm: str) -> None:
    model = brightness_network(tmp_path / "model.onnx")
    first, _ = answer(model)
    (kept,) = cache.glob("*.blob")
    whole = kept.read_bytes()
    if harm == "a folder":
        kept.unlink()
        kept.mkdir()
    elif harm == "another library's":  # whole, but not what this OpenVINO can take
        CompiledCache(cache).keep(kept.stem, Compiled(b"<xml>no network</xml>" * 50, "fp32"))
    else:
        flipped = whole[:500] + bytes([whole[500] ^ 1]) + whole[501:]
        kept.write_bytes({"cut": whole[:-10], "flipped": flipped, "empty": b""}[harm])
    assert np.array_equal(first, answer(model)[0])
    assert kept.is_dir() or kept.read_bytes()[:32] == whole[:32] or CompiledCache(cache).find(kept.stem)


def test_a_home_that_cannot_be_written_only_starts_slower(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    first, _ = answer(brightness_network(tmp_path / "model.onnx"))
    assert np.array_equal(first, answer(tmp_path / "model.onnx")[0])


def test_the_ones_least_lately_used_go(tmp_path: Path) -> None:
    cache = CompiledCache(tmp_path)
    for number in range(KEEP):
        cache.keep(f"n{number}", Compiled(b"network", "int8"))
        os.utime(tmp_path / f"n{number}.blob", (number, number))
    assert cache.find("n0") == Compiled(b"network", "int8")  # the oldest, now used
    cache.keep("new", Compiled(b"network", "int8"))
    assert cache.find("n1") is None
    assert cache.find("n0") and cache.find("new") and len(list(tmp_path.iterdir())) == KEEP


def test_names_tell_everything_apart() -> None:
    assert len({name_of("a", "b"), name_of("ab"), name_of("a", ["b"]), name_of("b", "a")}) == 4
    assert name_of("a", 1) == name_of("a", 1)


def test_it_stands_in_the_users_cache() -> None:
    assert CompiledCache().folder == Path(platformdirs.user_cache_dir("smartca")) / "openvino"
