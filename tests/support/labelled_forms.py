"""The same twelve labelled pictures in every form that training and calibration take, and commands to do so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from smartca.cli import main

ROWS, COLUMNS = 48, 64
SPLITS = ("train",) * 6 + ("val",) * 3 + ("test",) * 3
TEAR = 2  # in masks; bone is 1
Box = tuple[int, int, int, int]  # left, top, right, bottom
BONE: Box = (4, 40, 60, 46)


class Form(NamedTuple):
    """What `--data` is to be, and the option that picks the tear."""

    data: Path
    choice: tuple[str, str]


def tear(n: int) -> Box | None:
    """Where picture `n` has its tear; every fourth has none."""
    left, top = 6 + 2 * n, 4 + n
    return None if n % 4 == 3 else (left, top, left + 24, top + 18)


def pixels(n: int) -> NDArray[np.uint8]:
    """Dark noise with the tear bright."""
    rng = np.random.default_rng(n)
    picture = rng.integers(20, 80, (ROWS, COLUMNS)).astype(np.uint8)
    box = tear(n)
    if box:
        picture[box[1] : box[3], box[0] : box[2]] += 170
    return picture


def mask(n: int) -> NDArray[np.uint8]:
    """0, bone 1, tear 2."""
    marks = np.zeros((ROWS, COLUMNS), np.uint8)
    for box, value in ((BONE, 1), (tear(n), TEAR)):
        if box:
            marks[box[1] : box[3], box[0] : box[2]] = value
    return marks


def _pictures(root: Path, folder: str = "images") -> Path:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for n in range(len(SPLITS)):
        assert cv2.imwrite(str(root / folder / f"{n:02}.png"), pixels(n))
    lines = [f"{n:02}.png,{split}" for n, split in enumerate(SPLITS)]
    (root / "split.csv").write_text("\n".join(["file,split", *lines]))
    return root


def _drawn(n: int) -> list[tuple[str, list[tuple[int, int]]]]:
    """(label, corners) of each outline of picture `n`."""
    boxes = [("bone", BONE), ("tear", tear(n))]
    return [(label, [(b[0], b[1]), (b[2], b[1]), (b[2], b[3]), (b[0], b[3])]) for label, b in boxes if b]


def as_masks(root: Path) -> Form:
    """images/ and masks/."""
    (_pictures(root) / "masks").mkdir()
    for n in range(len(SPLITS)):
        assert cv2.imwrite(str(root / "masks" / f"{n:02}.png"), mask(n))
    return Form(root, ("--mask-value", str(TEAR)))


def as_coco(root: Path) -> Form:
    """annotations/instances_default.json beside images/; the file itself is given."""
    categories = [{"id": 1, "name": "bone"}, {"id": 2, "name": "tear"}]
    ids = {"bone": 1, "tear": 2}
    images, annotations = [], []
    for n in range(len(SPLITS)):
        images.append({"id": n, "file_name": f"{n:02}.png", "height": ROWS, "width": COLUMNS})
        for label, corners in _drawn(n):
            polygon = [number for corner in corners for number in corner]
            annotations.append({"image_id": n, "category_id": ids[label], "segmentation": [polygon]})
    path = _pictures(root) / "annotations" / "instances_default.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return Form(path, ("--label", "tear"))


def as_cvat(root: Path) -> Form:
    """annotations.xml beside images/."""
    lines = []
    for n in range(len(SPLITS)):
        shapes = "".join(
            f'<polygon label="{label}" points="{";".join(f"{x},{y}" for x, y in corners)}"/>'
            for label, corners in _drawn(n)
        )
        lines.append(f'<image id="{n}" name="{n:02}.png" width="{COLUMNS}" height="{ROWS}">{shapes}</image>')
    (_pictures(root) / "annotations.xml").write_text(f"<annotations>{''.join(lines)}</annotations>")
    return Form(root, ("--label", "tear"))


def as_labelme(root: Path) -> Form:
    """A .json beside every picture."""
    _pictures(root, ".")
    for n in range(len(SPLITS)):
        shapes = [{"label": label, "points": corners, "shape_type": "polygon"} for label, corners in _drawn(n)]
        found = {"shapes": shapes, "imagePath": f"{n:02}.png", "imageHeight": ROWS, "imageWidth": COLUMNS}
        (root / f"{n:02}.json").write_text(json.dumps(found))
    return Form(root, ("--label", "Tear"))


FORMS: dict[str, Callable[[Path], Form]] = {
    "masks": as_masks,
    "coco": as_coco,
    "cvat": as_cvat,
    "labelme": as_labelme,
}


Command = Callable[..., tuple[int, str]]
SMALL = ["--size", "32", "--batch", "4", "--threads", "1", "--device", "cpu", "--no-half"]


def command(capfd: pytest.CaptureFixture[str]) -> Command:
    """A function that runs a command of ours in this process and returns exit code and stderr in one line."""

    def run(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as done:
            main([str(argument) for argument in arguments])
        return int(done.value.code or 0), capfd.readouterr().err.replace("\n", " ")

    return run


def segment(form: Form, out: Path, *options: object) -> list[object]:
    """The command for a training of one step."""
    return ["train", "segment", "--data", form.data, *form.choice, "--out", out, *SMALL, "--steps", 1, *options]


def trained_in(root: Path) -> Path:
    """Train a classifier and an outlining network in `root`/run on the form with masks in `root`/masks."""
    given = segment(as_masks(root / "masks"), root / "run")
    for step in ("classify", "segment"):
        with pytest.raises(SystemExit) as done:
            main(["train", step, *map(str, given[2:])])
        assert not done.value.code
    return root / "run"


@pytest.fixture
def smartca(capfd: pytest.CaptureFixture[str]) -> Command:
    """A command of ours in this process: exit code and stderr in one line."""
    return command(capfd)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier and of an outlining network, trained on the form with masks in `masks` beside it."""
    return trained_in(tmp_path_factory.mktemp("trained"))
