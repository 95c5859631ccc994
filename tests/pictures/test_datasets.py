"""Folders to train on, and one sentence for everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from smartca.evaluation.samples import samples
from smartca.pictures.datasets import check_samples, digest_of, needs_tear, open_data
from smartca.pictures.labelled import split_of
from smartca.pictures.masks import read_mask
from smartca.pictures.stills import read_grey
from support.paths import SHARED

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
        check_samples(open_data(data, split, **options))
    told = str(caught.value)
    assert str(data) in told and "\n" not in told and len(told) < 320 + len(str(data)) * 2, told
    return told


def test_a_folder_and_its_check(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    checked = check_samples(open_data(folder(tmp_path), "train"), lambda *done: heard.append(done))
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


def layers(marks: np.ndarray, alpha: np.ndarray | None = None) -> Image.Image:
    """A mask of three equal channels, and its opacity where one is given."""
    return Image.fromarray(np.dstack([marks] * 3 + ([] if alpha is None else [alpha])))


def test_a_mask_of_several_equal_channels_is_read_by_its_values(tmp_path: Path) -> None:
    marks, opaque = TRUTH.astype(np.uint8) * 2, np.full(TRUTH.shape, 255, np.uint8)
    for name, image in (("rgb", layers(marks)), ("rgba", layers(marks, opaque)), ("la", layers(marks).convert("LA"))):
        image.save(tmp_path / f"{name}.png")
        assert set(np.unique(read_mask(tmp_path / f"{name}.png"))) == {0, 2}, name
        assert np.array_equal(read_mask(tmp_path / f"{name}.png") > 0, TRUTH), name


def test_a_mask_that_says_more_than_one_channel_can_is_refused(tmp_path: Path) -> None:
    mask = folder(tmp_path) / "masks" / "0.png"
    shape = TRUTH.astype(np.uint8) * 255
    for image in (layers(np.zeros_like(shape), shape), layers(shape, shape), layers(shape, shape).convert("LA")):
        image.save(mask)
        assert "0.png is transparent in places; export a mask of one channel" in sentence(tmp_path)
    for channel in range(3):  # a blue of 1 is 0 as grey
        colours = np.zeros((*TRUTH.shape, 3), np.uint8)
        colours[..., channel] = TRUTH
        Image.fromarray(colours).save(mask)
        assert "0.png has colours; export a mask of one channel" in sentence(tmp_path)


@pytest.mark.parametrize("turn", [3, 6, 8])
def test_a_picture_that_is_stored_lying_down_is_turned_up(tmp_path: Path, turn: int) -> None:
    """The mask was drawn on the picture as viewers show it."""
    upright = np.repeat(np.linspace(20, 220, ROWS).astype(np.uint8)[:, None], COLUMNS, 1)
    stored = np.ascontiguousarray(np.rot90(upright, {3: 2, 6: 1, 8: 3}[turn]))
    orientation = Image.Exif()
    orientation[0x0112] = turn
    path = folder(tmp_path, ("0.png", "1.png", "2.jpg")) / "images" / "0.png"
    Image.fromarray(stored).save(path, exif=orientation)
    assert np.array_equal(read_grey(path), upright)
    checked = check_samples(open_data(tmp_path, "train"))
    assert checked.with_tear == 1
    Image.fromarray(stored).save(tmp_path / "telephone.jpg", exif=orientation, quality=95)
    assert np.abs(read_grey(tmp_path / "telephone.jpg").astype(int) - upright).max() < 8


def test_a_picture_too_large_to_be_one_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path)
    for limit in (ROWS * COLUMNS - 1, ROWS * COLUMNS // 2 - 1):  # Pillow warns of the one and refuses the other
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert "0.png is no picture that can be read (it has more than 0 million pixels)" in sentence(tmp_path)


def test_a_value_that_no_mask_holds_is_not_evaluated(tmp_path: Path) -> None:
    root = folder(tmp_path)
    cv2.imwrite(str(root / "masks" / "1.png"), TRUTH.astype(np.uint8) * 7)
    with pytest.raises(ValueError, match="split test, has the value 7; they have 0, 255: give one of those"):
        samples(str(root), "test", None, 7)
    with pytest.raises(ValueError, match="split all, has the value 9; they have 0, 7, 255"):
        samples(str(root), "all", None, 9)
    assert samples(str(root), "all", None, 7).count == 3


@pytest.mark.parametrize("split", ["train", "validate"])
def test_where_nothing_is_torn_there_is_nothing_to_learn(tmp_path: Path, split: str) -> None:
    root = folder(tmp_path)
    needs_tear(open_data(root, split))
    for mask in (root / "masks").iterdir():
        cv2.imwrite(str(mask), np.zeros_like(TRUTH, np.uint8))
    word = {"validate": "val"}.get(split, split)  # as split.csv has it
    with pytest.raises(ValueError, match=f"not one of the 1 pictures of .* in the split {word} has a tear; mark some"):
        needs_tear(open_data(root, split))


def test_the_digest_sees_pixels_masks_negatives_and_order(tmp_path: Path) -> None:
    root = folder(tmp_path, ("0.png", "1.png", "2.png"))
    (root / "split.csv").write_text("file,split\n0.png,train\n1.png,train\n")
    picture(root / "images", "1.png", 91)
    digests = [check_samples(open_data(root, "train")).digest]
    assert check_samples(open_data(root, "train")).digest == digests[0]
    (root / "split.csv").write_text("file,split\n1.png,train\n0.png,train\n")
    digests.append(check_samples(open_data(root, "train")).digest)
    picture(root / "images", "0.png", 92)
    digests.append(check_samples(open_data(root, "train")).digest)
    cv2.imwrite(str(root / "masks" / "0.png"), np.roll(TRUTH, 1, 0).astype(np.uint8))
    digests.append(check_samples(open_data(root, "train")).digest)
    negative = [np.zeros((8, 9), np.uint8)]
    digests += [digest_of(digests[:1]), digest_of(digests[:2]), digest_of(digests[:1], negative)]
    digests.append(digest_of(digests[:1], [negative[0].T]))
    assert len(set(digests)) == len(digests) == 8


@pytest.mark.parametrize("name", ["seg_msk_usgra", "seg_lesion_busi"])
def test_real_folders_pass_the_check(name: str) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip("shared/data is absent")
    checked = check_samples(open_data(SHARED / name, "test"))
    assert checked.pictures > 20 and checked.with_tear > 10 and 0 < checked.share < 0.3
