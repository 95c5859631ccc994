"""One cell of a study: a network trained as planned, scored, and its result as one file, all of it or nothing."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch

from ...engine.letterbox import letterbox_mask
from ...errors import UNDECODABLE
from ...pictures.pixels import whole
from .. import loss_names
from ..checkpoint import replace_file
from ..classify import Classify, ClassifySettings
from ..export import load_network
from ..fit import Fit, FitSettings
from ..settings import Lessons, Running
from .pictures import ROOM, DataSet, Repeated
from .plan import OURS, Cell
from .scoring import Level, choose_threshold, score

VALIDATIONS = 16  # of a cell that learns from a number of pictures
OnCellStep = Callable[[int, int], None]  # (step, steps of the cell in all)


class Examined(msgspec.Struct, frozen=True):
    """The test pictures: names, and pixels to be found in each on the network's square."""

    names: tuple[str, ...]
    areas: tuple[int, ...]


class CellResult(msgspec.Struct, frozen=True):
    """What a cell's file holds. `threshold` is of logit(q); seconds are wall clock."""

    cell: Cell
    digest: str
    parameters: int
    trainable: int
    threshold: float
    validation_dice: float
    train_pictures: int
    test: Examined
    levels: dict[str, Level]
    classify_seconds: float
    segment_seconds: float
    score_seconds: float
    device: str
    threads: int
    torch: str

    @property
    def presentations(self) -> int:
        """Pictures shown in all, classifier included."""
        return self.cell.batch * (self.cell.classifier_steps + self.cell.segment_steps)


@dataclass(frozen=True)
class StudyFolder:
    """Where a study's files lie."""

    out: Path

    def result(self, cell: Cell, digest: str) -> Path:
        return self.out / "cells" / f"{cell.key(digest)}.json"

    def work(self, cell: Cell, digest: str) -> Path:
        """Checkpoints of a cell under way; gone once it is done. Another version's are not gone on from."""
        settings = hashlib.sha256(repr(_settings(cell)).encode()).hexdigest()[:8]
        return self.out / "work" / f"{cell.key(digest)}-{settings}"

    def read(self, cell: Cell, digest: str) -> CellResult | None:
        """A cell's result; None where it is not done yet, or its file is damaged, or says less than it should."""
        path = self.result(cell, digest)
        try:
            return msgspec.json.decode(path.read_bytes(), type=CellResult)
        except (FileNotFoundError, *UNDECODABLE):
            return None


def run_cell(
    cell: Cell,
    data: DataSet,
    place: StudyFolder,
    device: str = "cpu",
    resume: bool = True,
    on_step: OnCellStep | None = None,
    checkpoint: Path | None = None,
) -> CellResult:
    """Train and score `cell`, write its file and return what is in it. `checkpoint` is what the start `ours` means.

    A training that was broken off goes on from its own checkpoint. Raises ValueError for names that are not known,
    Stopped after Ctrl-C and OSError where nothing can be written.
    """
    work = place.work(cell, data.digest)
    if not resume:
        shutil.rmtree(work, ignore_errors=True)
    result = _scored(cell, data, _trained(cell, data, work, device, on_step, checkpoint), device)
    path = place.result(cell, data.digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda file: file.write(msgspec.json.encode(result)))
    shutil.rmtree(work, ignore_errors=True)
    return result


class Trained(NamedTuple):
    """The best checkpoint, and how long its two steps took."""

    checkpoint: Path
    classify_seconds: float
    segment_seconds: float


def _trained(
    cell: Cell, data: DataSet, work: Path, device: str, on_step: OnCellStep | None, checkpoint: Path | None
) -> Trained:
    """The classifier, where the cell has one, and the segmentation; a checkpoint as it is where nothing is learnt."""
    start = checkpoint if cell.start == OURS else None
    if start and not cell.segment_steps:
        return Trained(start, 0.0, 0.0)
    longest = round(cell.size * ROOM)
    train, held = data.train.shrunk(longest), data.validate.shrunk(longest)
    if cell.speckle:
        train = train.speckled()
    if cell.pictures is not None:
        train = Repeated(train.few(cell.pictures, cell.seed), cell.batch * max(1, cell.segment_steps // VALIDATIONS))
    lessons, total = Lessons(train, held), cell.classifier_steps + cell.segment_steps
    first, second = _settings(cell)
    # a GPU waits for its pictures otherwise; on a CPU more threads would only be in the network's way
    workers = torch.get_num_threads() if device.startswith("cuda") else 1
    begun, classifier = time.monotonic(), None
    if first:
        told = _shifted(on_step, 0, total)
        classify = Classify(first, lessons, work, Running(on_step=told, device=device, workers=workers))
        classify.run()
        classifier = classify.best
    middle, told = time.monotonic(), _shifted(on_step, cell.classifier_steps, total)
    fit = Fit(second, lessons, work, Running(on_step=told, device=device, workers=workers), classifier, start)
    fit.run()
    return Trained(fit.best, middle - begun, time.monotonic() - middle)


def _settings(cell: Cell) -> tuple[ClassifySettings | None, FitSettings]:
    """Of both steps of training; None for the first where there is no classifier."""
    alike: dict[str, Any] = {
        "network": cell.variant.built, "size": cell.size, "batch": cell.batch, "seed": cell.seed, "half": cell.half
    }  # fmt: skip
    first = ClassifySettings(steps=cell.classifier_steps, **alike) if cell.classifier_steps else None
    return first, FitSettings(
        steps=cell.segment_steps, loss=cell.loss, learning_rate=cell.learning_rate, **alike
    )  # fmt: skip


def _scored(cell: Cell, data: DataSet, trained: Trained, device: str) -> CellResult:
    """The trained network's threshold, found on the validation pictures, and its scores on the test pictures."""
    begun = time.monotonic()
    network, _ = load_network(trained.checkpoint)
    network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    posterior = loss_names.posterior(cell.loss)
    best = choose_threshold(network, posterior, data.validate, cell.size, cell.batch)
    levels = {level: score(network, posterior, data, level, best.logit, cell.size, cell.batch) for level in cell.levels}
    sizes = [(weight.numel(), weight.requires_grad) for weight in network.parameters()]
    areas = tuple(int(letterbox_mask(mask, whole(mask.shape), cell.size).sum()) for _, mask in data.test.items)
    learnt_from = len(data.train) if cell.pictures is None else cell.pictures
    return CellResult(
        cell, data.digest, sum(n for n, _ in sizes), sum(n for n, learns in sizes if learns), best.logit, best.dice,
        learnt_from, Examined(tuple(data.test.names), areas), levels, trained.classify_seconds, trained.segment_seconds,
        time.monotonic() - begun, device, torch.get_num_threads(), str(torch.__version__),
    )  # fmt: skip


def _shifted(on_step: OnCellStep | None, done: int, total: int) -> Callable[[int, int, float], None] | None:
    if on_step is None:
        return None
    return lambda step, _total, _loss: on_step(done + step, total)
