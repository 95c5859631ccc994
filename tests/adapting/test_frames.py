"""A clinic's frames: whose they are, which are held out, and what is refused in one sentence."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from smartca.adapting.frames import read_frames
from smartca.adapting.healthy import read_healthy
from support.clinic import frames, frames_in, write_patients
from support.labelled_forms import FORMS, as_coco

__all__ = ["frames"]  # fixture


@pytest.fixture
def copy(frames: Path, tmp_path: Path) -> Path:
    shutil.copytree(frames, tmp_path / "copy")
    return tmp_path / "copy"


def split(root: Path, sides: dict[str, str], patients: dict[str, str] | None = None) -> None:
    """split.csv of name -> split, with a column of patients where they are given."""
    head = "file,split" + (",patient" if patients else "")
    lines = [f"{name}.png,{side}" + (f",{patients[name]}" if patients else "") for name, side in sides.items()]
    (root / "split.csv").write_text("\n".join([head, *lines]))


def test_without_patients_pictures_are_divided_and_it_is_said(frames: Path) -> None:
    found = read_frames(frames)
    assert len(found.held) == 3 and len(found.learn) == 9 and not set(found.held.names) & set(found.learn.names)
    assert found.patients == 0 and any("optimistic" in words for words in found.in_words())
    assert any(mask.any() for _, mask in found.held.items) and any(mask.any() for _, mask in found.learn.items)
    assert len(found.healthy) == sum(not mask.any() for _, mask in found.learn.items)
    again = read_frames(frames)
    assert again.held.names == found.held.names and again.digest == found.digest


def test_a_patient_stays_together(copy: Path) -> None:
    whose = {f"t{n}": f"p{n // 2}" for n in range(8)} | {f"h{n}": f"p{n}" for n in range(4)}
    write_patients(copy, list(whose.items()))
    found = read_frames(copy)
    sides = [{whose[Path(name).stem] for name in part.names} for part in (found.learn, found.held)]
    assert not sides[0] & sides[1] and found.patients == 4
    assert not any("optimistic" in words for words in found.in_words())


def test_a_patient_on_both_sides_of_a_given_split_is_refused(copy: Path) -> None:
    sides = {f"t{n}": "train" if n < 5 else "val" for n in range(8)} | {f"h{n}": "test" for n in range(4)}
    whose = {name: name for name in sides}
    split(copy, sides, whose)
    found = read_frames(copy)
    assert (len(found.learn), len(found.held), found.left_out) == (5, 3, 4) and found.as_given
    for other in ("t6", "h0"):  # of val, and of test, which nobody looks at here
        split(copy, sides, whose | {other: "t1"})
        with pytest.raises(ValueError, match=r"the patient t1 is on both sides of the splits in .*give all frames of"):
            read_frames(copy)


def test_a_test_split_is_never_looked_at(copy: Path) -> None:
    sides = {f"t{n}": "train" if n < 6 else "test" for n in range(8)} | {f"h{n}": "train" for n in range(4)}
    split(copy, sides)
    found = read_frames(copy)
    assert not {"t6.png", "t7.png"} & {*found.learn.names, *found.held.names}
    assert (len(found.learn), len(found.held), found.left_out) == (8, 2, 2)


def test_who_has_most_frames_is_learnt_from(copy: Path) -> None:
    whose = {f"t{n}": "much" if n < 6 else f"p{n}" for n in range(8)} | {f"h{n}": "much" for n in range(4)}
    write_patients(copy, list(whose.items()))
    found = read_frames(copy)
    assert set(found.held.names) == {"t6.png", "t7.png"}


def test_a_picture_that_is_there_twice_is_refused(copy: Path) -> None:
    for part in ("images", "masks"):
        shutil.copy(copy / part / "t1.png", copy / part / "t1 (copy).png")
    with pytest.raises(
        ValueError, match=r"t1 \(copy\)\.png and t1\.png of .* are the same picture; take one of them away"
    ):
        read_frames(copy)


def test_coco_files_of_splits_say_who_is_held_out(tmp_path: Path) -> None:
    data = as_coco(tmp_path / "data").data
    told = json.loads(data.read_text())
    root = tmp_path / "splits"
    for part, places in (("train", range(5)), ("valid", range(5, 8)), ("test", range(8, 12))):
        (root / part).mkdir(parents=True)
        images = [image for image in told["images"] if image["id"] in places]
        drawn = [each for each in told["annotations"] if each["image_id"] in places]
        (root / part / "_annotations.coco.json").write_text(
            json.dumps({**told, "images": images, "annotations": drawn})
        )
        for image in images:
            shutil.copy(tmp_path / "data" / "images" / image["file_name"], root / part)
    found = read_frames(root, label="tear")
    assert found.learn.names == [f"{n:02}.png" for n in range(5)] and found.left_out == 4
    assert found.held.names == [f"{n:02}.png" for n in range(5, 8)] and found.as_given


def test_healthy_pictures_are_held_out_by_the_folders_order(tmp_path: Path) -> None:
    assert not read_healthy(None, 512).learn and not read_healthy(None, 512).held
    for n in range(3):
        cv2.imwrite(str(tmp_path / f"{n}.png"), np.full((40, 60), 50 * n, np.uint8))
    with pytest.raises(ValueError, match="holds 3 pictures without a tear; give 4 or more, or none"):
        read_healthy(tmp_path, 512)
    for n in range(3, 9):
        cv2.imwrite(str(tmp_path / f"{n}.png"), np.full((40, 60), 20 * n, np.uint8))
    found = read_healthy(tmp_path, 30)
    assert [int(each[0, 0]) for each in found.held] == [140, 160] and len(found.learn) == 7
    assert found.held[0].shape == (20, 30)


@pytest.mark.parametrize(
    ("each", "says"),
    [
        ([("t0", "a")], "does not say whose h0.png is; give every frame its patient"),
        ([("t0", "a"), ("t0", "b")], "gives t0.png to two patients, a and b"),
        ([(f"{kind}{n}", "a") for kind in "th" for n in range(8)], "all frames are of the patient a"),
    ],
)
def test_patients_that_cannot_be_used(copy: Path, each: list[tuple[str, str]], says: str) -> None:
    write_patients(copy, each)
    with pytest.raises(ValueError, match=re.escape(says)):
        read_frames(copy)


def test_too_few_and_nothing_torn(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds 4 labelled frames; give 5 or more"):
        read_frames(frames_in(tmp_path / "few", 3, 1))
    with pytest.raises(ValueError, match="1 frame shows a tear; two at least are needed"):
        read_frames(frames_in(tmp_path / "one", 1, 5))
    with pytest.raises(ValueError, match=r"not one of the 5 pictures of .* has a tear"):
        read_frames(frames_in(tmp_path / "none", 0, 5))
    root = frames_in(tmp_path / "side", 3, 4)
    split(root, {"t0": "train", "t1": "train", "t2": "train", **{f"h{n}": "val" for n in range(4)}})
    with pytest.raises(ValueError, match=r"none of the 4 frames of .* that is held out shows a tear"):
        read_frames(root)


def test_a_bad_file_is_named(copy: Path) -> None:
    (copy / "images" / "t3.png").write_bytes(b"half a picture")
    with pytest.raises(OSError, match=r"images/t3.png is no picture that can be read"):
        read_frames(copy)


@pytest.mark.parametrize("name", FORMS)
def test_every_form(name: str, tmp_path: Path) -> None:
    form = FORMS[name](tmp_path / "data")
    word, value = form.choice
    chosen = {"label": value} if word == "--label" else {"mask_value": int(value)}
    found = read_frames(form.data, **chosen)  # type: ignore[arg-type]
    assert found.as_given and (len(found.learn), len(found.held), found.left_out) == (6, 3, 3)
    assert np.count_nonzero([mask.any() for _, mask in found.learn.items]) == 5
