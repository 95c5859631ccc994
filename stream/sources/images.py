"""A folder of images, or one image; with truth masks where the folder has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import FileError, InputError, MissingFile, RunError, SmartcaError, sentence
from ...pictures.pixels import Mask
from .contract import Picture, Source

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


class Images(Source):
    """The images of a folder in the order of their names (2.png before 10.png), or a single one.

    `folder/images` with `folder/masks` gives every image its truth: the mask of the same name, in
    which whatever is not black is tear. 16-bit images become 8-bit by one shift for all of them,
    taken from the first: the smallest of 8, 10, 12, 14 and 16 bits that holds its brightest pixel.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.unrelated = True
        self.paths = _in_folder(path) if path.is_dir() else [path]
        self.masks = path / "masks" if (path / "masks").is_dir() else None
        self.count = len(self.paths)
        self._shift: int | None = None
        self._pixels(self.paths[0])

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        for number, path in enumerate(self.paths[start:], start):
            try:
                pixels = self._pixels(path)
            except (SmartcaError, OSError) as error:
                raise RunError(f"{sentence(error)}; {number} of {self.count} images were read") from error
            yield Picture(pixels, self._truth(path, pixels.shape[:2]))

    def _pixels(self, path: Path) -> NDArray[np.uint8]:
        image = _read(path)
        if image.dtype == np.uint8:
            return np.asarray(image, np.uint8)
        if image.dtype != np.uint16:
            raise InputError(f"{path} has {image.dtype} pixels; save it with 8 or 16 bits a channel")
        deep = np.asarray(image, np.uint16)
        if self._shift is None:
            bits = int(deep.max()).bit_length()
            self._shift = max(0, bits + bits % 2 - 8)
        return np.minimum(deep >> self._shift, 255).astype(np.uint8)

    def _truth(self, path: Path, shape: tuple[int, ...]) -> Mask | None:
        if self.masks is None:
            return None
        same = [self.masks / path.name, *(self.masks / (path.stem + suffix) for suffix in SUFFIXES)]
        found = next((mask for mask in same if mask.exists()), None)
        if found is None:
            return None
        mask = np.asarray(_read(found)) != 0
        mask = mask.any(axis=2) if mask.ndim == 3 else mask
        if mask.shape != shape:
            raise InputError(
                f"the mask {found} is {mask.shape} but its image is {shape} (rows, columns); "
                "give masks of the images' size, or move the masks folder away"
            )
        return mask


def _in_folder(folder: Path) -> list[Path]:
    where = folder / "images" if (folder / "images").is_dir() else folder
    found = [path for path in where.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not found:
        raise InputError(f"there is no image in the folder {where}; it takes {', '.join(SUFFIXES)}")
    return sorted(found, key=_by_number)


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Numbers in a name count as numbers."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), part) if part.isdigit() else (-1, part) for part in parts]


def _read(path: Path) -> NDArray[np.generic]:
    """(rows, columns) or (rows, columns, 3) BGR, of the file's own depth."""
    try:
        content = np.fromfile(path, np.uint8)  # and not cv2.imread: it fails without a word
    except FileNotFoundError as error:
        raise MissingFile(f"there is no file {path}; check the path") from error
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror}); check its permissions") from error
    try:
        image = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    except cv2.error:  # more pixels than OpenCV takes
        image = None
    if image is None:
        raise InputError(f"{path} is not an image that can be read; take it out or copy it again")
    return image[..., :3] if image.ndim == 3 and image.shape[2] == 4 else image
