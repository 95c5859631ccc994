"""Folders to train on, and one sentence for everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from smartca.engine.labelled import read_grey, read_mask, split_of
from smartca.train.data.datasets import check, open_data

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
ROWS, COLUMNS = 40, 60
TRUTH = np.zeros((ROWS, COLUMNS), bool)
TRUTH[5:25, 10:30] = True
ALL = ("train", "validate", "test")


def picture(folder: Path, name: str, level: int = 90) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(folder / name), np.full((ROWS, COLUMNS), level, np.uint8))


def folder(root: Path, names: tuple[str, ...] = ("0.png", "1.png", "2.png")) -> Path:
    """Pictures and masks, one in each split."""
    for name in names:
        picture(root / "images", name)
        (root / "masks").mkdir(exist_ok=True)
        cv2.imwrite(str(root / "masks" / name), TRUTH.astype(np.uint8) * 255)
    (root / "split.csv").write_text("file,split\n" + "".join(map("{},{}\n".format, names, ("train", "val", "test"))))
    return root


def sentence(data: Path, split: str = "train", **options: Any) -> str:
    """What opening and checking the data says."""
    with pytest.raises((OSError, ValueError)) as caught:
        check(open_data(data, split, **options))
    told = str(caught.value)
    assert str(data) in told and "\n" not in told and len(told) < 320 + len(str(data)) * 2, told
    return told


def test_a_folder_and_its_check(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    checked = check(open_data(folder(tmp_path), "train"), lambda *done: heard.append(done))
    assert (checked.pictures, checked.with_tear, heard) == (1, 1, [(1, 1)])
    assert checked.share == pytest.approx(400 / 2400)


def test_a_table_from_a_spreadsheet(tmp_path: Path) -> None:
    (folder(tmp_path) / "split.csv").write_text("\ufefffile;split;patient\r\n0.png;Train;7\r\n", encoding="utf-8")
    assert len(open_data(tmp_path, "train")) == 1


def test_without_a_table_the_name_decides_for_ever(tmp_path: Path) -> None:
    names = [f"scan_{number}.png" for number in range(60)]
    (folder(tmp_path, tuple(names)) / "split.csv").unlink()
    parts = {split: {Path(name).name for name in open_data(tmp_path, split).files} for split in ALL}  # type: ignore
    assert set.union(*parts.values()) == set(names) and sum(map(len, parts.values())) == 60
    assert 30 <= len(parts["train"]) <= 54 and min(map(len, parts.values())) > 2
    assert [split_of(name) for name in ("scan_1.png", "scan_2.png", "scan_15.png")] == [
        next(split for split in ALL if name in parts[split]) for name in ("scan_1.png", "scan_2.png", "scan_15.png")
    ]
    many = [split_of(str(number)) for number in range(4000)]
    assert [round(many.count(split) / 4000, 1) for split in ("train",)] == [0.7]
    assert abs(many.count("test") / 4000 - 0.15) < 0.02


def test_a_mask_may_have_a_suffix_of_its_own(tmp_path: Path) -> None:
    (folder(tmp_path, ("0.jpg", "1.jpg", "2.jpg")) / "masks" / "0.jpg").unlink()
    cv2.imwrite(str(tmp_path / "masks" / "0.png"), TRUTH.astype(np.uint8))
    assert np.array_equal(open_data(tmp_path, "train")[0][1], TRUTH)
    assert "is a JPEG, which blurs" in sentence(tmp_path, "validate")


def test_every_bad_mask_is_named(tmp_path: Path) -> None:
    mask = folder(tmp_path) / "masks" / "0.png"
    cv2.imwrite(str(mask), np.zeros((10, 20), np.uint8))
    assert "0.png has another size (20 x 10) than its picture (60 x 40)" in sentence(tmp_path)
    cv2.imwrite(str(mask), np.tile(np.arange(COLUMNS, dtype=np.uint8), (ROWS, 1)))
    assert "has 60 grey values, as a photograph has" in sentence(tmp_path)
    mask.write_text("no mask")
    assert "is no picture that can be read" in sentence(tmp_path)
    mask.unlink()
    assert "every picture needs a mask of the same name" in sentence(tmp_path)
    cv2.imwrite(str(mask), TRUTH.astype(np.uint8))
    assert "is 3 the tear's mask value?" in sentence(tmp_path, mask_value=3)
    cv2.imwrite(str(mask), np.zeros_like(TRUTH, np.uint8))
    assert "not one of the 1 pictures" in sentence(tmp_path)


def test_every_bad_picture_is_named(tmp_path: Path) -> None:
    path = folder(tmp_path) / "images" / "0.png"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"text"):
        path.write_bytes(content)
        assert "0.png is no picture that can be read" in sentence(tmp_path)
    noise = np.random.default_rng(0).integers(0, 255, (ROWS, COLUMNS), np.uint8)
    cv2.imwrite(str(path.with_suffix(".jpg")), noise)
    path.write_bytes(path.with_suffix(".jpg").read_bytes()[:1200])
    assert "0.png is no picture that can be read" in sentence(tmp_path)
    path.unlink()
    assert "0.png is missing" in sentence(tmp_path)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("name,part\n0.png,train\n", "needs a first line with the columns file,split"),
        ("", "needs a first line with the columns file,split"),
        ("file,split\n0.png,test\n", "gives no picture to the split train; it has test"),
        ("file,split\n0.png\n", "line 2 gives no file or no split"),
        ("file,split\n../../0.png,train\n", "leaves the folder"),
        ("file,split\n/etc/0.png,train\n", "leaves the folder"),
        ("file,split\n0.png,train\n0.png,test\n", "0.png is in two splits"),
    ],
)
def test_every_bad_table_is_named(tmp_path: Path, table: str, told: str) -> None:
    (folder(tmp_path) / "split.csv").write_text(table)
    assert told in sentence(tmp_path)
    (tmp_path / "split.csv").write_bytes("file,split\n0.png,train\nü.png,test".encode("latin-1"))
    assert "is not a CSV table in UTF-8" in sentence(tmp_path)


def test_what_is_no_data_is_told(tmp_path: Path) -> None:
    assert "there is no file or folder" in sentence(tmp_path / "gone")
    assert "holds no masks and no annotations" in sentence(tmp_path)
    (tmp_path / "masks").mkdir()
    assert "images is missing" in sentence(tmp_path)
    (tmp_path / "images").mkdir()
    assert "there is no picture in" in sentence(tmp_path)
    picture(tmp_path / "images", "scan_1.png")
    empty = next(split for split in ALL if split != split_of("scan_1.png"))
    assert f"too few pictures for a split {empty}" in sentence(tmp_path, empty)
    assert "masks, which have values and no labels" in sentence(tmp_path, label="tear")


def test_pictures_of_all_kinds_become_grey(tmp_path: Path) -> None:
    deep = np.linspace(0, 4095, ROWS * COLUMNS).astype(np.uint16).reshape(ROWS, COLUMNS)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    assert np.array_equal(read_grey(tmp_path / "deep.png"), deep >> 4)
    colour = np.dstack([np.full((ROWS, COLUMNS), level, np.uint8) for level in (10, 100, 200, 255)])
    cv2.imwrite(str(tmp_path / "colour.png"), colour)
    assert (read_grey(tmp_path / "colour.png") == 120).all()  # .114 B + .587 G + .299 R
    marks = Image.fromarray(TRUTH.astype(np.uint8)).convert("P")
    marks.putpalette([0, 0, 0, 255, 255, 255])
    marks.save(tmp_path / "palette.png")
    assert np.array_equal(read_mask(tmp_path / "palette.png"), TRUTH)
    cv2.imwrite(str(tmp_path / "mask16.png"), TRUTH.astype(np.uint16) * 7)
    assert set(np.unique(read_mask(tmp_path / "mask16.png"))) == {0, 7}


@pytest.mark.parametrize("name", ["seg_msk_usgra", "seg_lesion_busi"])
def test_real_folders_pass_the_check(name: str) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip("shared/data is absent")
    checked = check(open_data(SHARED / name, "test"))
    assert checked.pictures > 20 and checked.with_tear > 10 and 0 < checked.share < 0.3
