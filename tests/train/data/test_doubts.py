"""What is said of labelled pictures before the first step."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from smartca.pictures.labelled import LabelledFolder
from smartca.train.data.doubts import doubts


def folder(root: Path, rows: list[tuple[str, str, str]], side: int = 40, value: int = 255) -> Path:
    for name, _, _ in rows:
        for part in ("images", "masks"):
            (root / part / name).parent.mkdir(parents=True, exist_ok=True)
        mask = np.zeros((300, 300), np.uint8)
        mask[100 : 100 + side, 100 : 100 + side] = value
        cv2.imwrite(str(root / "images" / name), np.full((300, 300), 90, np.uint8))
        cv2.imwrite(str(root / "masks" / name), mask)
    lines = [",".join(row) for row in [("file", "split", "patient"), *rows]]
    (root / "split.csv").write_text("\n".join(lines))
    return root


def told(root: Path, value: int | None = None, size: int = 64) -> list[str]:
    return doubts(LabelledFolder(root, "train", value), LabelledFolder(root, "val", value), size)


def test_sound_pictures_give_no_doubt(tmp_path: Path) -> None:
    assert told(folder(tmp_path, [("a.png", "train", "p1"), ("b.png", "val", "p2")])) == []


def test_a_patient_on_both_sides_is_said(tmp_path: Path) -> None:
    (words,) = told(folder(tmp_path, [("a.png", "train", "p1"), ("b.png", "val", "p1")]))
    assert "such as p1, have pictures in both train and val" in words


def test_a_folder_of_a_patient_on_both_sides_is_said(tmp_path: Path) -> None:
    (words,) = told(folder(tmp_path, [("p7/a.png", "train", ""), ("p7/b.png", "val", "")]))
    assert "such as p7" in words


def test_a_tear_that_vanishes_is_said(tmp_path: Path) -> None:
    (words,) = told(folder(tmp_path, [("a.png", "train", "p1"), ("b.png", "val", "p2")], side=1), size=32)
    assert "the tear of 1 of 1 pictures, such as a.png, is too small to be seen at 32 x 32" in words


def test_merged_classes_are_said_unless_one_is_picked(tmp_path: Path) -> None:
    root = folder(tmp_path, [("a.png", "train", "p1"), ("b.png", "val", "p2")])
    mask = np.zeros((300, 300), np.uint8)
    mask[:50], mask[100:150] = 1, 2
    cv2.imwrite(str(root / "masks" / "a.png"), mask)
    (words,) = told(root)
    assert "values 1, 2, and all of them count as tear" in words
    assert told(root, 2) == []
