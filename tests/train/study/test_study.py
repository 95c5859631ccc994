from __future__ import annotations

import csv
import re
import signal
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from scipy.stats import wilcoxon
from smartca.commands.study import study as command
from smartca.train.data.cache import Recipe
from smartca.train.study import pictures, scoring, statistics, table
from smartca.train.study.cells import CellResult, Examined, StudyFolder, run_cell
from smartca.train.study.pictures import StudyPicture, StudyPictures
from smartca.train.study.plan import StudyPlan, cells, read_plan
from smartca.train.study.run import StudyRun, open_study_data, run_cells
from smartca.train.study.study import study
from support.killable import begun
from support.paths import ROOT
from support.study_folder import write_folder
from support.waiting import PATIENCE_S, wait_until
from torch import nn

STUDIES = ROOT / "studies"
TINY = """
name = "tiny"
size = 32
batch = 4
steps = 4
seeds = [1, 2]
levels = ["none", "severe"]

[[data]]
name = "blobs"
folder = "blobs"

[[compare]]
networks = ["smartca-lite", "smartca-lite-noclassifier"]
losses = ["iplf"]

[[compare]]
networks = ["smartca-lite"]
losses = ["ce"]
"""


def ellipse(n: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rng = np.random.default_rng(n)
    pixels, mask = rng.integers(90, 250, (48, 40)).astype(np.uint8), np.zeros((48, 40), np.uint8)
    if n % 4:
        cv2.ellipse(mask, tuple(rng.integers(14, 28, 2).tolist()), (9, 5 + n % 3), float(n * 20), 0, 360, 255, -1)
    pixels[mask > 0] //= 5
    return pixels, mask


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study's TOML beside a folder of dark ellipses on bright noise, every fourth picture without one."""
    root = tmp_path_factory.mktemp("study")
    write_folder(
        root / "blobs",
        ((f"{n}.png", *ellipse(n), "train" if n < 8 else "val" if n < 12 else "test") for n in range(20)),
    )
    (root / "tiny.toml").write_text(TINY)
    return root


@pytest.fixture(scope="module")
def done(folder: Path) -> Path:
    """The tiny study, run to its end."""
    return study(plan=folder / "tiny.toml", out=folder / "whole", threads=1).parent


def scores(out: Path) -> list[dict[str, str]]:
    """results.csv without what a clock decides, by cell."""
    with (out / "results.csv").open(newline="") as lines:
        rows = [{k: v for k, v in row.items() if "seconds" not in k} for row in csv.DictReader(lines)]
    return sorted(rows, key=lambda row: (row["network"], row["loss"], row["seed"], row["level"]))


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("size = 32", "size = 32\nsighs = 3", "sighs"),
        ("size = 32", "size = 33", "multiple of 32"),
        ("size = 32", "size = = 3", "line 3"),
        ("steps = 4\n", "", "steps"),
        ("[1, 2]", "[1, 1]", "twice"),
        ('["none", "severe"]', '["severe"]', "start with none"),
        ('["none", "severe"]', '["none", "loud"]', "'loud' is no level; known are none,"),
        ('["none", "severe"]', '["none", "sever"]', r"'sever' is no level \(is severe meant\?\); known are none,"),
        ('["iplf"]', '["ipfl"]', r"'ipfl' is no loss \(is iplf meant\?\); known are iplf,"),
        ('["ce"]', '["luck"]', "'luck' is no loss; known are"),
        ('"smartca-lite-noclassifier"', '"segnett"', r"'segnett' is no network \(is segnet meant\?\)"),
        ("[1, 2]", "[-1]", r"int.* >= 0 - at .*seeds"),
        ("[1, 2]", "[9223372036854775808]", r"int.* <= 9223372036854775807 - at .*seeds"),
        ("steps = 4", "steps = 4\nlearning_rate = nan", "float.* > 0.0 - at .*learning_rate"),
        ("steps = 4", 'steps = 4\nreference = "smartca-lite/ipf"', r"compared here \(is smartca-lite/iplf meant\?\)"),
        ('folder = "blobs"', 'phantom = {train = 1, validate = 1, test = 1}\nlabel = "x"', "leave out mask_value and"),
        ('folder = "blobs"', "", "either a folder or a phantom"),
        ('["ce"]', "[]", "losses|length"),
        ('["iplf"]', '["dice"]', "reference 'smartca-lite/iplf' is not compared here"),
    ],
)
def test_a_mistake_in_the_plan_is_one_sentence(tmp_path: Path, before: str, after: str, says: str) -> None:
    path = tmp_path / "wrong.toml"
    assert before in TINY
    path.write_text(TINY.replace(before, after))
    with pytest.raises(ValueError, match=says) as caught:
        read_plan(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["smoke", "cpu", "full"])
