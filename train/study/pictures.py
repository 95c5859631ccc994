"""A study's pictures, decoded once and held in memory, and the speckle put on those that it is tested with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ...errors import InputError
from ...phantom import HELD_OUT_FROM, TRAIN, VALIDATE
from ...phantom.corruption import corrupt
from ...pictures.datasets import Samples, needs_tear, open_data
from ...pictures.pixels import Grey, Mask
from ..data.cache import Recipe, rendered
from .plan import Phantoms, StudyData

ROOM = 5 / 3  # of the network's side: training pictures keep that much, so that they can be cropped
PARTS = ("train", "validate", "test")
SPECKLED = ("moderate", "severe")  # what training with speckle adds


class StudyPicture(NamedTuple):
    """uint8 and bool, each (rows, columns)."""

    pixels: Grey
    mask: Mask


@dataclass(frozen=True)
class StudyPictures:
    """Samples held in memory, and their names."""

    items: Sequence[StudyPicture]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> StudyPicture:
        return self.items[index]

    def shrunk(self, longest: int) -> StudyPictures:
        """The same at `longest` pixels or less along the longer side."""
        return StudyPictures([_shrunk(picture, longest) for picture in self.items], self.names)

    def few(self, number: int, seed: int) -> StudyPictures:
        """`number` of those that hold something to find, drawn by `seed`: fewer are always among more.

        Raises ValueError where there are not so many.
        """
        torn = [n for n, picture in enumerate(self.items) if picture.mask.any()]
        if number > len(torn):
            raise InputError(f"{number} pictures are wanted and {len(torn)} hold something to find; ask for fewer")
        chosen: list[int] = sorted(np.random.default_rng((seed, 5)).permutation(torn)[:number].tolist())
        return StudyPictures([self.items[n] for n in chosen], [self.names[n] for n in chosen])

    def speckled(self) -> StudyPictures:
        """These, and each again under moderate and under severe speckle; a mask stays what it is."""
        items, names = list(self.items), list(self.names)
        for level in SPECKLED:
            for name, (pixels, mask) in zip(self.names, self.items, strict=True):
                items.append(StudyPicture(under(pixels, f"training {name}", level), mask))
                names.append(f"{name} {level}")
        return StudyPictures(items, names)


class Repeated:
    """Samples over and over until there are `number`: of a few, an epoch would be a step or two."""

    def __init__(self, samples: Samples, number: int) -> None:
        self.samples, self.number = samples, number

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> tuple[Grey, Mask]:
        return self.samples[index % len(self.samples)]


@dataclass(frozen=True)
class DataSet:
    """The three splits of one set of pictures. `digest` changes with any pixel of any of them."""

    name: str
    train: StudyPictures
    validate: StudyPictures
    test: StudyPictures
    digest: str


def load_data(data: StudyData, root: Path, cache: Path | None = None, workers: int = 1) -> DataSet:
    """The pictures of `data`, its folder taken from `root`; phantoms are rendered into `cache` where they are not yet.

    Raises ValueError or OSError, naming the file, for what cannot be used.
    """
    if data.phantom:
        splits = _phantoms(data.phantom, cache, workers)
    else:
        folder = root / (data.folder or "")
        if not folder.exists():
            raise InputError(f"{folder}, the data '{data.name}', is not there; give --data-root DIR to say where it is")
        parts = [open_data(folder, split, data.mask_value, data.label) for split in PARTS]
        for part in parts:
            needs_tear(part)
        splits = [StudyPictures([StudyPicture(*part[n]) for n in range(len(part))], part.files) for part in parts]
    return DataSet(data.name, *splits, digest=_digest(splits))


def under(pixels: Grey, name: str, level: str) -> Grey:
    """`pixels` under the speckle of a level: for a picture's name and a level always the same."""
    seed = hashlib.sha256(f"{name}/{level}".encode()).digest()[:8]
    return corrupt(pixels, level, np.random.default_rng(int.from_bytes(seed, "big")))


@dataclass(frozen=True)
class _HeldOut(Recipe):
    """Phantoms to be scored only: the one place in `train` where held-out seeds are rendered."""

    def __post_init__(self) -> None:
        if min(self.seeds) < HELD_OUT_FROM:
            raise InputError(f"seed {min(self.seeds)} may have been trained on; test on seeds from {HELD_OUT_FROM} on")


def _phantoms(wanted: Phantoms, cache: Path | None, workers: int) -> list[StudyPictures]:
    """Frames of the first seeds of each range."""
    splits = []
    for seeds in (TRAIN[: wanted.train], VALIDATE[: wanted.validate]):
        splits.append(_rendered(Recipe(tuple(seeds), wanted.frames), cache, workers))
    held_out = range(HELD_OUT_FROM, HELD_OUT_FROM + wanted.test)
    return [*splits, _rendered(_HeldOut(tuple(held_out), wanted.frames), cache, workers)]


def _rendered(recipe: Recipe, cache: Path | None, workers: int) -> StudyPictures:
    frames = rendered(recipe, cache, workers)
    needs_tear(frames)
    names = [f"{seed}-{k}" for seed in recipe.seeds for k in range(recipe.frames)]
    return StudyPictures([StudyPicture(*frames[n]) for n in range(len(frames))], names)


def _shrunk(picture: StudyPicture, longest: int) -> StudyPicture:
    scale = longest / max(picture.pixels.shape)
    if scale >= 1:
        return picture
    size = round(picture.pixels.shape[1] * scale), round(picture.pixels.shape[0] * scale)
    pixels = cv2.resize(picture.pixels, size, interpolation=cv2.INTER_AREA)
    mask = cv2.resize(picture.mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)
    return StudyPicture(pixels.astype(np.uint8, copy=False), mask >= 128)


def _digest(splits: Sequence[StudyPictures]) -> str:
    """Of all splits' names, pixels and masks, in order."""
    total = hashlib.blake2b(digest_size=16)
    for split in splits:
        total.update(f"{len(split)};".encode())
        for name, (pixels, mask) in zip(split.names, split.items, strict=True):
            total.update(f"{name};{pixels.shape};".encode())
            total.update(pixels.tobytes())
            total.update(np.packbits(mask).tobytes())
    return total.hexdigest()
