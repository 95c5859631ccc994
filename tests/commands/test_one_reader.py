"""The same folder is the same pixels and masks, or the same sentence, in run, evaluate, train and calibrate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import msgspec
import numpy as np
import pytest
from PIL import Image
from smartca.calibration import calibrate as calibration
from smartca.evaluation import evaluate as evaluation
from smartca.pictures.datasets import check_samples, digest_of
from smartca.pictures.pixels import to_grey
from smartca.stream.sources import open_source
from smartca.train.checkpoint import read_checkpoint
from smartca.train.study.pictures import StudyPicture, StudyPictures
from support.labelled_forms import SMALL, Command, smartca
from support.threads import one_thread

__all__ = ["one_thread", "smartca"]  # fixtures

ROWS, COLUMNS = 48, 64
LEVELS = np.random.default_rng(0).integers(20, 200, (ROWS, COLUMNS), np.uint8)
COLOURS = np.random.default_rng(1).integers(20, 200, (ROWS, COLUMNS, 3), np.uint8)  # R, G, B
TEAR = np.zeros((ROWS, COLUMNS), np.uint8)
TEAR[10:30, 20:44] = 1
Pair = tuple[np.ndarray, np.ndarray]  # what is learnt from: grey and mask


def indexed(indices: np.ndarray) -> Image.Image:
    """A palette image whose background is not black."""
    image = Image.fromarray(indices, "P")
    image.putpalette([90, 120, 30, 200, 0, 0])
    return image


class Still(NamedTuple):
    """A picture and its mask as they are stored, their names, and what is right of the picture: grey, or BGR."""

    name: str
    picture: Image.Image
    mask_name: str
    mask: Image.Image
    right: np.ndarray
    how: dict[str, Any] = {}  # noqa: RUF012 (never written to)


def lying() -> dict[str, Any]:
    """EXIF of a picture that is to be turned by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return {"exif": exif, "quality": 100}