def test_the_plans_that_ship_can_be_read(name: str) -> None:
    plan = read_plan(STUDIES / f"{name}.toml")
    labels = [cell.label for cell in cells(plan)]
    assert plan.name == name and len(set(labels)) == len(labels) >= 4


def test_every_cell_is_shown_as_many_pictures(folder: Path) -> None:
    plan = read_plan(folder / "tiny.toml")
    wanted = cells(plan)
    assert len(wanted) == 6 and {cell.classifier_steps + cell.segment_steps for cell in wanted} == {4}
    with_classifier = [cell.network for cell in wanted if cell.classifier_steps]
    assert with_classifier == ["smartca-lite"] * 4
    assert [cell.seed for cell in cells(plan, "blobs/*/ce/*")] == [1, 2]
    with pytest.raises(ValueError, match="fits no cell"):
        cells(plan, "nothing")


@pytest.mark.parametrize("field", ["loss", "seed", "size", "batch", "segment_steps", "learning_rate", "half", "recipe"])
def test_the_key_changes_with_whatever_decides_the_result(folder: Path, field: str) -> None:
    cell = cells(read_plan(folder / "tiny.toml"))[0]
    value = getattr(cell, field)
    change = {"loss": "ce", "half": not value}.get(field, value * 2)
    other = msgspec.structs.replace(cell, **{field: change})
    assert len({cell.key("data"), other.key("data"), cell.key("other data")}) == 3


def test_speckle_is_the_same_for_everyone(folder: Path) -> None:
    pixels = np.full((64, 64), 120, np.uint8)
    severe = pictures.under(pixels, "a.png", "severe")
    assert np.array_equal(severe, pictures.under(pixels, "a.png", "severe"))
    assert not np.array_equal(severe, pictures.under(pixels, "b.png", "severe"))
    assert np.array_equal(pixels, pictures.under(pixels, "a.png", "none"))
    twice = StudyPictures([StudyPicture(pixels, pixels > 0)], ["a.png"]).speckled()
    assert len(twice) == 3 and twice[2].pixels.std() > twice[1].pixels.std() > 0


def test_the_digest_sees_a_pixel(folder: Path, tmp_path: Path) -> None:
    plan = read_plan(folder / "tiny.toml")
    before = pictures.load_data(plan.data[0], folder)
    path = folder / "blobs" / "images" / "13.png"
    kept, changed = path.read_bytes(), before.test[1].pixels.copy()
    changed[0, 0] ^= 1
    cv2.imwrite(str(path), changed)
    assert pictures.load_data(plan.data[0], folder).digest != before.digest
    path.write_bytes(kept)
    assert pictures.load_data(plan.data[0], folder).digest == before.digest
    with pytest.raises(ValueError, match="--data-root"):
        pictures.load_data(plan.data[0], tmp_path)


def test_only_held_out_phantoms_are_tested_on() -> None:
    assert pictures._HeldOut((90_000,)).key != Recipe((80_000,)).key
    with pytest.raises(ValueError, match="trained on"):
        pictures._HeldOut((89_999,))


