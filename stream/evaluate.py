"""`smartca evaluate`: every frame of some data through the segmenter the stream uses, and its score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..engine import Counts, EngineError, Mask, NoPicture, Sector, Segmenter, whole
from ..engine.labelled import LabelledFolder
from .frame import State
from .sector import SectorFinder
from .sources import open_source

Progress = Callable[[int, int | None], None]


class Sample(NamedTuple):
    """A picture, where in it the ultrasound is, and its truth where known."""

    pixels: NDArray[np.uint8]
    sector: Sector
    truth: Mask | None


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples and how many there will be, where that is known."""

    each: Iterator[Sample]
    count: int | None


def evaluate(segmenter: Segmenter, samples: Samples, progress: Progress) -> dict[str, object]:
    """The report's `frames`, `states` and `truth` over all `samples`, and the engine that made them."""
    counts, states, done, judged = Counts(), Counter[str](), 0, 0
    for sample in samples.each:
        state, mask = _look(segmenter, sample)
        states[state.name.lower()] += 1
        if sample.truth is not None:
            # no result leaves a tear unmarked; the state tells it from 'no tear outlined'
            counts.add(np.zeros_like(sample.truth) if mask is None else mask, sample.truth)
            judged += 1
        done += 1
        progress(done, samples.count)
    if not done:
        raise ValueError("there is not one picture in this data; check --data and --split")
    report: dict[str, object] = {
        "frames": {"evaluated": done, "inferred": done - states["no_result"], "with_truth": judged},
        "states": {state.name.lower(): states[state.name.lower()] for state in State},
        "outlined_share": round(states["tear_outlined"] / done, 4),
        "engine": segmenter.runner.info.as_report(),
        "threshold": segmenter.point.threshold,
    }
    if judged:
        report["truth"] = counts.as_report()
    return report


def _look(segmenter: Segmenter, sample: Sample) -> tuple[State, Mask | None]:
    try:
        mask = segmenter(sample.pixels, sample.sector).mask
    except (EngineError, NoPicture):
        return State.NO_RESULT, None
    return (State.TEAR_OUTLINED if mask.any() else State.NO_TEAR_OUTLINED), mask


def samples(data: str, split: str, crop: Sector | None, mask_value: int | None = None) -> Samples:
    """What `--data` names: phantom:seeds=A..B[,frames=30], a folder with images/ and masks/, or any source.

    `mask_value` picks one class of a folder's masks. Raises ValueError or OSError with one sentence.
    """
    if data.startswith("phantom:seeds="):
        return _phantom(data)
    folder = Path(data)
    if (folder / "images").is_dir() and (folder / "split.csv").is_file():
        return _split(LabelledFolder(folder, split, mask_value), crop)
    return _source(data, crop)


def _phantom(data: str) -> Samples:
    from ..phantom import Phantom, screen

    first, last, frames = _seeds(data)

    def each() -> Iterator[Sample]:
        for seed in range(first, last + 1):
            phantom = Phantom(seed)
            for number in range(frames):
                shot = screen(phantom.frame(number * phantom.period / frames))
                yield Sample(shot.pixels, Sector(*shot.sector), shot.mask)

    return Samples(each(), (last + 1 - first) * frames)


def _seeds(data: str) -> tuple[int, int, int]:
    """First seed, last seed, frames a seed."""
    try:
        parts = dict(part.split("=", 1) for part in data.removeprefix("phantom:").split(","))
        first, last = (int(number) for number in parts.pop("seeds").split(".."))
        frames = int(parts.pop("frames", "30"))
        if parts or first > last or first < 0 or frames < 1:
            raise ValueError
    except ValueError as error:
        raise ValueError(f"{data!r} is not understood; write phantom:seeds=90001..90020,frames=30") from error
    return first, last, frames


def _split(folder: LabelledFolder, crop: Sector | None) -> Samples:
    def each() -> Iterator[Sample]:
        for number in range(len(folder)):
            pixels, truth = folder[number]
            yield Sample(pixels, crop or whole(pixels.shape), truth)

    return Samples(each(), len(folder))


def _source(data: str, crop: Sector | None) -> Samples:
    source = open_source(data)
    if source.endless:
        source.close()
        raise ValueError(f"{data} never ends; record it first: smartca run {data} --record FILE.mp4")

    def each() -> Iterator[Sample]:
        with source:
            finder = SectorFinder(crop or source.sector, source.unrelated)
            for picture in source.pictures():
                yield Sample(picture.pixels, finder.sector(picture.pixels), picture.truth)

    return Samples(each(), source.count)
