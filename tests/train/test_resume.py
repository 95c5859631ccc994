"""`smartca train` given again: the same pictures go on, others do not, and nobody trains into another's folder."""

from __future__ import annotations

import csv
import shutil
import signal
from pathlib import Path

import cv2
import pytest
from filelock import FileLock
from smartca.train import loop
from smartca.train.checkpoint import read_checkpoint, write_checkpoint
from smartca.train.fit import Fit, FitSettings
from smartca.train.settings import Lessons, Running
from support.killable import begun, command
from support.labelled_forms import FORMS, SMALL, Command, Form, pixels, segment, smartca, trained
from support.waiting import PATIENCE_S, wait_until
from test_fit import Blobs

__all__ = ["smartca", "trained"]  # fixtures


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> tuple[Form, Path]:
    """A copy of it all, to be spoiled."""
    shutil.copytree(trained.parent, tmp_path / "copy")
    return Form(tmp_path / "copy" / "masks", ("--mask-value", "2")), tmp_path / "copy" / "run"


def test_the_same_pictures_go_on_and_others_do_not(run: tuple[Form, Path], tmp_path: Path, smartca: Command) -> None:
    form, out = run
    kept = (out / "last.pt").read_bytes()
    assert smartca(*segment(form, out))[0] == 0  # finished: nothing is left to do
    says = "last.pt holds a training on other pictures; give those again, another --out, or --no-resume"
    negatives = tmp_path / "negatives"
    negatives.mkdir()
    cv2.imwrite(str(negatives / "0.png"), pixels(3))
    bone = Form(form.data, ("--mask-value", "1"))
    for again in (segment(bone, out), segment(form, out, "--negatives", negatives)):
        code, told = smartca(*again)
        assert code == 2 and says in told
    assert (out / "last.pt").read_bytes() == kept
    code, told = smartca("train", "classify", *segment(bone, out)[2:])
    assert code == 2 and "classifier-last.pt holds a training on other pictures" in told
    changed = pixels(0)
    changed[0, 0] ^= 1
    cv2.imwrite(str(form.data / "images" / "00.png"), changed)
    code, told = smartca(*segment(form, out))
    assert code == 2 and says in told and (out / "last.pt").read_bytes() == kept
    assert smartca(*segment(form, out, "--no-resume"))[0] == 0
    assert smartca(*segment(form, out))[0] == 0


def test_a_checkpoint_that_does_not_say_what_it_learnt_from(run: tuple[Form, Path], smartca: Command) -> None:
    form, out = run
    write_checkpoint({k: v for k, v in read_checkpoint(out / "last.pt").items() if k != "data"}, out / "last.pt")
    code, told = smartca(*segment(form, out))
    assert code == 2 and "last.pt does not say which pictures it has learnt from" in told and "--no-resume" in told


def test_phantoms_are_pictures_too(tmp_path: Path, smartca: Command) -> None:
    def given(seeds: int) -> list[object]:
        source = ["--seeds", seeds, "--frames", 1, "--validation-seeds", 4, "--cache", tmp_path / "cache"]
        return ["train", "segment", *source, "--out", tmp_path / "run", *SMALL, "--steps", 1]

    assert smartca(*given(4))[0] == 0
    assert smartca(*given(4))[0] == 0
    code, told = smartca(*given(5))
    assert code == 2 and "holds a training on other pictures" in told


def test_killed_the_same_command_goes_on(tmp_path: Path, smartca: Command) -> None:
    out = tmp_path / "run"
    again = segment(FORMS["coco"](tmp_path / "data"), out, "--steps", 10)
    process = begun(command, list(map(str, again)))
    wait_until(lambda: process.exitcode is not None or (out / "last.pt").exists())
    process.kill()
    process.join(PATIENCE_S)
    assert process.exitcode == -signal.SIGKILL
    reached = read_checkpoint(out / "last.pt")
    assert 0 < reached["step"] < 10
    assert smartca(*again)[0] == 0
    with (out / "log.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert read_checkpoint(out / "last.pt")["step"] == 10
    assert [row["epoch"] for row in rows] == [str(n + 1) for n in range(len(rows))] and len(rows) > len(reached["rows"])
    for before, after in zip(reached["rows"], rows, strict=False):  # what was learnt before is not learnt again
        assert float(after["loss"]) == pytest.approx(before["loss"])


def test_two_trainings_into_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "PARTING_S", 0.1)
    settings = FitSettings(size=32, batch=4, steps=2)
    told: list[int] = []

    def second(step: int, total: int, loss: float) -> None:
        with pytest.raises(ValueError, match=r"another training writes to .*run; let it end, or give another --out"):
            Fit(settings, Lessons(Blobs(4), Blobs(2)), tmp_path / "run", Running(resume=False)).run()
        told.append(step)

    rows = Fit(settings, Lessons(Blobs(4), Blobs(2)), tmp_path / "run", Running(on_step=second)).run()
    assert told == [1, 2]
    with (tmp_path / "run" / "log.csv").open(newline="") as lines:
        assert len(list(csv.DictReader(lines))) == len(rows)
    assert Fit(settings, Lessons(Blobs(4), Blobs(2)), tmp_path / "run").run() == rows  # it is free again


def test_the_command_says_so_too(run: tuple[Form, Path], smartca: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "PARTING_S", 0.1)
    form, out = run
    kept = {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.suffix != ".lock"}
    with FileLock(out / ".training.lock"):
        code, told = smartca(*segment(form, out, "--no-resume"))
    assert code == 2 and "another training writes to" in told
    assert kept == {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.suffix != ".lock"}
