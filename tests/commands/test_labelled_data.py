"""Every form of labelled pictures is the same to every command, and so are split, label and mask value."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from smartca.calibration.int8.data import CalibrationData
from smartca.calibration.int8.picture_choice import CalibrationPicture
from smartca.pictures.datasets import form_of, open_data
from smartca.stream.sources import open_source
from support.labelled_forms import (
    FORMS,
    SPLITS,
    Command,
    Form,
    as_coco,
    as_cvat,
    as_labelme,
    as_masks,
    mask,
    pixels,
    segment,
    smartca,
)
from support.threads import one_thread

__all__ = ["one_thread", "smartca"]  # fixtures
OUTLINED = [name for name in FORMS if name != "masks"]
BOTH = ("--label", "tear", "--label", "bone")


class Evaluate:
    """`smartca evaluate` of a form: its report."""

    def __init__(self, smartca: Command, network: Path, out: Path) -> None:
        self.smartca, self.network, self.out = smartca, network, out

    def __call__(self, data: Path, *options: object) -> dict[str, Any]:
        more = ("--engine", self.network, "--precision", "fp32", "--threads", 1, "--report", self.out)
        code, told = self.smartca("evaluate", "--data", data, *options, *more)
        assert code == 0, told
        report = msgspec.json.decode(self.out.read_bytes())
        return {name: report.get(name) for name in ("truth", "frames", "states", "outlined_share")}


@pytest.fixture
def evaluate(smartca: Command, network: Path, tmp_path: Path) -> Evaluate:
    return Evaluate(smartca, network, tmp_path / "report.json")


@pytest.mark.parametrize("name", OUTLINED)
def test_every_form_is_scored_as_the_same_pictures_with_masks(name: str, tmp_path: Path, evaluate: Evaluate) -> None:
    form, masks = FORMS[name](tmp_path / "outlines"), as_masks(tmp_path / "masks")
    for split in ("train", "val", "validate", "test", "all"):
        found = evaluate(form.data, *form.choice, "--split", split)
        assert found == evaluate(masks.data, *masks.choice, "--split", split)
        count = len(SPLITS) if split == "all" else SPLITS.count("val" if split == "validate" else split)
        tears = [mask(n) == 2 for n, own in enumerate(SPLITS) if split == "all" or split.startswith(own)]
        assert found["frames"] == {"evaluated": count, "inferred": count, "with_truth": count}
        assert found["truth"]["tp"] + found["truth"]["fn"] == np.sum(tears) > 0


@pytest.mark.parametrize("name", OUTLINED)
def test_labels_are_united_when_they_are_given_together(
    name: str, tmp_path: Path, evaluate: Evaluate, smartca: Command, network: Path
) -> None:
    form, masks = FORMS[name](tmp_path / "outlines"), as_masks(tmp_path / "masks")
    assert evaluate(form.data, *BOTH) == evaluate(masks.data)  # any value of the masks
    with open_source(str(tmp_path / "outlines"), None, None, ("bone", "TEAR")) as source:
        truths = [picture.truth for picture in source.pictures()]
    for n, truth in enumerate(truths):
        assert truth is not None and np.array_equal(truth, mask(n) > 0)
    code, told = smartca("evaluate", "--data", form.data, "--engine", network)
    assert code == 2 and "has several labels; give --label with the tear's: bone, tear" in told
    code, told = smartca("evaluate", "--data", form.data, *BOTH, "--label", "cuff", "--engine", network)
    assert code == 2 and "has no label cuff; it has bone, tear" in told
    code, told = smartca("evaluate", "--data", form.data, "--mask-value", 2, "--engine", network)
    assert code == 2 and "has labels and no mask values; give a label instead of 2" in told


def test_labels_are_united_in_training_and_calibration(tmp_path: Path, smartca: Command, network: Path) -> None:
    data = as_coco(tmp_path / "coco").data
    code, told = smartca(*segment(Form(data, ("--label", "bone")), tmp_path / "run", "--label", "tear"))
    assert code == 0, told
    code, told = smartca("calibrate", "--data", data, *BOTH, "--model", network)
    assert code == 0, told
    samples = open_data(data, "all", label=("tear", "bone"))
    assert all(np.array_equal(samples[n][1], mask(n) > 0) for n in range(len(SPLITS)))


def same(ours: list[CalibrationPicture], theirs: list[CalibrationPicture]) -> bool:
    """Whether all have a truth, and picture by picture the same."""
    return len(ours) == len(theirs) and all(
        np.array_equal(a.square, b.square)
        and a.truth is not None
        and b.truth is not None
        and np.array_equal(a.truth, b.truth)
        for a, b in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("name", OUTLINED)
def test_int8_is_found_on_the_same_pictures_of_every_form(name: str, tmp_path: Path) -> None:
    form, masks = FORMS[name](tmp_path / "outlines"), as_masks(tmp_path / "masks")
    given = CalibrationData(str(form.data), label=("tear",))
    ours, theirs = given.material(64), CalibrationData(str(masks.data), mask_value=2).material(64)
    assert (len(ours.calibrate), len(ours.gate)) == (SPLITS.count("train"), SPLITS.count("val"))
    assert same(list(ours.calibrate), list(theirs.calibrate)) and same(list(ours.gate), list(theirs.gate))
    assert ours.gate_words == f"{form.data}, split val" and given.as_typed() == ("--label", "tear")
    mixed = CalibrationData(str(form.data), str(masks.data), mask_value=2, label=("tear",)).material(64)
    assert same(list(mixed.calibrate), list(theirs.calibrate)) and same(list(mixed.gate), list(theirs.gate))
    before = given.digest()
    assert before != CalibrationData(str(form.data), label=("bone",)).digest()
    shown = next(path for path in (tmp_path / "outlines").rglob("03.png"))
    shutil.copy(tmp_path / "masks" / "images" / "04.png", shown)
    assert given.digest() != before  # of an annotation file, too, the pictures count


def test_a_class_that_nothing_has_is_told(tmp_path: Path, smartca: Command, network: Path) -> None:
    masks, plain = as_masks(tmp_path / "masks").data, tmp_path / "plain"
    shutil.copytree(masks / "images", plain)
    engine = ("--engine", network, "--precision", "fp32")
    for data in (plain, plain / "00.png", "phantom:seeds=90001..90001,frames=1"):
        for option in (("--mask-value", 2), ("--label", "tear")):
            code, told = smartca("evaluate", "--data", data, *option, *engine)
            assert code == 2 and "leave --mask-value and --label out" in told
    code, told = smartca("run", "phantom:", "--headless", "--label", "tear", *engine)
    assert code == 2 and "phantoms have tears only" in told
    code, told = smartca("run", masks, "--headless", "--label", "tear", *engine)
    assert code == 2 and "has masks, which have values and no labels; give a mask value instead of tear" in told
    code, told = smartca("run", plain, "--headless", "--label", "tear", *engine)
    assert code == 2 and "has neither masks nor labels; leave --mask-value and --label out" in told
    with pytest.raises(ValueError, match="has neither masks nor labels"):
        CalibrationData(str(plain), mask_value=2).material(64)
    with pytest.raises(ValueError, match="has masks, which have values and no labels"):
        CalibrationData(str(masks), label=("tear",)).material(64)


@pytest.mark.parametrize("name", [*OUTLINED, "masks"])
def test_a_run_shows_the_truth_of_every_form(name: str, tmp_path: Path) -> None:
    form = FORMS[name](tmp_path / "data")
    option, value = form.choice
    folder = str(tmp_path / "data")
    choice = (None, (value,)) if option == "--label" else (int(value), ())
    with open_source(folder, None, *choice) as source:
        shown = list(source.pictures())
    assert len(shown) == len(SPLITS)
    for n, picture in enumerate(shown):
        assert np.array_equal(picture.pixels, pixels(n))
        assert picture.truth is not None and np.array_equal(picture.truth, mask(n) == 2)
    if name != "masks":  # and without a label it is a folder of pictures
        with open_source(folder) as source:
            assert [picture.truth for picture in source.pictures()] == [None] * len(SPLITS)


def test_a_whole_run_takes_the_label(tmp_path: Path, evaluate: Evaluate, smartca: Command, network: Path) -> None:
    data = as_cvat(tmp_path / "data").data
    engine = ("--engine", network, "--precision", "fp32", "--report", tmp_path / "run.json")
    code, told = smartca("run", data, "--headless", "--label", "tear", *engine)
    assert code == 0, told
    truth = msgspec.json.decode((tmp_path / "run.json").read_bytes())["truth"]
    assert truth["tp"] + truth["fn"] == sum(int((mask(n) == 2).sum()) for n in range(len(SPLITS)))


def test_annotations_are_no_source_of_pictures(tmp_path: Path, smartca: Command) -> None:
    for path in (as_coco(tmp_path / "coco").data, as_cvat(tmp_path / "cvat").data / "annotations.xml"):
        code, told = smartca("run", path, "--headless")
        assert code == 2 and "holds outlines and no pictures; give the folder of the pictures, and --label NAME" in told


def test_json_that_is_no_outline_is_no_labelled_data(tmp_path: Path) -> None:
    data = as_labelme(tmp_path / "labelme").data
    (data / "._00.json").write_bytes(b"\0\5\x16\7")
    assert form_of(data) == "outlines" and len(open_data(data, "all", label="tear")) == len(SPLITS)
    for path in data.glob("*.json"):
        path.write_text(json.dumps({"depth_mm": 40}))
    assert form_of(data) is None and form_of(tmp_path / "gone") is None
