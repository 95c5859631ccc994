"""`smartca adapt` from a folder to a model and back, with phantoms in a clinic's place."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import redirect_stderr
from io import StringIO
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import cv2
import msgspec
import numpy as np
import pytest
import torch
from smartca.adapting.record import alone_in, read_record
from smartca.adapting.varied import jittered
from smartca.cli import main
from smartca.engine import SHIPPED_MODEL
from smartca.engine.contract import SHIPPED_START
from smartca.engine.usual import record_path, usual_model
from smartca.files import sha256
from smartca.train.checkpoint import read_checkpoint
from support.clinic import SIZE, frames, own_folders, start
from support.killable import begun, command
from support.labelled_forms import Command, smartca
from support.waiting import PATIENCE_S, wait_until

__all__ = ["frames", "own_folders", "smartca", "start"]  # fixtures
pytestmark = pytest.mark.timeout(400)  # two adaptings, before the first test: two minutes on two cores without AVX-512


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def given(frames: Path, start: Path, out: Path, cache: Path, *options: object) -> list[object]:
    small = ["--size", SIZE, "--batch", 4, "--seeds", 3, "--validation-seeds", 3, "--threads", 1, "--cache", cache]
    return ["adapt", frames, "--out", out, "--start-from", start, "--steps", 8, *small, *options]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures without a tear."""
    root = tmp_path_factory.mktemp("healthy")
    for n in range(8):
        grey = np.random.default_rng(n).integers(0, 255, (24, 32)).astype(np.uint8)
        cv2.imwrite(str(root / f"{n}.png"), cv2.resize(grey, (128, 96), interpolation=cv2.INTER_CUBIC))
    return root


class Made(NamedTuple):
    """The folder of a network that was adapted with healthy pictures, to INT8 too where that can be; and by what."""

    out: Path
    again: list[str]  # the command
    told: str


