"""Scores over every frame, and the sentences for data that cannot be scored."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from smartca.engine import Segmenter, open_runner, segmenter_for
from smartca.stream.evaluate import evaluate, samples


@pytest.fixture
def segmenter(network: Path) -> Segmenter:
    """Outlines what is bright."""
    return segmenter_for(open_runner(network, "fp32"), network)


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


def score(segmenter: Segmenter, data: str, split: str = "test") -> dict:
    return evaluate(segmenter, samples(data, split, None), lambda done, total: None)


def test_a_split_folder(segmenter: Segmenter, folder: Path) -> None:
    report = score(segmenter, str(folder))
    assert report["frames"] == {"evaluated": 5, "inferred": 5, "with_truth": 5}
    assert report["outlined_share"] == 0.8
    truth = report["truth"]
    assert (truth["false_positive_frames"], truth["negative_frames"]) == (1, 2)
    assert truth["tp"] + truth["fn"] == 3 * 900
    assert 0.6 < truth["dice_pooled"] < 0.9
    assert score(segmenter, str(folder), "train")["frames"]["evaluated"] == 1


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
    assert report["states"] == {"tear_outlined": 0, "no_tear_outlined": 1, "no_result": 1, "stale": 0}
    assert report["frames"] == {"evaluated": 2, "inferred": 1, "with_truth": 0}
    assert "truth" not in report


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
