"""`smartca train` and `export` as people give them: every form of labelled pictures, and what is refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from smartca.cli import main
from smartca.phantom import KINDS, TRAIN, kind_of
from smartca.train.checkpoint import read_checkpoint
from smartca.train.study.pictures import load_data
from smartca.train.study.plan import Phantoms, StudyData
from support.labelled_forms import (
    FORMS,
    SPLITS,
    Command,
    Form,
    as_labelme,
    as_masks,
    mask,
    pixels,
    segment,
    smartca,
    trained,
)

__all__ = ["smartca", "trained"]  # fixtures


@pytest.mark.parametrize("name", [name for name in FORMS if name != "masks"])
def test_every_form_is_trained_on_as_the_same_pictures(
    name: str, trained: Path, tmp_path: Path, smartca: Command
) -> None:
    form = FORMS[name](tmp_path / "data")
    code, _ = smartca(*segment(form, tmp_path / "run"))
    assert code == 0
    ours, theirs = (read_checkpoint(out / "last.pt") for out in (tmp_path / "run", trained))
    assert len(ours["data"]) == 32 and ours["data"] == theirs["data"]
    assert ours["rows"][0]["dice"] == pytest.approx(theirs["rows"][0]["dice"], abs=1e-6)
    code, told = smartca(*segment(Form(form.data, ("--label", "cuff")), tmp_path / "other"))
    assert code == 2 and "has no label cuff; it has bone, tear" in told
    code, told = smartca(*segment(Form(form.data, ("--mask-value", "1")), tmp_path / "other"))
    assert code == 2 and "has labels and no mask values; give a label instead of 1" in told
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("step", ["classify", "segment"])
def test_help_shows_the_layouts(step: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", step, "--help"])
    told = " ".join(capfd.readouterr().out.split())
    for word in ("images/ and masks/", "split.csv", "COCO", "CVAT", "LabelMe", "--label NAME"):
        assert word in told


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_a_studys_data(name: str, tmp_path: Path) -> None:
    form = FORMS[name](tmp_path / name)
    word, value = form.choice
    choice = {"label": value} if word == "--label" else {"mask_value": int(value)}
    data = msgspec.convert({"name": "x", "folder": str(form.data.relative_to(tmp_path)), **choice}, StudyData)
    found = load_data(data, tmp_path)
    assert [len(part) for part in (found.train, found.validate, found.test)] == [6, 3, 3]
    for n, picture in enumerate([*found.train.items, *found.validate.items, *found.test.items]):
        assert np.array_equal(picture.pixels, pixels(n)) and np.array_equal(picture.mask, mask(n) == 2)


INTACT = next(n for n, seed in enumerate(TRAIN[:50]) if kind_of(seed) == KINDS[0])


def test_nothing_torn_is_nothing_to_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    form = as_masks(tmp_path / "data")
    for n, split in enumerate(SPLITS):
        if split == "test":
            cv2.imwrite(str(form.data / "masks" / f"{n:02}.png"), np.zeros((48, 64), np.uint8))
    with pytest.raises(ValueError, match="in the split test has a tear; is 2 the tear's mask value"):
        load_data(StudyData("x", "data", 2), tmp_path)
    monkeypatch.setattr("smartca.train.study.pictures.TRAIN", TRAIN[INTACT:])
    with pytest.raises(ValueError, match="not one of 1 pictures has a tear; give more"):
        load_data(StudyData("x", phantom=Phantoms(1, 1, 1, 1)), tmp_path, tmp_path / "cache")


@pytest.mark.parametrize("step", ["classify", "segment"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_nothing_torn_is_nothing_to_learn(step: str, split: str, tmp_path: Path, smartca: Command) -> None:
    form = as_masks(tmp_path / "data")
    for n, word in enumerate(SPLITS):
        if word == split:
            cv2.imwrite(str(form.data / "masks" / f"{n:02}.png"), (mask(n) == 1).astype(np.uint8))
    code, told = smartca("train", step, *segment(form, tmp_path / "run")[2:])
    assert code == 2 and "has a tear; is 2 the tear's mask value?" in told
    assert not (tmp_path / "run").exists()


def test_a_bad_file_is_found_before_training(tmp_path: Path, smartca: Command) -> None:
    """The last picture and the last mask of those that are validated with."""
    last = f"{SPLITS.index('test') - 1:02}.png"
    for part, says in (("images", "no picture that can be read"), ("masks", "give a PNG mask")):
        form = as_masks(tmp_path / part)
        (form.data / part / last).write_bytes(b"half a picture")
        code, told = smartca(*segment(form, tmp_path / "run"))
        assert code == 2 and f"{part}/{last} is no picture that can be read" in told and says in told
        assert "Traceback" not in told and not (tmp_path / "run").exists()
    form = as_labelme(tmp_path / "labelme")
    (form.data / f"{SPLITS.index('val') - 1:02}.png").unlink()
    code, told = smartca(*segment(form, tmp_path / "run"))
    assert code == 2 and "names the picture 05.png, which is not in" in told and not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["classifier.pt", "classifier-last.pt"])
def test_a_classifier_is_not_exported(name: str, trained: Path, tmp_path: Path, smartca: Command) -> None:
    code, told = smartca("export", "--checkpoint", trained / name, "--out", tmp_path / "model.onnx")
    assert code == 2 and f"{name} is a classifier, which outlines nothing; give the best.pt" in told
    assert f"train segment --classifier {trained / 'classifier.pt'}" in told
    assert not list(tmp_path.iterdir())
