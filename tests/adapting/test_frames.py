"""A clinic's frames: whose they are, which are held out, and what is refused in one sentence."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from smartca.adapting.frames import read_frames
from support.clinic import frames, frames_in, write_patients
from support.labelled_forms import FORMS

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
    split(copy, sides, whose | {"t6": "t1"})
    with pytest.raises(ValueError, match=r"the patient t1 is on both sides of .*split.csv.*give all frames of one"):
        read_frames(copy)


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