# of one level in each of JPEG's blocks, so that it loses nothing
BLOCKS = np.random.default_rng(2).integers(20, 200, (ROWS // 8, COLUMNS // 8), np.uint8).repeat(8, 0).repeat(8, 1)
LYING = np.ascontiguousarray(np.rot90(BLOCKS))
STILLS = (
    Still("telephone.jpg", Image.fromarray(LYING), "telephone.png", Image.fromarray(TEAR * 255), BLOCKS, lying()),
    Still("palette.png", indexed(TEAR), "palette.png", indexed(TEAR),
          np.where(TEAR[..., None] > 0, (0, 0, 200), (30, 120, 90)).astype(np.uint8)),
    Still("deep.png", Image.fromarray(LEVELS.astype(np.uint16) << 4), "deep.tif", Image.fromarray(TEAR > 0), LEVELS),
    Still("below/again.PNG", Image.fromarray(LEVELS[::-1]), "below/again.PNG", Image.fromarray(TEAR.astype(np.uint16)),
          LEVELS[::-1]),
    Still("below/clear.bmp", Image.fromarray(COLOURS), "below/clear.gif", Image.fromarray(TEAR), COLOURS[..., ::-1]),
    Still("opacity.tif", Image.fromarray(np.dstack([COLOURS, LEVELS])), "opacity.BMP", Image.fromarray(TEAR > 0),
          COLOURS[..., ::-1]),
)  # fmt: skip
SPLITS = ("train", "train", "val", "train", "train", "val")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """images/, masks/ and split.csv of all of STILLS, and what a Mac and a PC lay beside them."""
    root = tmp_path / "folder"
    for still in STILLS:
        for part, name, image in (("images", still.name, still.picture), ("masks", still.mask_name, still.mask)):
            (root / part / name).parent.mkdir(parents=True, exist_ok=True)
            image.save(root / part / name, **(still.how if part == "images" else {}))
    for name in ("images/._deep.png", "masks/._deep.tif", "images/below/._again.PNG", "images/.DS_Store"):
        (root / name).write_bytes(b"\0\5\x16\7")
    (root / "images" / "Thumbs.db").touch()
    table = [f"{still.name},{split}" for still, split in zip(STILLS, SPLITS, strict=True)]
    (root / "split.csv").write_text("\n".join(["file,split", *table]))
    return root


def right(*splits: str) -> list[Pair]:
    """What is to be seen of the pictures of these splits."""
    wanted = (still for still, split in zip(STILLS, SPLITS, strict=True) if split in splits)
    return [(to_grey(np.ascontiguousarray(still.right)), TEAR > 0) for still in wanted]


def same(found: list[Pair], wanted: list[Pair]) -> bool:
    """Whether they hold the same pictures with the same masks, in whatever order."""
    keys = [sorted((to_grey(pixels).tobytes(), mask.tobytes()) for pixels, mask in pairs) for pairs in (found, wanted)]
    return keys[0] == keys[1]


def test_run_shows_the_stills_with_their_masks(folder: Path) -> None:
    with open_source(str(folder)) as source:
        found = [(picture.pixels, picture.truth) for picture in source.pictures()]
        assert source.count == len(STILLS)
    known = {pixels.tobytes() for pixels, _ in found}
    assert known == {np.ascontiguousarray(still.right).tobytes() for still in STILLS}  # in colour where they have any
    assert same([(pixels, mask) for pixels, mask in found if mask is not None], right("train", "val"))


def test_evaluate_scores_the_same(
    folder: Path, network: Path, smartca: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Pair] = []
    score = evaluation.evaluate

    def watched(segmenter: Any, samples: Any, *more: Any) -> Any:
        def each() -> Iterator[Any]:
            for sample in samples.each:
                found.append((sample.pixels, sample.truth))
                yield sample

        return score(segmenter, replace(samples, each=each()), *more)

    monkeypatch.setattr(evaluation, "evaluate", watched)
    code, told = smartca("evaluate", "--data", folder, "--split", "all", "--engine", network, "--precision", "fp32")
    assert code == 0, told
    assert same(found, right("train", "val"))


def test_training_learns_from_the_same(folder: Path, tmp_path: Path, smartca: Command) -> None:
    code, told = smartca("train", "classify", "--data", folder, "--out", tmp_path / "run", *SMALL, "--steps", 1)
    assert code == 0, told
    wanted = [
        check_samples(StudyPictures([StudyPicture(*pair) for pair in right(split)], [])).digest
        for split in ("train", "val")
    ]
    assert read_checkpoint(tmp_path / "run" / "classifier-last.pt")["data"] == digest_of(wanted)


def test_calibration_counts_the_same(
    folder: Path, network: Path, smartca: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Pair] = []
    find = calibration.find

    def watched(predict: Any, frames: Any, *more: Any) -> Any:
        def each() -> Iterator[Any]:
            for frame in frames:
                found.append((frame.pixels, frame.mask))
                yield frame

        return find(predict, each(), *more)

    monkeypatch.setattr(calibration, "find", watched)
    for split in ("val", "all"):
        found.clear()
        code, told = smartca("calibrate", "--data", folder, "--model", network, "--split", split)
        assert code == 0 and f"split {split}" in told, told
        assert same(found, right("val") if split == "val" else right("train", "val"))


def test_a_whole_run_counts_the_same_truth(folder: Path, network: Path, tmp_path: Path, smartca: Command) -> None:
    report = tmp_path / "report.json"
    arguments = ("--engine", network, "--precision", "fp32", "--report", report)
    code, told = smartca("run", folder, "--headless", *arguments)
    assert code == 0, told
    shown = msgspec.json.decode(report.read_bytes())["truth"]
    code, told = smartca("evaluate", "--data", folder, "--split", "all", *arguments)
    assert code == 0, told
    scored = msgspec.json.decode(report.read_bytes())["truth"]
    assert shown["tp"] + shown["fn"] == scored["tp"] + scored["fn"] == len(STILLS) * int(TEAR.sum())


def stack(path: Path) -> None:
    pages = [Image.fromarray(LEVELS), Image.fromarray(LEVELS[::-1])]
    pages[0].save(path, save_all=True, append_images=pages[1:])


def mask_beside(image: Image.Image, name: str) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        (root / "masks" / "0.png").unlink()
        image.save(root / "masks" / name)

    return write


def picture_instead(write: Callable[[Path], object], name: str) -> Callable[[Path], None]:
    def replaced(root: Path) -> None:
        (root / "images" / "0.png").unlink()
        write(root / "images" / name)
        table = root / "split.csv"
        table.write_text(table.read_text().replace("0.png", name))

    return replaced


PHOTO = Image.fromarray(np.tile(np.arange(COLUMNS, dtype=np.uint8), (ROWS, 1)))
REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a float picture": (
        picture_instead(lambda path: Image.fromarray((LEVELS / 255).astype(np.float32)).save(path), "0.tif"),
        "images/0.tif has float32 pixels; save it with 8 or 16 bits a channel",
    ),
    "float colours": (
        picture_instead(lambda path: cv2.imwrite(str(path), (COLOURS / 255).astype(np.float32)), "0.TIF"),
        "images/0.TIF has float32 pixels; save it with 8 or 16 bits a channel",
    ),
    "a stack": (
        picture_instead(stack, "0.tiff"),
        "images/0.tiff has 2 frames, but a mask belongs to one picture; export single frames",
    ),
    "text": (
        picture_instead(lambda path: path.write_text("text"), "0.png"),
        "images/0.png is no picture that can be read (not a picture); copy it again, or take it out",
    ),
    "a JPEG mask": (
        mask_beside(Image.fromarray(TEAR * 255), "0.jpg"),
        "masks/0.jpg is a JPEG, which blurs a mask's edges; export masks as PNG",
    ),
    "a JPEG mask called PNG": (
        lambda root: Image.fromarray(TEAR * 255).save(root / "masks" / "0.png", "JPEG"),
        "masks/0.png is a JPEG, which blurs a mask's edges; export masks as PNG",
    ),
    "a mask of colours": (
        mask_beside(Image.fromarray(COLOURS), "0.png"),
        "masks/0.png has colours; export a mask of one channel, with one grey value a class",
    ),
    "a photograph as mask": (
        mask_beside(PHOTO, "0.PNG"),
        "masks/0.PNG has 64 grey values, as a photograph has; export a mask with one value a class",
    ),
    "a soft mask": (
        mask_beside(Image.fromarray(TEAR.astype(np.float32) / 2), "0.tif"),
        "masks/0.tif has float32 values with fractions; export a mask with one whole number a class",
    ),
    "a stack of masks": (
        lambda root: stack(root / "masks" / "0.png"),
        "masks/0.png has 2 frames, but a mask belongs to one picture; export single frames",
    ),
    "a mask of another size": (
        mask_beside(Image.fromarray(TEAR[:24]), "0.png"),
        "masks/0.png has another size (64 x 24) than its picture (64 x 48); export it at that size",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_one_refuses_all_refuse_in_the_same_words(
    what: str, network: Path, tmp_path: Path, smartca: Command
) -> None:
    root = tmp_path / "folder"
    for part, image in (("images", LEVELS), ("masks", TEAR)):
        (root / part).mkdir(parents=True)
        for name in ("0.png", "1.png"):
            Image.fromarray(image).save(root / part / name)
    (root / "split.csv").write_text("file,split\n0.png,train\n1.png,val\n")
    spoil, sentence = REFUSED[what]
    spoil(root)
    engine = ("--engine", network, "--precision", "fp32")
    for command in (
        ("run", root, "--headless", *engine),
        ("evaluate", "--data", root, "--split", "train", *engine),
        ("train", "classify", "--data", root, "--out", tmp_path / "out", *SMALL),
        ("calibrate", "--data", root, "--model", network, "--split", "train"),
    ):
        code, told = smartca(*command)
        assert code == 2 and f"{root}/{sentence}" in " ".join(told.split()), (command[0], told)
        assert "Traceback" not in told
