"""Folders of pictures with masks: what people train, calibrate and evaluate on."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from .pixels import Grey, Mask

# other words for the same split
SPLITS = {"train": ("train",), "validate": ("val", "validate", "valid"), "test": ("test",)}


class LabelledFolder:
    """`images/` and `masks/` with the same file names, and `split.csv` with at least the columns file,split.

    The tear is where the mask is not zero, or where it equals `mask_value` if that is given. Item i is
    (pixels uint8, mask bool), each (rows, columns). Raises ValueError or OSError, naming the file.
    """

    def __init__(self, root: Path, split: str, mask_value: int | None = None) -> None:
        table = root / "split.csv"
        if not table.is_file():
            raise ValueError(f"{table} is missing; list every picture there in the columns file,split")
        with table.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        if not rows or not {"file", "split"} <= rows[0].keys():
            raise ValueError(f"{table} needs a first line with the columns file,split and a line for every picture")
        words = SPLITS.get(split, (split,))
        self.root, self.mask_value = root, mask_value
        self.files = [row["file"] for row in rows if row["split"] in words]
        if not self.files:
            known = ", ".join(sorted({row["split"] for row in rows}))
            raise ValueError(f"{table} gives no picture to the split {' or '.join(words)}; it has {known}")

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Grey, Mask]:
        name = self.files[index]
        pixels, marks = read_grey(self.root / "images" / name), read_mask(self.root / "masks" / name)
        if pixels.shape != marks.shape:
            raise ValueError(f"{self.root / 'masks' / name} has another size than its picture; export it at that size")
        return pixels, marks != 0 if self.mask_value is None else marks == self.mask_value


def read_grey(path: Path) -> Grey:
    """A picture file as uint8 (rows, columns). Raises OSError where it cannot be read."""
    pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
    if pixels is None:
        raise OSError(f"{path} is missing or is no picture; give PNG or JPEG files")
    return pixels.astype(np.uint8, copy=False)


def read_mask(path: Path) -> NDArray[np.uint8]:
    """A mask's own values, uint8 (rows, columns); of a palette PNG its indices, not its colours.

    Raises OSError where it is missing or no picture.
    """
    if not path.is_file():
        raise OSError(f"{path} is missing; every picture needs a mask of the same name, empty where there is no tear")
    try:
        with Image.open(path) as image:
            return np.array(image if image.mode in {"P", "L"} else image.convert("L"), np.uint8)
    except UnidentifiedImageError as error:
        raise OSError(f"{path} is no picture; give a PNG mask") from error
