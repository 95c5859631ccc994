"""Lesions cut out of labelled pictures, and the two halves that never meet."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from smartca.errors import InputError
from smartca.pictures.breast_lesions import HALVES, MARKED, OTHER_SIDE, lesions_for
from smartca.pictures.labelled import read_table
from support.paths import SHARED

BUSI = SHARED / "seg_lesion_busi"


def write(folder: Path, table: str, **boxes: tuple[int, int, int, int]) -> None:
    """Pictures of 100 x 120 with a lesion of row, column, rows, columns each."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for name, (row, column, rows, columns) in boxes.items():
        grey, mask = np.full((100, 120), 90, np.uint8), np.zeros((100, 120), np.uint8)
        grey[row : row + rows, column : column + columns] = 30
        mask[row : row + rows, column : column + columns] = 255
        cv2.imwrite(str(folder / "images" / f"{name}.png"), grey)
        cv2.imwrite(str(folder / "masks" / f"{name}.png"), mask)
    (folder / "split.csv").write_text("file,split\n" + table)


def test_each_half_takes_its_own_with_surroundings(tmp_path: Path) -> None:
    table = "a.png,train\nb.png,val\nc.png,test\nedge.png,train\nspot.png,train\nmalignant_3.png,test\n"
    places = {"a": (40, 50, 20, 30), "b": (30, 30, 20, 20), "c": (50, 60, 20, 20)}
    write(tmp_path, table, **places, edge=(0, 50, 20, 30), spot=(50, 50, 3, 3), malignant_3=(40, 50, 20, 30))
    (one,) = lesions_for("train", tmp_path)  # one touches the border, one is tiny
    assert one.name == "a.png" and one.grey.shape == one.mask.shape
    assert one.mask.sum() == 600 and (one.grey[one.mask] == 30).all() and (one.grey[~one.mask] == 90).all()
    assert (~one.mask)[0].all() and (~one.mask)[:, 0].all()
    assert {lesion.name for lesion in lesions_for("test", tmp_path)} == {"b.png", "c.png"}


def test_what_cannot_be_taken(tmp_path: Path) -> None:
    write(tmp_path, "edge.png,train\n", edge=(0, 50, 20, 30))
    with pytest.raises(InputError, match="give train or test"):
        lesions_for("val", tmp_path)
    for half in HALVES:
        with pytest.raises(InputError, match="no lesion"):
            lesions_for(half, tmp_path)


@pytest.mark.skipif(not BUSI.is_dir(), reason="the shared breast pictures are not here")
def test_the_halves_of_busi_do_not_meet() -> None:
    train, test = ({lesion.name for lesion in lesions_for(half, BUSI)} for half in ("train", "test"))
    assert len(train) > 30 and len(test) > 15 and not train & test
    assert not (train | test) & (MARKED | OTHER_SIDE)
    splits = dict(read_table(BUSI / "split.csv"))
    assert {splits[name] for name in train} == {"train"} and "train" not in {splits[name] for name in test}
