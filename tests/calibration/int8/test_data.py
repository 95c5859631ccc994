"""From what was typed to pictures: which calibrate and which are kept for the gate."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from smartca.calibration.int8.data import (
    BLOCK,
    CALIBRATE_PHANTOM,
    GATE,
    GATE_PHANTOM,
    POOLED_DICE,
    RECALL,
    CalibrationData,
)
from smartca.calibration.int8.gate import Limits
from support.int8_network import clip, several

SIDE = 64


def film(folder: Path, count: int) -> Path:
    """Pictures that each have their number as grey."""
    return clip(folder, [np.full((SIDE, SIDE), number + 1, np.uint8) for number in range(count)])


def labelled(folder: Path, splits: list[str]) -> Path:
    """images/, masks/ and split.csv; each mask has the values 1 and 2."""
    rows = [("file", "split")]
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number, (shown, split) in enumerate(zip(several(range(len(splits))), splits, strict=True)):
        assert shown.truth is not None
        mask = shown.truth.astype(np.uint8)
        mask[:3] = 2
        cv2.imwrite(str(folder / "images" / f"{number}.png"), shown.square)
        cv2.imwrite(str(folder / "masks" / f"{number}.png"), mask)
        rows.append((f"{number}.png", split))
    with (folder / "split.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def greys(shown: list) -> list[int]:
    return [int(one.square.max()) - 1 for one in shown]


def test_a_film_is_shared_and_neighbours_stay_together(tmp_path: Path) -> None:
    made = CalibrationData(str(film(tmp_path / "film", 60))).material(SIDE)
    calibrate, gate = greys(list(made.calibrate)), greys(list(made.gate))
    assert sorted(calibrate + gate) == list(range(60))
    assert gate == [*range(2 * BLOCK, 3 * BLOCK), *range(5 * BLOCK, 6 * BLOCK)]
    assert made.gate_words.endswith("film, other frames")
    assert all(one.truth is None for one in made.gate)


def test_a_long_film_is_looked_at_all_over(tmp_path: Path) -> None:
    """More frames than are wanted: evenly spread, to the end."""
    folder = clip(tmp_path / "film", [np.full((8, 8), number % 251, np.uint8) for number in range(600)])
    made = CalibrationData(str(folder)).material(SIDE)
    assert len(made.calibrate) + len(made.gate) == 200
    assert len(made.gate) <= GATE


def test_of_two_pictures_none_is_left_for_the_gate(tmp_path: Path) -> None:
    two = str(film(tmp_path / "film", 2))
    assert list(CalibrationData(two).material(SIDE).gate) == []
    assert len(CalibrationData(two, gate=two).material(SIDE).gate) == 2


def test_a_labelled_folder_keeps_its_splits(tmp_path: Path) -> None:
    folder = labelled(tmp_path / "mine", ["train"] * 4 + ["val"] * 2 + ["test"] * 3)
    made = CalibrationData(str(folder)).material(SIDE)
    assert (len(made.calibrate), len(made.gate)) == (4, 2)
    assert made.calibrate_words.endswith("mine, split train") and made.gate_words.endswith("mine, split val")
    wanted = several(range(6))[4:]
    for one, other in zip(made.gate, wanted, strict=True):
        assert one.truth is not None and other.truth is not None
        assert (one.square == other.square).all()
        assert (one.truth[3:] == other.truth[3:]).all() and one.truth[:3].all()


def test_one_class_of_the_masks(tmp_path: Path) -> None:
    folder = labelled(tmp_path / "mine", ["train", "val"])
    (only,) = CalibrationData(str(folder), mask_value=1).material(SIDE).gate
    assert only.truth is not None and not only.truth[:3].any() and only.truth.any()


def test_phantoms_are_judged_by_others_that_nothing_was_learnt_from() -> None:
    made = CalibrationData("phantom:seeds=3..4,frames=1", gate="phantom:seeds=86000..86000,frames=2").material(SIDE)
    assert (len(made.calibrate), len(made.gate)) == (2, 2)
    assert made.gate_words == "phantom:seeds=86000..86000,frames=2"
    assert all(one.truth is not None and one.square.shape == (SIDE, SIDE) for one in made.gate)


def test_a_gate_of_its_own(tmp_path: Path) -> None:
    clip, folder = film(tmp_path / "film", 9), labelled(tmp_path / "mine", ["train", "val", "val"])
    made = CalibrationData(str(clip), gate=str(folder)).material(SIDE)
    assert (len(made.calibrate), len(made.gate)) == (9, 2)
    assert made.gate_words == f"{folder}, split val"
    made = CalibrationData(str(folder), gate=str(clip)).material(SIDE)
    assert (len(made.calibrate), len(made.gate), made.gate_words) == (1, 9, str(clip))


def test_the_phantoms_of_a_bare_word_stay_apart() -> None:
    first, gate = (words.partition("seeds=")[2].partition(",")[0] for words in (CALIBRATE_PHANTOM, GATE_PHANTOM))
    assert int(first.split("..")[1]) < int(gate.split("..")[0])


def test_what_was_typed_is_told_again() -> None:
    assert CalibrationData("phantom").as_typed() == ()
    told = CalibrationData("clip.mp4", "other.mp4", "0,0,9,9", 2, 0.2).as_typed()
    assert told == ("--gate", "other.mp4", "--crop", "0,0,9,9", "--mask-value", "2", "--worst-frame", "0.2")
    assert CalibrationData("phantom", worst_frame=0.2).digest() != CalibrationData("phantom").digest()
    assert Limits().worst == CalibrationData("phantom").worst_frame
    assert (Limits().dice, Limits().recall) == (POOLED_DICE, RECALL)
    loose = CalibrationData("phantom", gate_dice=0.02, gate_recall=0.03)
    assert loose.as_typed() == ("--gate-dice", "0.02", "--gate-recall", "0.03")
    assert loose.digest() != CalibrationData("phantom").digest()


@pytest.mark.parametrize(
    "data", [CalibrationData("phantom:seeds=x"), CalibrationData("nowhere"), CalibrationData("phantom", crop="1,2")]
)
def test_what_is_not_understood_is_one_sentence(data: CalibrationData) -> None:
    with pytest.raises((ValueError, OSError)) as error:
        data.material(SIDE)
    assert "\n" not in str(error.value)
