"""A study of what a clinic's first pictures are worth: starts and numbers of pictures as axes."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from smartca.train.fit import Fit, FitSettings
from smartca.train.settings import Lessons
from smartca.train.study.cells import CellResult
from smartca.train.study.pictures import Repeated, StudyPicture, StudyPictures
from smartca.train.study.plan import cells, read_plan
from smartca.train.study.study import study
from support.paths import ROOT
from support.study_folder import write_folder

TINY = """
name = "few"
checkpoint = "ours.pt"
size = 32
batch = 4
steps = 4
seeds = [1]
levels = ["none"]
reference = "smartca-lite/iplf+ours+2"

[[data]]
name = "blobs"
folder = "blobs"

[[compare]]
networks = ["smartca-lite"]
losses = ["iplf"]
start = ["ours", "imagenet", "scratch"]
pictures = [0, 2, 4]
"""


def blob(n: int) -> StudyPicture:
    pixels = np.random.default_rng(n).integers(90, 255, (40, 48)).astype(np.uint8)
    mask = np.zeros((40, 48), np.uint8)
    if n % 4:
        cv2.ellipse(mask, (12 + n, 20), (9, 6), 0, 0, 360, 1, -1)
    return StudyPicture(np.where(mask > 0, pixels // 4, pixels).astype(np.uint8), mask > 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study's TOML, its pictures and its checkpoint."""
    root = tmp_path_factory.mktemp("study")
    splits = ("train", "train", "train", "val", "test", "test")
    write_folder(
        root / "blobs", ((f"{n:02}.png", blob(n)[0], blob(n)[1].astype(np.uint8), splits[n % 6]) for n in range(18))
    )
    few = StudyPictures([blob(n) for n in range(4)], list("abcd"))
    fit = Fit(FitSettings(size=32, batch=4, steps=2), Lessons(few, few), root / "run")
    fit.run()
    fit.best.rename(root / "ours.pt")
    (root / "few.toml").write_text(TINY)
    return root


def test_the_axes(folder: Path) -> None:
    wanted = cells(read_plan(folder / "few.toml"))
    told = {(cell.start, cell.pictures, cell.variant.built, cell.segment_steps) for cell in wanted}
    assert told == {
        *((("ours", n, "smartca-lite", 4 if n else 0)) for n in (0, 2, 4)),
        *((("imagenet", n, "smartca-lite", 4)) for n in (2, 4)),
        *((("scratch", n, "smartca-lite-scratch", 4)) for n in (2, 4)),
    }
    assert len({cell.key("data") for cell in wanted}) == 7 and not any(cell.classifier_steps for cell in wanted)
    other = msgspec.structs.replace(wanted[1], checkpoint="another")
    assert wanted[1].start == "ours" and wanted[1].key("data") != other.key("data")


def test_cells_that_were_made_before_keep_their_names() -> None:
    files = sorted((ROOT / "studies" / "cpu" / "cells").glob("*.json"))
    assert len(files) == 90
    for path in files:
        result = msgspec.json.decode(path.read_bytes(), type=CellResult)
        assert result.cell.key(result.digest) == path.stem


def test_fewer_pictures_are_always_among_more() -> None:
    all_of_them = StudyPictures([blob(n) for n in range(12)], [str(n) for n in range(12)])
    two, five = all_of_them.few(2, 1), all_of_them.few(5, 1)
    assert set(two.names) < set(five.names) and all(mask.any() for _, mask in five.items)
    assert all_of_them.few(5, 2).names != five.names
    with pytest.raises(ValueError, match="10 pictures are wanted and 9 hold something to find; ask for fewer"):
        all_of_them.few(10, 1)
    assert len(Repeated(two, 9)) == 9 and Repeated(two, 9)[3] is two[1]


def test_from_pictures_to_table(folder: Path) -> None:
    out, plan = folder / "out", folder / "two.toml"
    plan.write_text(TINY.replace("[0, 2, 4]", "[0, 2]"))
    study(plan=plan, out=out, threads=1)
    with (out / "results.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {(row["start"], row["pictures"]) for row in rows} == {
        ("ours", "0"), *((start, "2") for start in ("ours", "imagenet", "scratch"))
    }  # fmt: skip
    assert "| smartca-lite/iplf+ours+0 | 1 |" in (out / "table.md").read_text()
    before = {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    study(plan=plan, out=out, threads=1)
    assert before == {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('"scratch"]', '"nothing"]', "'nothing' is no start"),
        ('checkpoint = "ours.pt"', "", "the start 'ours' needs a checkpoint; name the file"),
        ('start = ["ours", "imagenet", "scratch"]', "", "pictures are counted without a start"),
        ("[0, 2, 4]", "[-1]", "pictures"),
    ],
)
def test_a_mistake_is_one_sentence(folder: Path, tmp_path: Path, before: str, after: str, says: str) -> None:
    (tmp_path / "few.toml").write_text(TINY.replace(before, after))
    with pytest.raises(ValueError, match=says):
        read_plan(tmp_path / "few.toml")


def test_a_checkpoint_that_is_not_there(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "few.toml").write_text(TINY)
    with pytest.raises(ValueError, match=r"ours.pt cannot be read"):
        cells(read_plan(tmp_path / "few.toml"))


def test_the_plan_that_ships_can_be_read() -> None:
    plan = read_plan(ROOT / "studies" / "adapt.toml")
    assert [variant.pictures for variant in plan.variants if variant.start == "ours"] == [0, 5, 10, 20, 40, 80]
    assert {variant.start for variant in plan.variants} == {"ours", "imagenet", "scratch"} and len(plan.seeds) == 3


def test_no_more_pictures_than_there_are(folder: Path, tmp_path: Path) -> None:
    few = TINY.replace('"ours.pt"', f'"{folder / "ours.pt"}"').replace('folder = "blobs"', 'folder = "blobs"\nmost = 3')
    (tmp_path / "few.toml").write_text(few)
    assert {cell.pictures for cell in cells(read_plan(tmp_path / "few.toml"))} == {0, 2}
