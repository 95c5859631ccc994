"""What `--data` names, as pictures with their truth."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..engine import Mask, whole
from ..errors import InputError
from ..pictures.labelled import LabelledFolder, read_splits
from ..pictures.pixels import Sector
from ..pictures.sector import SectorFinder
from ..stream.sources import open_source

LIVE_SECONDS = 60  # of a camera, to choose from
Spacing = tuple[float, float]


class Sample(NamedTuple):
    """A picture, where in it the ultrasound is, its truth and its mm per pixel (row, column) where known."""

    pixels: NDArray[np.uint8]
    sector: Sector
    truth: Mask | None
    mm_per_pixel: Spacing | None = None


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples, how many there will be where that is known, what they are called, and the unit of distances."""

    each: Iterator[Sample]
    count: int | None
    name: str
    unit: str  # "mm" where every sample's mm per pixel is known, else "px"


def samples(data: str, split: str, crop: Sector | None, mask_value: int | None = None) -> Samples:
    """What `--data` names: phantom:seeds=A..B[,frames=30], a folder with images/ and masks/, or any source.

    `split` picks a folder's pictures, by its split.csv or by their names as training does (`all` takes all);
    `mask_value` picks one class of its masks. Raises ValueError or OSError with one sentence.
    """
    if data.startswith("phantom:seeds="):
        return _phantom(data)
    folder = Path(data)
    if (folder / "images").is_dir() and ((folder / "masks").is_dir() or (folder / "split.csv").is_file()):
        return _split(_labelled(folder, split, mask_value), crop)
    return _source(data, crop)


def _labelled(folder: Path, split: str, mask_value: int | None) -> LabelledFolder:
    if split == "all":
        pictures = read_splits(folder, folder / "images")
        labelled = LabelledFolder(folder, pictures[0][1], mask_value)
        labelled.files, labelled.split = [name for name, _ in pictures], split
    else:
        labelled = LabelledFolder(folder, split, mask_value)
    labelled.check_value()
    return labelled


def _phantom(data: str) -> Samples:

    from ..phantom import Phantom, screen

    first, last, frames = _seeds(data)

    def each() -> Iterator[Sample]:
        for seed in range(first, last + 1):
            phantom = Phantom(seed)
            for number in range(frames):
                shot = screen(phantom.frame(number * phantom.period / frames))
                yield Sample(shot.pixels, Sector(*shot.sector), shot.mask, shot.mm_per_pixel)

    return Samples(each(), (last + 1 - first) * frames, data, "mm")


def _seeds(data: str) -> tuple[int, int, int]:
    """First seed, last seed, frames a seed."""
    try:
        parts = dict(part.split("=", 1) for part in data.removeprefix("phantom:").split(","))
        first, last = (int(number) for number in parts.pop("seeds").split(".."))
        frames = int(parts.pop("frames", "30"))
        if parts or first > last or first < 0 or frames < 1:
            raise ValueError
    except ValueError as error:
        raise InputError(f"{data!r} is not understood; write phantom:seeds=90001..90020,frames=30") from error
    return first, last, frames


def _split(folder: LabelledFolder, crop: Sector | None) -> Samples:
    def each() -> Iterator[Sample]:
        for number in range(len(folder)):
            pixels, truth = folder[number]
            yield Sample(pixels, crop or whole(pixels.shape), truth)

    return Samples(each(), len(folder), folder.root.name, "px")


def _source(data: str, crop: Sector | None) -> Samples:
    source = open_source(data)
    if source.endless:
        source.close()
        raise InputError(f"{data} never ends; record it first: smartca run {data} --record FILE.mp4")

    mm_per_pixel = source.mm_per_pixel

    def each() -> Iterator[Sample]:
        with source:
            finder = SectorFinder(crop or source.sector, source.unrelated)
            for picture in source.pictures():
                yield Sample(picture.pixels, finder.sector(picture.pixels), picture.truth, mm_per_pixel)

    return Samples(each(), source.count, source.name, "mm" if mm_per_pixel else "px")


def watched(data: str, crop: Sector | None, count: int) -> Iterator[Sample]:
    """`count` pictures of a live source, evenly spread over a minute."""
    with open_source(data) as source:
        finder = SectorFinder(crop or source.sector, source.unrelated)
        started, number = time.monotonic(), 0
        for picture in source.pictures():
            passed = time.monotonic() - started
            if passed >= LIVE_SECONDS:
                return
            if passed >= number * LIVE_SECONDS / count:
                number += 1
                yield Sample(picture.pixels, finder.sector(picture.pixels), None)