class Seer(nn.Module):
    """Outlines what is dark: right on the blobs."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(40.0))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return (0.28 - image) * self.weight


def test_who_sees_the_truth_scores_one() -> None:
    mask = np.zeros((32, 32), np.bool_)
    mask[8:16, 10:20] = True
    items = [StudyPicture(np.where(m, 20, 200).astype(np.uint8), m) for m in (mask, mask.T, np.zeros_like(mask))]
    split = StudyPictures(items, ["a", "b", "c"])
    data = pictures.DataSet("squares", split, split, split, "digest of squares")
    network = Seer()
    best = scoring.choose_threshold(network, torch.Tensor.float, split, 32, 2)
    found = scoring.score(network, torch.Tensor.float, data, "none", best.logit, 32, 2)
    assert (found.dice, found.precision, found.recall, found.iou, found.hd95) == (1, 1, 1, 1, 0)
    assert (found.lesions, found.lesion_sensitivity) == (2, 1)
    assert (found.false_positive_pictures, found.negative_pictures) == (0, 1)
    assert found.counts == ((80, 0, 0), (80, 0, 0), (0, 0, 0))
    assert np.array_equal(scoring.unpacked(found.outlines["a"]), mask)
    none = scoring.score(network, torch.Tensor.float, data, "none", 50.0, 32, 2)
    assert (none.dice, none.precision, none.recall, none.hd95, none.hd95_left_out) == (0, None, 0, None, 2)


def test_holm_by_hand() -> None:
    assert statistics.holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0] and statistics.holm([]) == []


def test_paired_comparisons() -> None:
    rng = np.random.default_rng(0)
    tp = rng.integers(60, 90, (3, 25))
    theirs = np.stack([tp, 100 - tp, 100 - tp], -1).astype(np.float64)
    ours = theirs + np.array([8.0, -8.0, -8.0])
    low, high = statistics.interval(ours, theirs)
    assert low == pytest.approx(0.08, abs=1e-6) and high == pytest.approx(0.08, abs=1e-6)
    noisy = theirs + rng.integers(-6, 7, (3, 25, 1)) * np.array([1.0, -1.0, -1.0])
    low, high = statistics.interval(noisy, theirs)
    assert low < float(statistics.pooled_dice(noisy.sum((0, 1))) - statistics.pooled_dice(theirs.sum((0, 1)))) < high
    each = [statistics.dice_by_picture(counts) for counts in (noisy, theirs)]
    _, p = wilcoxon(each[0], each[1])
    assert statistics.paired_p(*each) == pytest.approx(p)
    assert statistics.paired_p(each[0], each[0]) == 1.0
    few = np.array([0.1, 0.4, 0.3, 0.0, 0.0])  # two pictures in which both rows find nothing
    assert 0.05 < statistics.paired_p(few, few * 0.5) < 0.5


def made(plan: StudyPlan, dice: dict[str, float]) -> list[CellResult]:
    """Results of every cell, each row with the pixels right that its Dice says."""
    results = []
    for cell in cells(plan):
        right = round(1000 * dice[cell.variant.label]) + cell.seed
        tally = scoring.LevelTally()
        tally.each = [(right, 1000 - right, 1000 - right)] * 12
        tally.counts.tp, tally.counts.fp, tally.counts.fn = 12 * right, 12 * (1000 - right), 12 * (1000 - right)
        levels = {level: tally.level() for level in plan.levels}
        test = Examined(tuple("abcdefghijkl"), (1000,) * 12)
        results.append(CellResult(cell, "d", 9, 9, 0.0, 0.5, 8, test, levels, 1.0, 2.0, 3.0, "cpu", 1, "2"))
    return results


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (0.8, r"\*\*smartca-lite/ce\*\* has the highest Dice \(0.80.\); smartca-lite/iplf comes 2nd of 3 with 0.70."),
        (0.6, r"\*\*smartca-lite/iplf\*\* has the highest Dice \(0.70.\); next is smartca-lite-noclassifier/iplf"),
    ],
)
def test_the_sentence_names_whoever_wins(folder: Path, other: float, says: str) -> None:
    plan = read_plan(folder / "tiny.toml")
    dice = {"smartca-lite/iplf": 0.7, "smartca-lite-noclassifier/iplf": 0.65, "smartca-lite/ce": other}
    text = table.markdown(plan, made(plan, dice))
    assert re.search(says, text), text
    assert "| smartca-lite/iplf | 2 | 0.702 ± 0.001 |" in text and "6 of 6 trainings" in text


def test_a_study_from_pictures_to_table(done: Path, folder: Path) -> None:
    rows = scores(done)
    assert len(rows) == 6 * 2 and all(0 <= float(row["dice"]) <= 1 for row in rows)
    assert {row["presentations"] for row in rows} == {"16"}
    text = (done / "table.md").read_text()
    assert "On blobs, speckle severe," in text and "6 of 6" in text
    drawn = sorted(done.glob("*.png"))
    assert len(drawn) == 7 and all(5_000 < path.stat().st_size < 500_000 for path in drawn)
    assert len(list((done / "cells").iterdir())) == 6 and not list((done / "work").iterdir())


def test_what_is_done_is_not_done_again(done: Path, folder: Path) -> None:
    files = sorted((done / "cells").iterdir())
    before, rows = [path.stat().st_mtime_ns for path in files], scores(done)
    files[0].write_bytes(files[0].read_bytes()[:99])  # a damaged one is
    study(plan=folder / "tiny.toml", out=done, threads=1)
    after = [path.stat().st_mtime_ns for path in files]
    assert after[1:] == before[1:] and after[0] != before[0] and scores(done) == rows


def two_at_once(plan: Path, out: Path) -> None:
    """The study in two processes."""
    study(plan=plan, out=out, threads=2, jobs=2)


def test_killed_and_started_again_it_ends_the_same(done: Path, folder: Path) -> None:
    """Two cells at once until the kill, then one after the other: the same numbers as never interrupted."""
    out = folder / "killed"
    process = begun(two_at_once, folder / "tiny.toml", out)
    wait_until(lambda: process.exitcode is not None or list(out.glob("cells/*.json")), seconds=200)
    process.kill()
    process.join(PATIENCE_S)
    assert process.exitcode == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in out.glob("cells/*.json")}
    assert 1 <= len(kept) < 6
    study(plan=folder / "tiny.toml", out=out, threads=1)
    assert scores(out) == scores(done) and all(path.stat().st_mtime_ns == at for path, at in kept.items())


def test_a_cell_that_fails_does_not_stop_the_others(folder: Path) -> None:
    plan = read_plan(folder / "tiny.toml")
    good = cells(plan, "*-noclassifier/*/1")[0]
    bad = msgspec.structs.replace(good, learning_rate=1e30)
    bench = StudyRun(StudyFolder(folder / "failing"), folder, threads=1)
    failures = run_cells(plan, [bad, good], bench)
    assert len(failures) == 1 and failures[0].startswith(good.label)
    assert bench.place.read(good, open_study_data(plan, bench)["blobs"].digest) is not None


def test_training_with_speckle_is_another_row(folder: Path) -> None:
    plan = read_plan(folder / "tiny.toml")
    cell = msgspec.structs.replace(cells(plan, "*-noclassifier/*/1")[0], speckle=True)
    bench = StudyRun(StudyFolder(folder / "speckled"), folder, threads=1)
    result = run_cell(cell, open_study_data(plan, bench)["blobs"], bench.place)
    assert result.cell.variant.label == "smartca-lite-noclassifier/iplf+speckle" and result.presentations == 16


@pytest.mark.parametrize(
    ("before", "after", "options", "says"),
    [
        ('"smartca-lite-noclassifier"', '"wnet"', [], "'wnet' is no network"),
        ('"smartca-lite-noclassifier"', '"smartca-wnet"', [], "'smartca-wnet' is no network"),
        ('"blobs"', '"blobs"', ["--only", "nothing"], "--only 'nothing' fits no cell"),
        ('folder = "blobs"', 'folder = "gone"', [], "the data 'blobs', is not there; give --data-root DIR"),
        ('folder = "blobs"', 'folder = "blobs"\nmask_value = 9', [], "is 9 the tear's mask value?"),
    ],
)
def test_what_the_command_refuses_leaves_nothing(
    before: str, after: str, options: list[str], says: str, folder: Path, tmp_path: Path
) -> None:
    path, out = tmp_path / "odd.toml", tmp_path / "out"
    path.write_text(TINY.replace(before, after))
    given = [str(path), "--out", str(out), "--data-root", str(folder), *options]
    found = CliRunner().invoke(command, given)
    assert isinstance(found.exception, ValueError) and says in str(found.exception)
    assert list(tmp_path.iterdir()) == [path]
