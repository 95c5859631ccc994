"""Scores over every frame, and the sentences for data that cannot be scored."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from smartca.commands.evaluate import evaluate as command
from smartca.engine import OperatingPoint, Sector, Segmenter, open_runner, open_segmenter
from smartca.evaluation.evaluate import evaluate, speckled_sample
from smartca.evaluation.samples import EvaluationSet, Sample, samples
from smartca.phantom import Phantom, screen
from smartca.pictures.labelled import split_of
from smartca.stream.sources.cine import write_cine


@pytest.fixture
def segmenter(network: Path) -> Segmenter:
    """Outlines what is bright."""
    return open_segmenter(network, precision="fp32")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures with a bright square as truth; the last two have none, and one is bright all the same."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    rows = []
    for number in range(6):
        mask = np.zeros((64, 64), np.uint8)
        mask[20:50, 20:50] = 255
        truth = mask if number < 4 else np.zeros_like(mask)
        picture = np.full_like(mask, 50) if number == 5 else np.maximum(mask, 50)
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), picture)
        cv2.imwrite(str(tmp_path / "masks" / f"{number}.png"), truth)
        rows.append((f"{number}.png", "train" if number == 0 else "test"))
    with (tmp_path / "split.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "split"), *rows])
    return tmp_path


def score(segmenter: Segmenter, data: str, split: str = "test", speckle: str = "none") -> dict:
    return evaluate(segmenter, samples(data, split, None), lambda done, total: None, speckle)


def one(*each: Sample, unit: str = "px") -> EvaluationSet:
    return EvaluationSet(iter(each), len(each), "pictures", unit)


def squares(truth_side: int, bright_side: int) -> Sample:
    """Two squares with one corner in common on a dark screen: what is true, and what is bright."""
    truth, pixels = np.zeros((128, 160), bool), np.full((128, 160), 40, np.uint8)
    truth[20 : 20 + truth_side, 30 : 30 + truth_side] = True
    pixels[20 : 20 + bright_side, 30 : 30 + bright_side] = 255
    return Sample(pixels, Sector(10, 10, 128, 110), truth, (0.2, 0.1))


def test_a_split_folder(segmenter: Segmenter, folder: Path) -> None:
    report = score(segmenter, str(folder))
    assert report["frames"] == {"evaluated": 5, "inferred": 5, "with_truth": 5}
    assert report["outlined_share"] == 0.8
    truth = report["truth"]
    assert (truth["false_positive_frames"], truth["negative_frames"]) == (1, 2)
    assert truth["tp"] + truth["fn"] == 3 * 900
    assert 0.6 < truth["dice_pooled"] < 0.9
    assert score(segmenter, str(folder), "train")["frames"]["evaluated"] == 1
    assert score(segmenter, str(folder), "all")["frames"]["evaluated"] == 6


def test_without_a_table_what_training_may_have_seen_is_left_out(segmenter: Segmenter, folder: Path) -> None:
    (folder / "split.csv").unlink()
    held_out = [n for n in range(6) if split_of(f"{n}.png") == "test"]
    assert 0 < len(held_out) < 6
    assert score(segmenter, str(folder))["frames"]["with_truth"] == len(held_out)
    assert score(segmenter, str(folder), "all")["frames"]["with_truth"] == 6


def test_phantoms(segmenter: Segmenter) -> None:
    ticks: list[tuple[int, int | None]] = []
    data = samples("phantom:seeds=90001..90003,frames=2", "test", None)
    report = evaluate(segmenter, data, lambda done, total: ticks.append((done, total)))
    assert ticks[-1] == (6, 6)
    truth = report["truth"]
    assert isinstance(truth, dict)
    assert truth["negative_frames"] >= 2  # 90003 is intact
    assert truth["tp"] + truth["fn"] > 0


def test_a_dark_picture_counts_as_no_result(segmenter: Segmenter, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "dark.png"), np.zeros((64, 64), np.uint8))
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((64, 64), 50, np.uint8))
    report = score(segmenter, str(tmp_path))
    assert report["states"] == {"tear_outlined": 0, "unsure": 0, "no_tear_outlined": 1, "no_result": 1, "stale": 0}
    assert report["frames"] == {"evaluated": 2, "inferred": 1, "with_truth": 0}
    assert "truth" not in report


def test_an_unsure_region_is_counted_beside_the_scores_and_changes_none(network: Path) -> None:
    """A square of q about 0.2: unsure where that begins at 0.1, and no outline at all without."""
    grey = np.full((128, 128), 40, np.uint8)
    grey[40:90, 40:90] = 146
    truth = grey > 100
    pictures = [Sample(grey, Sector(0, 0, 128, 128), mask, None) for mask in (truth, np.zeros_like(truth))]
    with open_runner(network, "fp32") as runner:
        plain, doubting = (
            evaluate(Segmenter(runner, OperatingPoint(unsure=unsure)), one(*pictures), lambda done, total: None)
            for unsure in (None, 0.1)
        )
    assert plain["states"]["no_tear_outlined"] == doubting["states"]["unsure"] == 2  # type: ignore[index]
    before, after = plain["truth"], doubting["truth"]
    assert isinstance(before, dict) and isinstance(after, dict)
    beside = ("tears_found_or_unsure", "lesion_sensitivity_or_unsure", "unsure_negative_frames")
    assert [before[name] for name in beside] == [0, 0.0, 0] and [after[name] for name in beside] == [1, 1.0, 1]
    assert all(before[name] == after[name] for name in before if name not in beside)
    assert after["tears_found"] == after["false_positive_frames"] == 0


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("phantom:seeds=5", "not understood"),
        ("phantom:seeds=9..5", "not understood"),
        ("phantom:seeds=1..2,frames=0", "not understood"),
        ("phantom:", "never ends"),
        ("missing", "no file or folder"),
    ],
)
def test_data_that_cannot_be_scored(data: str, says: str) -> None:
    with pytest.raises((ValueError, OSError), match=says):
        samples(data, "test", None)


def test_folders_that_cannot_be_scored(segmenter: Segmenter, folder: Path) -> None:
    with pytest.raises(ValueError, match="it has test, train"):
        samples(str(folder), "val", None)
    cv2.imwrite(str(folder / "masks" / "2.png"), np.zeros((10, 10), np.uint8))
    with pytest.raises(ValueError, match=r"2\.png"):
        score(segmenter, str(folder))
    (folder / "masks" / "1.png").unlink()
    with pytest.raises((ValueError, OSError), match=r"1\.png"):
        score(segmenter, str(folder))
    (folder / "split.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="columns"):
        samples(str(folder), "test", None)


def test_every_score_of_a_picture_is_reported(segmenter: Segmenter) -> None:
    report = evaluate(segmenter, one(squares(48, 48), squares(0, 48), unit="mm"), lambda done, total: None)
    truth = report["truth"]
    assert isinstance(truth, dict)
    precision, recall = truth["precision"], truth["recall"]
    assert truth["dice_pooled"] == pytest.approx(2 * precision * recall / (precision + recall))
    assert truth["iou"] == pytest.approx(truth["dice_pooled"] / (2 - truth["dice_pooled"]))
    assert truth["dice_per_image"] > 0.85  # over the first alone
    assert truth["dice_per_image"] > truth["dice_pooled"]  # as the second one's outline is all false
    assert (truth["tears"], truth["tears_found"], truth["outlines"], truth["false_outlines"]) == (1, 1, 2, 1)
    assert truth["unit"] == "mm"
    assert 0 < truth["surface_distance"] <= truth["hd95"] < 2.0
    assert (truth["surface_pictures"], truth["surface_pictures_left_out"]) == (1, 1)
    # of the whole square of 64 pixels a side only what is in question: about two squares, and the rims
    assert 2 * 24**2 * 0.7 < truth["ece_pixels"] < 3000
    assert 0.2 < truth["ece"] < 0.8  # half of what is bright is wrong
    assert report["speckle"] == "none"


def test_without_a_result_a_tear_is_missed_and_nothing_else_is_made_up(segmenter: Segmenter) -> None:
    dark = squares(48, 0)._replace(pixels=np.zeros((128, 160), np.uint8))
    truth = evaluate(segmenter, one(dark), lambda done, total: None)["truth"]
    assert isinstance(truth, dict)
    assert (truth["recall"], truth["dice_per_image"], truth["lesion_sensitivity"]) == (0.0, 0.0, 0.0)
    assert (truth["precision"], truth["hd95"], truth["ece"]) == (None, None, None)
    assert (truth["fn"], truth["surface_pictures_left_out"], truth["ece_pixels"]) == (48 * 48, 1, 0)


def test_speckle_is_in_the_sector_only_and_always_the_same() -> None:
    grey = squares(48, 48)
    sample = grey._replace(pixels=cv2.cvtColor(grey.pixels, cv2.COLOR_GRAY2BGR))
    before = sample.pixels.copy()
    once, again = (speckled_sample(sample, "severe", "a cine", 3) for _ in range(2))
    assert np.array_equal(once, again) and once.shape == (128, 160)
    assert np.array_equal(sample.pixels, before)
    changed = once != grey.pixels
    inside = np.zeros_like(changed)
    sample.sector.cut(inside)[...] = True
    assert not changed[~inside].any() and changed[inside].mean() > 0.8
    for name, number, level in (("a cine", 4, "severe"), ("another", 3, "severe"), ("a cine", 3, "moderate")):
        assert not np.array_equal(speckled_sample(sample, level, name, number), once)


def test_two_models_are_asked_about_the_same_noise(segmenter: Segmenter, folder: Path) -> None:
    seen: list[list[np.ndarray]] = []

    class Watched(Segmenter):
        def start(self, pixels: np.ndarray, sector: Sector | None = None) -> None:
            seen[-1].append(pixels.copy())
            super().start(pixels, sector)

    for threshold in (segmenter.point, segmenter.point):
        seen.append([])
        score(Watched(segmenter.runner, threshold), str(folder), speckle="severe")
    assert len(seen[0]) == 5
    assert all(np.array_equal(a, b) for a, b in zip(*seen, strict=True))
    assert not np.array_equal(seen[0][0], seen[0][1])


def test_speckle_reaches_the_network_but_not_the_truth(segmenter: Segmenter, folder: Path) -> None:
    clean, noisy = (score(segmenter, str(folder), speckle=level) for level in ("none", "severe"))
    assert noisy["speckle"] == "severe"
    assert noisy["truth"]["tp"] != clean["truth"]["tp"]
    assert noisy["truth"]["ece"] != clean["truth"]["ece"]
    assert noisy["truth"]["tp"] + noisy["truth"]["fn"] == clean["truth"]["tp"] + clean["truth"]["fn"]
    with pytest.raises(ValueError, match="moderate, severe"):
        score(segmenter, str(folder), speckle="heavy")


def test_millimetres_come_from_the_source_or_are_not_claimed(
    segmenter: Segmenter, folder: Path, tmp_path: Path
) -> None:
    assert samples("phantom:seeds=90001..90001,frames=1", "test", None).unit == "mm"
    assert samples(str(folder), "test", None).unit == "px"
    assert samples(str(folder / "images"), "test", None).unit == "px"
    chosen = samples("phantom:seed=90001,frames=2", "test", None)
    assert chosen.unit == "mm"
    sample = next(chosen.each)
    shot = screen(Phantom(90001).frame(0.0))
    assert sample.mm_per_pixel == pytest.approx(shot.mm_per_pixel) and sample.sector == shot.sector
    write_cine(tmp_path / "cine.mp4", 90001, 2, progress=lambda done, total: None)
    assert samples(str(tmp_path / "cine.mp4"), "test", None).name == "cine.mp4"


def test_the_command_prints_a_table_and_writes_the_report(network: Path, tmp_path: Path) -> None:
    path, data = tmp_path / "r.json", "phantom:seeds=90001..90001,frames=1"
    arguments = ["--data", data, "--model", str(network), "--threads", "1", "--report", str(path)]
    done = CliRunner().invoke(command, [*arguments, "--speckle", "moderate"], catch_exceptions=False)
    assert done.exit_code == 0
    for words in ("moderate speckle", "pooled Dice", "HD95 (mm)", "tears found", "calibration error", "without a tear"):
        assert words in done.output
    report = json.loads(path.read_text())
    assert report["speckle"] == "moderate"
    wanted = {"precision", "recall", "iou", "dice_pooled", "dice_per_image", "hd95", "surface_distance", "unit"}
    assert wanted | {"ece", "ece_pixels", "lesion_sensitivity"} <= report["truth"].keys()
    with pytest.raises(ValueError, match="there is no speckle 'heavy'"):
        CliRunner().invoke(command, [*arguments, "--speckle", "heavy"], catch_exceptions=False)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_picture_too_small_is_named(labelled: bool, folder: Path, segmenter: Segmenter) -> None:
    for part in ("images", "masks"):
        cv2.imwrite(str(folder / part / "3.png"), np.zeros((40, 6), np.uint8))
    data = folder if labelled else folder / "images"
    with pytest.raises(ValueError, match=r"3\.png: a picture of 6 x 40 pixels is too small to show"):
        score(segmenter, str(data))
