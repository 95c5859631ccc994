"""What `--data` names, as pictures with their truth."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..engine import Mask, whole
from ..errors import InputError
from ..phantom.recipes import recipe_of
from ..pictures.datasets import Data, form_of, open_data, refuse_choice
from ..pictures.labelled import LabelledFolder
from ..pictures.pixels import Sector, check_not_tiny
from ..pictures.sector import SectorFinder
from ..stream.sources import open_source, without_secrets

LIVE_SECONDS = 60  # of a camera, to choose from
Spacing = tuple[float, float]


class Sample(NamedTuple):
    """A picture, where in it the ultrasound is, its truth and its mm per pixel (row, column) where known."""

    pixels: NDArray[np.uint8]
    sector: Sector
    truth: Mask | None
    mm_per_pixel: Spacing | None = None


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """Samples, how many there will be where that is known, what they are called, and the unit of distances."""

    each: Iterator[Sample]
    count: int | None
    name: str
    unit: str  # "mm" where every sample's mm per pixel is known, else "px"


def samples(
    data: str, split: str, crop: Sector | None, mask_value: int | None = None, label: Sequence[str] = ()
) -> EvaluationSet:
    """What `--data` names: phantom:seeds=A..B[,frames=30][,recipe=NAME], a source, or one of datasets.FORMS.

    `split`, `mask_value` and `label` pick from labelled pictures as `datasets.open_data` does it. Raises ValueError
    or OSError with one sentence.
    """
    if data.startswith("phantom:seeds="):
        refuse_choice(data, mask_value, label)
        return _phantom(data)
    if form_of(data) is None:
        return _source(data, crop, mask_value, label)
    opened = open_data(data, split, mask_value, label)
    if isinstance(opened, LabelledFolder):
        opened.check_value()
    return _labelled(opened, crop)


def _phantom(data: str) -> EvaluationSet:
    from ..phantom import Phantom, screen

    first, last, frames, recipe = _seeds(data)

    def each() -> Iterator[Sample]:
        for seed in range(first, last + 1):
            phantom = Phantom(seed, recipe=recipe)
            for number in range(frames):
                shot = screen(phantom.frame(number * phantom.period / frames))
                yield Sample(shot.pixels, Sector(*shot.sector), shot.mask, shot.mm_per_pixel)

    return EvaluationSet(each(), (last + 1 - first) * frames, data, "mm")


def _seeds(data: str) -> tuple[int, int, int, str]:
    """First seed, last seed, frames a seed, recipe."""
    try:
        parts = dict(part.split("=", 1) for part in data.removeprefix("phantom:").split(","))
        first, last = (int(number) for number in parts.pop("seeds").split(".."))
        frames, recipe = int(parts.pop("frames", "30")), parts.pop("recipe", "usual")
        if parts or first > last or first < 0 or frames < 1:
            raise ValueError
    except ValueError as error:
        raise InputError(f"{data!r} is not understood; write phantom:seeds=90001..90020,frames=30") from error
    recipe_of(recipe)  # raises where there is none
    return first, last, frames, recipe


def _labelled(data: Data, crop: Sector | None) -> EvaluationSet:
    def each() -> Iterator[Sample]:
        for number in range(len(data)):
            pixels, truth = data[number]
            _check(data.files[number], pixels.shape)
            yield Sample(pixels, crop or whole(pixels.shape), truth)

    return EvaluationSet(each(), len(data), data.root.name, "px")


def _source(data: str, crop: Sector | None, mask_value: int | None, label: Sequence[str]) -> EvaluationSet:
    source = open_source(data, None, mask_value, label)
    if source.endless:
        source.close()
        shown = without_secrets(data)
        raise InputError(f"{shown} never ends; record it first: smartca run {shown} --record FILE.mp4")

    mm_per_pixel = source.mm_per_pixel
    for name, shape in source.sizes():
        _check(name, shape)

    def each() -> Iterator[Sample]:
        with source:
            finder = SectorFinder(crop or source.sector, source.unrelated)
            for number, picture in enumerate(source.pictures(), 1):
                _check(f"{source.name}, picture {number}", picture.pixels.shape)
                yield Sample(picture.pixels, finder.sector(picture.pixels), picture.truth, mm_per_pixel)

    return EvaluationSet(each(), source.count, source.name, "mm" if mm_per_pixel else "px")


def _check(name: str, shape: tuple[int, ...]) -> None:
    """InputError, naming the picture, where it is too small to show anything."""
    try:
        check_not_tiny(shape)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


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
