"""Folders of pictures with masks: what people train, calibrate and evaluate on."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from ..errors import InputError
from .filetypes import DICOM_SUFFIXES, STILL_SUFFIXES, UNFINISHED, as_on_disk, files_in
from .masks import mask_path, read_mask, read_truth
from .pixels import Grey, Mask
from .stills import read_grey
from .tables import read_rows

ALL = "all"  # every picture, whatever its split
# other words for the same split
SPLITS = {"train": ("train",), "validate": ("val", "validate", "valid"), "test": ("test",)}
PICTURES = (*STILL_SUFFIXES, *DICOM_SUFFIXES)


class LabelledFolder:
    """`images/` and `masks/` with the same file names, and `split.csv` with at least the columns file,split.

    Without split.csv each picture's split follows from its name (`split_of`). A mask may be a PNG beside a JPEG or
    DICOM picture. The tear is where the mask is not zero, or where it equals `mask_value` if that is given. Item i
    is (pixels uint8, mask bool), each (rows, columns). Raises ValueError or OSError, naming the file.
    """

    def __init__(self, root: Path, split: str, mask_value: int | None = None) -> None:
        for part in ("images", "masks"):
            if not (root / part).is_dir():
                raise InputError(f"{root / part} is missing; give a folder with images/ and masks/ in it")
        refuse_unfinished(root)
        self.root, self.split, self.mask_value = root, split, mask_value
        self.files = [name for name, word in read_splits(root, root / "images") if belongs(word, split)]
        if not self.files:
            raise no_picture(root, split)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Grey, Mask]:
        name = self.files[index]
        pixels = read_grey(as_on_disk(self.root / "images" / name))
        return pixels, read_truth(mask_path(self.root / "masks", name), pixels.shape, self.mask_value)

    def check_value(self) -> None:
        """ValueError where no mask holds `mask_value`, naming those that they hold; reads as far as to the first."""
        if self.mask_value is None:
            return
        held: set[int] = set()
        for name in self.files:
            held |= set(np.unique(read_mask(mask_path(self.root / "masks", name))).tolist())
            if self.mask_value in held:
                return
        values = ", ".join(map(str, sorted(held)))
        raise InputError(
            f"no mask of {self.root}, split {spoken(self.split)}, has the value {self.mask_value}; they have {values}: "
            "give one of those"
        )


def refuse_unfinished(root: Path) -> None:
    """ValueError for a folder of phantoms whose writing was interrupted: what is missing, and how to go on."""
    mark = root / UNFINISHED
    if not mark.is_file():
        return
    asked = mark.read_text(encoding="utf-8")
    seed = asked.rpartition(" ")[2]
    pairs = [path for path in (root / "images").glob(f"{seed}_*.png") if (root / "masks" / path.name).is_file()]
    raise InputError(
        f"{root} was interrupted while it was written: it holds {len(pairs)} of {asked}, and split.csv does not list "
        "them; give the same `smartca phantom` command again"
    )


def words_of(split: str) -> tuple[str, ...]:
    """All words for the same split, the manual's first: val, validate and valid for each of them."""
    return next((words for words in SPLITS.values() if split in words), (split,))


def belongs(word: str, split: str) -> bool:
    """Whether a picture that `word` stands beside is of `split`; `all` takes each."""
    return split == ALL or word in words_of(split)


def spoken(split: str) -> str:
    """The word for a split that split.csv and the manual use: val for validate."""
    return words_of(split)[0]


def read_splits(root: Path, pictures: Path) -> list[tuple[str, str]]:
    """(file, split) for every picture: what `root`/split.csv says, or `split_of` the names in `pictures`."""
    table = root / "split.csv"
    if table.is_file():
        return read_table(table)
    names = sorted(path.relative_to(pictures).as_posix() for path in files_in(pictures, PICTURES, deep=True))
    if not names:
        raise InputError(f"there is no picture in {pictures}; it takes {', '.join(PICTURES)}")
    return [(name, split_of(name)) for name in names]


def read_table(table: Path) -> list[tuple[str, str]]:
    """The columns file,split of a table with commas or semicolons. ValueError where it cannot be used."""
    columns, rows = read_rows(table)
    if not rows or not {"file", "split"} <= columns:
        raise InputError(f"{table} needs a first line with the columns file,split and a line for every picture")
    seen: dict[str, str] = {}
    for number, row in rows:
        name, split = (row["file"] or "").strip(), (row["split"] or "").strip().lower()
        if not name or not split:
            raise InputError(f"{table}, line {number} gives no file or no split; complete it or take it out")
        if Path(name).is_absolute() or ".." in Path(name).parts or "\\" in name:
            raise InputError(f"{table}, line {number}: {name} leaves the folder; give names inside it, with /")
        if Path(name).name.startswith("._"):  # a table made of a Mac's folder lists its companions too
            continue
        if seen.setdefault(name, split) != split:
            raise InputError(f"{table}, line {number}: {name} is in two splits; keep one, or scores are too good")
    return list(seen.items())


def split_of(name: str) -> str:
    """train, validate or test (70, 15, 15 %) by a hash of the file's name: the same everywhere and for ever.

    New pictures never move old ones. It knows nothing of patients: where one has several pictures, write split.csv.
    """
    place = int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:4], "big") / 2**32
    return "train" if place < 0.7 else "validate" if place < 0.85 else "test"


def no_picture(root: Path, split: str) -> ValueError:
    """What to say where a split is empty."""
    table = root / "split.csv"
    if table.is_file():
        known = ", ".join(sorted({word for _, word in read_table(table)}))
        wanted = " or ".join(words_of(split))
        return InputError(f"{table} gives no picture to the split {wanted}; it has {known}")
    return InputError(
        f"{root} has too few pictures for a split {spoken(split)}; write {table} with the columns file,split"
    )
