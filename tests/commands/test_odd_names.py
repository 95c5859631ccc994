"""Names that systems spell differently, and bytes that are no text: commands find the file, and say what they did."""

from __future__ import annotations

import codecs
import json
import os
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from smartca.files import json_bytes
from smartca.pictures.datasets import open_data
from smartca.pictures.labelled import split_of
from support.labelled_forms import Command, mask, pixels, smartca

__all__ = ["smartca"]  # a fixture

NO_TEXT = os.fsdecode(b"Schulter_\xfc")
APART, TOGETHER = (unicodedata.normalize(form, "Schürze") for form in ("NFD", "NFC"))


def labelled(root: Path, picture: str, its_mask: str) -> Path:
    for part, name, content in (("images", picture, pixels(0)), ("masks", its_mask, mask(0))):
        (root / part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(content).save(root / part / name)
    return root


def square(name: str) -> dict[str, object]:
    """A COCO file's contents."""
    corners = [[10, 10, 30, 10, 30, 30, 10, 30]]
    return {
        "images": [{"id": 1, "file_name": name, "height": 48, "width": 64}],
        "annotations": [{"image_id": 1, "category_id": 1, "segmentation": corners}],
        "categories": [{"id": 1, "name": "tear"}],
    }


@pytest.mark.parametrize(("picture", "its_mask"), [(APART, TOGETHER), (TOGETHER, APART)])
def test_accents_composed_or_apart_are_one_name(picture: str, its_mask: str, tmp_path: Path) -> None:
    """As a Mac takes them apart on one side only."""
    root = labelled(tmp_path, f"{picture}.png", f"{its_mask}.png")
    (root / "split.csv").write_text(f"file,split\n{its_mask}.png,test\n", encoding="utf-8")
    grey, truth = open_data(root, "test")[0]
    assert np.array_equal(grey, pixels(0)) and np.array_equal(truth, mask(0) != 0)


@pytest.mark.parametrize("written", [APART, TOGETHER])
def test_annotations_name_their_pictures_either_way_and_may_begin_with_a_mark(written: str, tmp_path: Path) -> None:
    other = TOGETHER if written == APART else APART
    cv2.imwrite(str(tmp_path / f"{other}.png"), pixels(0))
    path = tmp_path / "all.json"
    path.write_bytes(codecs.BOM_UTF8 + json.dumps(square(f"{written}.png")).encode())
    grey, truth = open_data(path, "all")[0]
    assert np.array_equal(grey, pixels(0)) and truth.sum() == 400


def test_bytes_that_are_no_text(tmp_path: Path, smartca: Command) -> None:
    root = labelled(tmp_path / NO_TEXT, f"{NO_TEXT}.png", f"{NO_TEXT}.png")
    for data in (root, root / "images" / f"{NO_TEXT}.png"):
        code, told = smartca("evaluate", "--data", data, "--split", "all", "--report", tmp_path / "r.json")
        assert code == 0 and "bug" not in told, told
        assert json.loads((tmp_path / "r.json").read_text())["data"].endswith(("Schulter_?", "Schulter_?.png"))
    code, told = smartca("run", root / "images", "--headless", "--record", tmp_path / f"{NO_TEXT}.mp4")
    assert code == 2 and "Schulter_?.mp4 holds what is no letter; choose another for --record" in told, told
    code, told = smartca("run", root / "images" / f"{NO_TEXT}.png", "--headless", "--report", tmp_path / "r.json")
    assert code == 0 and json.loads((tmp_path / "r.json").read_text())["frames"]["shown"] == 1, told


def test_what_is_no_text_has_a_place_in_json_and_a_split() -> None:
    assert json.loads(json_bytes({"data": NO_TEXT, "n": [1, None]})) == {"data": "Schulter_?", "n": [1, None]}
    assert json_bytes({"data": "ü"}) == '{\n  "data": "ü"\n}\n'.encode()
    assert split_of(NO_TEXT) in ("train", "validate", "test")
    assert [split_of(f"{n}.png") for n in range(6)] == ["train"] * 3 + ["validate", "train", "test"]


def test_two_masks_and_a_tiny_picture_end_a_command_with_a_sentence(tmp_path: Path, smartca: Command) -> None:
    root = labelled(tmp_path, "a.png", "a.png")
    Image.fromarray(mask(0)).save(root / "masks" / "a.tif")
    for command in (("evaluate", "--data", root, "--split", "all"), ("run", root, "--headless")):
        code, told = smartca(*command)
        assert code != 0 and "has two masks of a.png, a.png and a.tif" in told, told
    (root / "masks" / "a.tif").unlink()
    Image.fromarray(pixels(0)[:6]).save(root / "images" / "a.png")
    code, told = smartca("evaluate", "--data", root / "images")
    assert code == 2 and "a.png: a picture of 64 x 6 pixels is too small to show anything" in told, told