@pytest.fixture(scope="module")
def whole(frames: Path, start: Path, cache: Path, healthy: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """One whole run that many tests look at."""
    out = tmp_path_factory.mktemp("made") / "mine"
    again = [str(word) for word in given(frames, start, out, cache, "--negatives", healthy)]
    told = StringIO()
    with pytest.raises(SystemExit) as done, redirect_stderr(told):
        main(again)
    assert done.value.code == code_of(out), told.getvalue()
    return Made(out, again, told.getvalue().replace("\n", " "))


@pytest.fixture(scope="module")
def made(whole: Made) -> Path:
    """Its folder."""
    return whole.out


def code_of(out: Path) -> int:
    """The exit code that the verdict in `out` asks for: so few steps may gain something, or nothing."""
    record = read_record(out)
    assert record and record.words.startswith("It was worth it" if record.worth else "Nothing was gained")
    return 0 if record.worth else 1


def test_what_is_made(made: Path, start: Path) -> None:
    record = read_record(made)
    assert record and record.done
    page = (made / "adapted.html").read_text()
    for words in ("Before and after", "Frames held out that changed most", "ECE", "data:image/png", "three operating"):
        assert words in page
    assert ("smartca adapt --use" in page) == (code_of(made) == 0)
    assert "src='http" not in page and "<script" not in page and "<link" not in page
    point = msgspec.json.decode((made / "adapted.json").read_bytes())
    assert point["model_sha256"] == sha256(made / "adapted.onnx") and "held out" in point["fitted_on"]
    assert point["points"].keys() == {"careful", "searching"} and point["reached"]["tears_found"] is not None
    before, after = (read_checkpoint(path)["state"] for path in (start, made / "learning" / "best.pt"))
    changed = {name.split(".")[0] for name in before if not np.array_equal(before[name], after[name])}
    assert {"trainable", "fuse", "decode", "head"} <= changed and not changed & {"pretrained", "classes", "familiar"}


def test_finished_is_said_and_other_frames_are_refused(
    whole: Made, frames: Path, start: Path, cache: Path, healthy: Path, tmp_path: Path, smartca: Command
) -> None:
    made, again, _ = whole
    kept = (made / "adapted.onnx").stat().st_mtime_ns
    code, told = smartca(*again)
    assert (
        code == code_of(made)
        and "it is finished already" in told
        and (made / "adapted.onnx").stat().st_mtime_ns == kept
    )
    code, told = smartca(*again, "--seed", 2)
    assert code == 2 and "was begun with other options" in told
    for folder, one in ((frames, "h0.png"), (healthy, "7.png")):
        fewer = shutil.copytree(folder, tmp_path / folder.name)
        sorted(fewer.rglob(one))[0].unlink()  # of a picture and its mask the picture
        code, told = smartca(*[str(fewer) if word == str(folder) else word for word in again])
        assert code == 2 and "holds a network adapted to other frames; give another --out" in told


def adapting(again: list[str], out: Path, told: Path) -> BaseProcess:
    """A process that adapts, once a checkpoint is there."""
    process = begun(command, again, told=told)
    wait_until(lambda: process.exitcode is not None or (out / "learning" / "last.pt").exists())
    return process


def test_killed_or_after_ctrl_c_the_same_command_goes_on(
    frames: Path, start: Path, cache: Path, tmp_path: Path, smartca: Command
) -> None:
    out, told = tmp_path / "mine", tmp_path / "told"
    again = [str(word) for word in given(frames, start, out, cache, "--no-int8", "--steps", 24)]
    process = adapting(again, out, told)
    process.kill()
    process.join(PATIENCE_S)
    assert process.exitcode == -signal.SIGKILL
    killed = read_checkpoint(out / "learning" / "last.pt")["step"]
    assert 0 < killed < 24 and not (out / "adapted.onnx").exists()
    code, words = smartca("adapt", "--use", out)
    assert code == 2 and "is not finished; give the `smartca adapt" in words
    process = adapting(again, out, told)
    wait_until(lambda: process.exitcode is not None or read_checkpoint(out / "learning" / "last.pt")["step"] > killed)
    assert process.pid
    os.kill(process.pid, signal.SIGINT)
    process.join(PATIENCE_S)
    assert process.exitcode == 130 and "the same command goes on from there" in told.read_text(), told.read_text()
    assert killed < read_checkpoint(out / "learning" / "last.pt")["step"] < 24 and not (out / "adapted.onnx").exists()
    assert smartca(*again)[0] == code_of(out)
    assert read_checkpoint(out / "learning" / "last.pt")["step"] == 24 and (out / "adapted.html").is_file()


def test_healthy_pictures_find_the_points_too(made: Path) -> None:
    point = msgspec.json.decode((made / "adapted.json").read_bytes())
    assert (
        "; 9 real pictures without a tear, as they are and lit as a shoulder's, each also with a simulated one set in "
        "(7 of them are parts of the frames held out, beside their tears)" in point["fitted_on"]
    )
    assert point["reached"]["empty_outlined"] is not None and "healthy after" in (made / "adapted.html").read_text()


def test_int8_or_a_sentence(whole: Made) -> None:
    there = (whole.out / "adapted-int8.onnx").is_file()
    assert there == ("the gate let it pass" in whole.told) and there != ("fp32 stays:" in whole.told)


def test_used_and_back(made: Path, tmp_path: Path, smartca: Command) -> None:
    assert usual_model() == SHIPPED_MODEL
    assert smartca("adapt", "--use", made)[0] == 0 and usual_model() == (made / "adapted.onnx").resolve()
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    assert smartca("adapt", "--use", copy)[0] == 0
    code, told = smartca("doctor")
    assert code == 0
    (copy / "adapted.onnx").write_bytes((copy / "adapted.onnx").read_bytes() + b"x")
    code, told = smartca("adapt", "--use", copy)
    assert code == 2 and "is not what `smartca adapt` wrote there" in told
    code, told = smartca("run", "absent.mp4", "--headless")
    assert code == 2 and "are not the ones that were recorded" in told and "smartca adapt --back" in told
    assert smartca("doctor")[0] == 1
    (copy / "adapted.onnx").unlink()
    code, told = smartca("run", "absent.mp4", "--headless")
    assert code == 2 and "are gone; put them back, or `smartca adapt --back`" in told
    record_path().write_bytes(b"{")
    code, told = smartca("run", "absent.mp4", "--headless")
    assert code == 2 and "is damaged; `smartca adapt --back`" in told
    assert smartca("adapt", "--back")[0] == 0 and usual_model() == SHIPPED_MODEL
    code, told = smartca("adapt", "--back")
    assert code == 0 and "run already" in told


def test_what_is_refused(frames: Path, start: Path, cache: Path, tmp_path: Path, smartca: Command) -> None:
    for words, says in (
        (["adapt"], "give a FOLDER of labelled frames with --out DIR, or --use DIR, or --back"),
        (["adapt", frames, "--back"], "or --use DIR, or --back"),
        (["adapt", frames], "give --out DIR"),
        (["adapt", "--use", tmp_path], "give --use the folder that `smartca adapt` wrote"),
        (["adapt", tmp_path / "absent", "--out", tmp_path / "o", "--start-from", start], "there is no file or folder"),
    ):
        code, told = smartca(*words)
        assert code == 2 and says in told, told
    (tmp_path / "file").write_text("x")
    code, told = smartca(*given(frames, start, frames, cache))
    assert code == 2 and "holds your frames; give --out a folder of its own" in told
    code, told = smartca(*given(frames, start, tmp_path, cache))
    assert code == 2 and "holds other things, such as file; give --out a new or an empty folder" in told
    (tmp_path / "taken").mkdir()
    with alone_in(tmp_path / "taken"):
        code, told = smartca(*given(frames, start, tmp_path / "taken", cache))
        assert code == 2 and "another `smartca adapt` writes to" in told
    code, told = smartca(*given(frames, start, tmp_path / "file" / "mine", cache))
    assert code == 2 and "may not be written (Not a directory)" in told
    stored = read_checkpoint(start)
    torch.save({**stored, "settings": {**stored["settings"], "network": "segnet"}}, tmp_path / "other.pt")
    torch.save({**stored, "state": dict(list(stored["state"].items())[:-1])}, tmp_path / "less.pt")
    for name in ("other.pt", "less.pt"):
        code, told = smartca(*given(frames, tmp_path / name, tmp_path / "mine", cache))
        assert code == 2 and f"{name} was made by another version" in told and not (tmp_path / "mine").exists()
    if not SHIPPED_START.is_file():
        code, told = smartca("adapt", frames, "--out", tmp_path / "mine")
        assert code == 2 and "there is no checkpoint" in told and "give --start-from CHECKPOINT" in told


def test_a_frame_is_bent_with_its_mask() -> None:
    rng = np.random.default_rng(3)
    mask = np.zeros((80, 120), np.bool_)
    mask[30:50, 40:80] = True
    for _ in range(20):
        moved, truth = jittered(np.where(mask, 200, 60).astype(np.uint8), mask, rng)
        assert moved.shape == truth.shape == mask.shape and truth.any()
        assert np.mean((moved > 130) == truth) > 0.995  # picture and mask go the same way
