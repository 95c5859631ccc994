"""A training that starts from another's weights: what comes along, what is refused, and what it is written into."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from smartca.train.checkpoint import digest, read_checkpoint
from smartca.train.fit import Fit, FitSettings
from smartca.train.settings import Lessons, Running
from smartca.train.starting import write_start
from support.labelled_forms import Command, Form, segment, smartca, trained
from test_fit import Blobs

__all__ = ["smartca", "trained"]  # fixtures


def given(trained: Path, out: Path, *options: object) -> list[object]:
    return segment(Form(trained.parent / "masks", ("--mask-value", "2")), out, *options)


def test_all_weights_come_along(trained: Path, tmp_path: Path) -> None:
    settings = FitSettings(size=32, batch=4, steps=1)
    fit = Fit(settings, Lessons(Blobs(4), Blobs(2)), tmp_path / "run", Running(), start=trained / "best.pt")
    stored = read_checkpoint(trained / "best.pt")["state"]
    ours = fit.network.state_dict()
    assert ours.keys() == stored.keys() and all(torch.equal(ours[name], stored[name]) for name in stored)
    frozen = {name for name in stored if name.startswith(("pretrained.", "classes.", "familiar."))}
    fit.run()
    after = read_checkpoint(tmp_path / "run" / "best.pt")
    assert all(torch.equal(after["state"][name], stored[name]) for name in frozen)  # what is usual is not found anew
    assert any(not torch.equal(after["state"][name], stored[name]) for name in stored.keys() - frozen)
    assert after["origin"] == f"start {digest(trained / 'best.pt')}"


def test_the_start_is_part_of_what_decides_the_weights(trained: Path, tmp_path: Path, smartca: Command) -> None:
    out, other = tmp_path / "run", tmp_path / "other.pt"
    start = ["--start-from", trained / "best.pt"]
    assert smartca(*given(trained, out, *start))[0] == 0
    kept = (out / "last.pt").read_bytes()
    assert smartca(*given(trained, out, *start))[0] == 0
    write_start(trained / "best.pt", other)
    for again in ([], ["--start-from", other]):
        code, told = smartca(*given(trained, out, *again))
        assert code == 2 and "was begun from other weights; give the same --start-from again" in told
    assert (out / "last.pt").read_bytes() == kept
    assert smartca(*given(trained, out, "--no-resume", "--start-from", other))[0] == 0


def test_what_is_refused(trained: Path, tmp_path: Path, smartca: Command) -> None:
    noise = tmp_path / "noise.pt"
    noise.write_bytes(b"not a checkpoint")
    for start, says in (
        (trained / "classifier.pt", "is a classifier, which outlines nothing: give it as --classifier"),
        (trained / "last.pt", "holds a run to go on with, or nothing that training can start from"),
        (noise, "is missing or is no checkpoint; give the best.pt"),
        (tmp_path / "absent.pt", "absent.pt cannot be read (No such file"),
    ):
        code, told = smartca(*given(trained, tmp_path / "run", "--start-from", start))
        assert code == 2 and says in told
    start = ["--start-from", trained / "best.pt"]
    code, told = smartca(*given(trained, tmp_path / "run", *start, "--network", "segnet"))
    assert code == 2 and "holds smartca-lite and not segnet; give --network smartca-lite" in told
    code, told = smartca(*given(trained, tmp_path / "run", *start, "--classifier", trained / "classifier.pt"))
    assert code == 2 and "brings its own frozen classifier" in told
    code, told = smartca("train", "classify", *given(trained, tmp_path / "run", *start)[2:])
    assert code == 2 and "a classifier starts from ImageNet's weights" in told


def test_export_writes_a_start(trained: Path, tmp_path: Path, smartca: Command) -> None:
    shutil.copy(trained / "best.pt", tmp_path / "best.pt")
    model, start = tmp_path / "m.onnx", tmp_path / "m.pt"
    made = ["export", "--checkpoint", tmp_path / "best.pt", "--out", model, "--start"]
    assert smartca(*made, start)[0] == 0 and model.is_file()
    stored = read_checkpoint(start)
    assert start.stat().st_size < 8e6 and stored.keys() >= {"state", "settings", "origin"}
    assert not stored.keys() & {"optimiser", "network", "mean", "losses"}
    code, told = smartca(*made, model)
    assert code == 2 and "--out and --start are one file" in told
    assert smartca(*given(trained, tmp_path / "run", "--start-from", start))[0] == 0
