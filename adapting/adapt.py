"""`smartca adapt`: from a folder of labelled frames to a model that is the clinic's own."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace as changed

from ..calibration.int8.figures import need_matplotlib
from ..engine.contract import SHIPPED_START, Progress
from ..errors import MissingFile
from ..files import sha256, write_whole
from ..pictures.datasets import Samples, digest_of
from ..train.checkpoint import digest
from ..train.export import load_network
from ..train.fit import FitSettings, validate
from ..train.parallel import use_threads
from ..train.settings import Lessons, Running
from ..train.starting import read_start, settings_of
from .beside import beside
from .finishing import Finishing
from .frames import FRAME_LONGEST, ClinicFrames, read_frames
from .healthy import HealthyPictures, read_healthy
from .learning import ROUNDS_WITHOUT, TIMED, AdaptFit, rehearsal, seconds_per_step, trusted
from .page import adapted_page, verdict
from .record import ADAPTED, PAGE_FILE, Record, alone_in, begun_alike, finished, make_folder, write_record
from .wanted import Wanted

WORK = "learning"  # in DIR: the training's own checkpoints
FEWEST_STEPS, MOST_STEPS = 40, 400
# after learning, on two cores: export, operating points, INT8 and its gate, the page
AFTERWARDS_S = 100.0
SMALLER = 0.75  # of the side, for the first 60 % of the steps of a network of 256 pixels or more
SMALLER_COST = 0.74  # of a step's time on average, then
Told = Callable[[str], None]


class Adapted(NamedTuple):
    """The model, its page, whether it was worth it and that in words, and whether it had been finished before."""

    model: Path
    page: Path
    worth: bool
    words: str
    already: bool


def adapt(wanted: Wanted, say: Told, progress: Progress) -> Adapted:
    """Make the network of `wanted.start` the clinic's own; returns what stands in `wanted.out`.

    Killed at any moment, the same call goes on. Raises SmartcaError, in one sentence, for what cannot be used, and
    where another adapting stands in the folder.
    """
    begun = time.monotonic()
    need_matplotlib()
    use_threads(wanted.threads)
    start, learnt = _start(wanted)
    frames = read_frames(wanted.folder, wanted.mask_value, wanted.label, _part(progress, "reading the frames"))
    for words in frames.in_words():
        say(words)
    healthy = read_healthy(wanted.negatives, FRAME_LONGEST)
    if not healthy.learn and not _is_shipped(start):
        say(
            "warning: no real pictures without a tear are rehearsed, so healthy tissue may be outlined afterwards; "
            "give --negatives"
        )
    asked = Record(digest_of((frames.digest,), [*healthy.learn, *healthy.held]), digest(start), wanted.deciding())
    make_folder(wanted.out, wanted.folder)
    model, page = wanted.out / ADAPTED, wanted.out / PAGE_FILE
    with alone_in(wanted.out):
        record = begun_alike(wanted.out, asked)
        if record and finished(wanted.out, record):
            return Adapted(model, page, record.worth, record.words, True)
        told = _part(progress, "rendering phantoms to rehearse")
        rehearsed = rehearsal(wanted.seeds, wanted.validation_seeds, wanted.cache, wanted.threads, told)
        learning = _Learning(wanted, start, learnt, frames, healthy, rehearsed, asked.frames)
        if record is None:
            record = changed(asked, steps=wanted.steps or learning.affordable(time.monotonic() - begun))
            write_record(wanted.out, record)
        record = _finish(learning, record, say, progress)
    return Adapted(model, page, record.worth, record.words, False)


def _start(wanted: Wanted) -> tuple[Path, FitSettings]:
    """The checkpoint to start from, and how it was learnt. Raises ValueError or OSError where it is none, at once."""
    start = wanted.start or SHIPPED_START
    if not start.is_file():
        cure = "give --start-from CHECKPOINT, a best.pt of `smartca train segment`"
        raise MissingFile(f"there is no checkpoint {start} to start from; {cure}")
    learnt = settings_of(start, read_start(start))
    load_network(start)  # weights that do not fit are found now and not after the phantoms are rendered
    return start, learnt


def _is_shipped(start: Path) -> bool:
    """Whether these are the shipped weights, by whatever name."""
    return SHIPPED_START.is_file() and digest(start) == digest(SHIPPED_START)


@dataclass(frozen=True)
class _Learning:
    """What is learnt, from what, and how well that is known before."""

    wanted: Wanted
    start: Path
    learnt: FitSettings  # of the checkpoint
    frames: ClinicFrames
    healthy: HealthyPictures
    rehearsed: Sequence[Samples]  # to learn from, and others to see that they are still known
    digest: str  # of all pictures

    @cached_property
    def settings(self) -> FitSettings:
        """But for the number of steps where that was not typed."""
        wanted, learnt = self.wanted, self.learnt
        size = wanted.size or learnt.size
        smaller = int(size * SMALLER) // 32 * 32 if size >= 256 else 0
        patience = ROUNDS_WITHOUT if trusted(self.frames.held) else 0
        return FitSettings(
            network=learnt.network, size=size, size_from=smaller, steps=wanted.steps or TIMED + 1, patience=patience,
            batch=wanted.batch, learning_rate=wanted.learning_rate, seed=wanted.seed, loss=learnt.loss,
            freeze_norm=wanted.freeze_norm,
        )  # fmt: skip

    @cached_property
    def shipped(self) -> bool:
        """Whether the shipped weights are started from: then they go on answering about what is unlike the frames."""
        return _is_shipped(self.start)

    @cached_property
    def before(self) -> tuple[float, float]:
        """Best Dice of the start, on the frames held out and on the rehearsal's."""
        network, _ = load_network(self.start)
        held, known = (validate(network, each, self.settings).dice for each in (self.frames.held, self.rehearsed[1]))
        return held, known

    def fit(self, settings: FitSettings, out: Path, running: Running) -> AdaptFit:
        """The training in folder `out`."""
        frames, wanted = self.frames, self.wanted
        healthy = [*frames.healthy, *beside(frames.learn, wanted.seed), *self.healthy.learn]
        lessons = Lessons(frames.learn, frames.held, healthy, digest=self.digest)
        whose = frames.whose if self.shipped else ()
        return AdaptFit(settings, lessons, out, running, self.start, self.rehearsed, self.before[1], whose)

    def affordable(self, spent: float) -> int:
        """As many steps as the time allows, `spent` seconds being gone: one is timed here, at the final size."""
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            tried = self.fit(replace(self.settings, size_from=0), Path(folder), Running(resume=False, device="cpu"))
            each = seconds_per_step(tried) * (SMALLER_COST if self.settings.size_from else 1.0)
        spent += time.monotonic() - begun
        left = 60 * self.wanted.minutes - spent - (AFTERWARDS_S if self.wanted.int8 else AFTERWARDS_S / 3)
        return min(MOST_STEPS, max(FEWEST_STEPS, int(0.85 * left / each)))  # the rest: validations


def _finish(learning: _Learning, record: Record, say: Told, progress: Progress) -> Record:
    """Learn, or go on learning, and write everything; the record comes last, so that nothing half done counts."""
    wanted = learning.wanted
    settings = replace(learning.settings, steps=record.steps)

    def on_step(step: int, total: int, loss: float) -> None:
        progress("learning", step, total)

    fit = learning.fit(settings, wanted.out / WORK, Running(on_step=on_step, device="cpu"))
    try:
        rows = fit.run()
    finally:
        progress("learning", record.steps, record.steps)  # the bar goes, also where it ended early
    finishing = Finishing(
        wanted, learning.start, learning.frames, learning.healthy.held, learning.rehearsed, settings, learning.digest,
        learning.shipped,
    )  # fmt: skip
    story = finishing.story(fit.best, rows, learning.before, say, progress)
    write_whole(wanted.out / PAGE_FILE, adapted_page(story).encode(errors="replace"))
    shutil.rmtree(wanted.out / WORK / "tensorboard", ignore_errors=True)
    worth, words = verdict(story)
    record = changed(record, done=sha256(wanted.out / ADAPTED), worth=worth, words=words)
    write_record(wanted.out, record)
    return record


def _part(progress: Progress, name: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(name, done, total)
