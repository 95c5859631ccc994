"""Which of a folder's files hold its annotations, and each kind read by its own reader."""

from __future__ import annotations

from pathlib import Path

from ..filetypes import ANNOTATION_SUFFIXES, files_in
from ..labelled import ALL, SPLITS, words_of
from .annotated import Annotations
from .coco import read_coco
from .cvat import read_cvat
from .labelme import read_labelme


def find_annotations(root: Path, split: str) -> list[Annotations]:
    """The annotations that a file or folder holds for a split: none, one, or for `all` one for every split."""
    if root.is_file():
        suffix = root.suffix.lower()
        return [] if suffix not in ANNOTATION_SUFFIXES else [read_cvat(root) if suffix == ".xml" else read_coco(root)]
    own = coco_of_splits(root, split)
    if own:
        return [read_coco(path, whole=True) for path in own]
    common = common_file(root)
    if common is not None:
        return [read_cvat(common) if common.suffix == ".xml" else read_coco(common)]
    drawn = labelme_files(root)
    return [read_labelme(root, drawn)] if drawn else []


def coco_of_splits(root: Path, split: str) -> list[Path]:
    """COCO files that hold one split only: the split's, of which there is at most one, or for `all` each one's."""
    each = SPLITS if split == ALL else (split,)
    found = []
    for words in map(words_of, each):
        places = [
            place
            for word in words
            for place in (root / "annotations" / f"instances_{word}.json", root / word / "_annotations.coco.json")
        ]
        found += [place for place in places if place.is_file()][:1]
    return found


def common_file(root: Path) -> Path | None:
    """The one file of a folder that holds the annotations of all pictures, COCO's or CVAT's."""
    names = ("annotations/instances_default.json", "_annotations.coco.json", "annotations.xml")
    return next((root / name for name in names if (root / name).is_file()), None)


def labelme_files(root: Path) -> list[Path]:
    """Files beside pictures that may be LabelMe's."""
    folders = [folder for folder in (root, root / "images") if folder.is_dir()]
    return sorted(path for folder in folders for path in files_in(folder, (".json",)))


def looks_like_labelme(path: Path) -> bool:
    """Whether a .json file holds shapes, as no other file beside pictures does."""
    return b'"shapes"' in path.read_bytes()
