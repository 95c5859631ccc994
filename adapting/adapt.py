"""`smartca adapt`: from a folder of labelled frames to a model that is the clinic's own."""

from __future__ import annotations

import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..calibration.int8.figures import need_matplotlib
from ..engine.contract import SHIPPED_START, Progress
from ..engine.cpu.openvino_runner import most_exact
from ..engine.cpu.ready_int8 import place
from ..engine.operating_point import OperatingPoint, load_point
from ..errors import UNDECODABLE, FileError, InputError, MissingFile
from ..files import sha256, write_json, write_whole
from ..pictures.datasets import Labels, Samples
from ..pictures.negatives import read_negatives, shrunk
from ..train.checkpoint import digest
from ..train.export import load_network
from ..train.fit import FitSettings, validate
from ..train.logs import Row
from ..train.parallel import use_threads
from ..train.settings import Lessons, Running
from ..train.starting import read_start, settings_of
from .compare import Outcome, by_checkpoint, fitted_point, fitting_frames, judged
from .finishing import judged_as_it_runs, write_int8, write_model
from .frames import FRAME_LONGEST, ClinicFrames, read_frames
from .learning import ROUNDS_WITHOUT, TRIED, AdaptFit, rehearsal, seconds_per_step, trusted
from .page import Story, adapted_page, verdict

MODEL, PAGE, RECORD, WORK = "adapted.onnx", "adapted.html", "adapt.json", "learning"
FEWEST_STEPS, MOST_STEPS = 40, 400
# after learning, on two cores: export, operating point, INT8 and its gate, the page
AFTERWARDS_S = 100.0
SMALLER = 0.75  # of the side, for the first 60 % of the steps of a network of 256 pixels or more
SMALLER_COST = 0.74  # of a step's time on average, then
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was typed. steps: 0 = as many as fit into `minutes`. size: 0 = the checkpoint's own."""

    folder: Path
    out: Path
    start: Path | None = None
    minutes: float = 5.0
    steps: int = 0
    size: int = 0
    batch: int = 12
    learning_rate: float = 1e-3
    freeze_norm: bool = False
    mask_value: int | None = None
    label: Labels = None
    negatives: Path | None = None
    seeds: int = 60
    validation_seeds: int = 20
    cache: Path | None = None
    threads: int = 2
    seed: int = 1
    int8: bool = True


class Record(msgspec.Struct, frozen=True):
    """DIR/adapt.json: what is adapted to what, so that the same command goes on; `done` once it is finished."""

    frames: str
    start: str
    wanted: str
    steps: int
    done: str = ""  # SHA-256 of the model


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
    start = wanted.start or SHIPPED_START
    if not start.is_file():
        cure = "give --start-from CHECKPOINT, a best.pt of `smartca train segment`"
        raise MissingFile(f"there is no checkpoint {start} to start from; {cure}")
    learnt = settings_of(start, read_start(start))
    frames = read_frames(wanted.folder, wanted.mask_value, wanted.label, _part(progress, "reading the frames"))
    for words in frames.in_words():
        say(words)
    real = shrunk(read_negatives(wanted.negatives), FRAME_LONGEST) if wanted.negatives else []
    _make_folder(wanted.out)
    record = _read_record(wanted, frames, start)
    model = wanted.out / MODEL
    if record and record.done and model.is_file() and sha256(model) == record.done:
        return Adapted(model, wanted.out / PAGE, True, "it is finished already", True)
    told = _part(progress, "rendering phantoms to rehearse")
    rehearsed = rehearsal(wanted.seeds, wanted.validation_seeds, wanted.cache, wanted.threads, told)
    lessons = Lessons(frames.learn, frames.held, [*frames.healthy, *real], frames.digest)
    settings = _settings(wanted, learnt, ROUNDS_WITHOUT if trusted(frames.held) else 0)
    network, _ = load_network(start)
    known = validate(network, rehearsed[1], settings).dice
    before = validate(network, frames.held, settings).dice, known

    def fitting(settings: FitSettings, out: Path, running: Running) -> AdaptFit:
        return AdaptFit(settings, lessons, out, running, start, rehearsed, known)

    if record is None:
        steps = wanted.steps or _affordable(wanted, settings, fitting, time.monotonic() - begun)
        record = Record(frames.digest, digest(start), _typed(wanted), steps)
        write_json(wanted.out / RECORD, record)
    settings = replace(settings, steps=record.steps)

    def on_step(step: int, total: int, loss: float) -> None:
        progress("learning", step, total)

    fit = fitting(settings, wanted.out / WORK, Running(on_step=on_step, device="cpu"))
    try:
        rows = fit.run()
    finally:
        progress("learning", record.steps, record.steps)
    finished = _Finishing(wanted, start, frames, rehearsed, settings, say, progress)
    story = finished.story(fit.best, rows, before)
    write_whole(wanted.out / PAGE, adapted_page(story).encode())
    write_json(wanted.out / RECORD, msgspec.structs.replace(record, done=sha256(model)))
    shutil.rmtree(wanted.out / WORK / "tensorboard", ignore_errors=True)
    return Adapted(model, wanted.out / PAGE, *verdict(story), False)


@dataclass(frozen=True)
class _Finishing:
    """From the best weights to the model and its page."""

    wanted: Wanted
    start: Path
    frames: ClinicFrames
    rehearsed: Sequence[Samples]
    settings: FitSettings
    say: Told
    progress: Progress

    def story(self, best: Path, rows: Sequence[Row], before: tuple[float, float]) -> Story:
        """Write the model, its operating point and its INT8 network; returns what the page tells."""
        model, threads = self.wanted.out / MODEL, self.wanted.threads
        held, known = self.frames.held, self.rehearsed[1]
        shown = list(fitting_frames(held, known, self.wanted.seed))
        words = f"{len(held)} frames held out of {self.wanted.folder.name}, each varied, and as many phantoms"
        self.progress("exporting and calibrating", 0, 2)
        point = write_model(best, model, shown, words, threads)
        self.progress("exporting and calibrating", 1, 2)
        old = self._before(shown, words)
        self.progress("exporting and calibrating", 2, 2)
        precision = "fp32"
        if self.wanted.int8:
            learn = (self.frames.learn, self.rehearsed[0])
            told = write_int8(
                model, learn, (held, known), str(self.wanted.folder), self.frames.digest, self.progress, threads
            )
            precision = "int8" if place(model).is_file() else "fp32"
            self.say(told)
        runs = load_point(place(model), sha256(place(model))) if precision == "int8" else point
        after = judged_as_it_runs(model, runs, (held, known), precision, threads)
        return Story(
            clinic=(old[0], after[0]),
            rehearsal=(old[1], after[1]),
            as_it_stood=self._as_it_stood(),
            rows=rows,
            before=before,
            facts=self._facts(model, point, precision),
            words=self.frames.in_words(),
            commands=commands(self.wanted.out),
            precision=precision,
        )

    def _before(self, shown: Sequence, words: str) -> list[Outcome]:
        """What the weights that were started from outline, at the threshold that suits the same frames."""
        predict = by_checkpoint(self.start)
        point = fitted_point(predict, shown, self.settings.size, words, "")
        return [judged(predict, point, each, self.settings.size) for each in (self.frames.held, self.rehearsed[1])]

    def _as_it_stood(self) -> Outcome | None:
        """The frames held out by the model beside the checkpoint, at its stored operating point; None without one."""
        model = self.start.with_suffix(".onnx")
        if not model.is_file():
            return None
        point = load_point(model, sha256(model))
        return judged_as_it_runs(model, point, [self.frames.held], most_exact(model), self.wanted.threads)[0]

    def _facts(self, model: Path, point: OperatingPoint, precision: str) -> list[tuple[str, str]]:
        settings = self.settings
        return [
            ("weights", f"{model.name}, SHA-256 {sha256(model)[:16]}..., run in {precision}"),
            ("started from", f"{self.start.name}, {digest(self.start)}"),
            ("frames", f"{self.wanted.folder.name}, digest {self.frames.digest[:16]}"),
            ("network", f"{settings.network}, {settings.size} x {settings.size} pixels, loss {settings.loss}"),
            ("steps", f"{settings.steps} of {settings.batch}, half of each rehearsal"),
            ("operating point", f"threshold {point.threshold:.3f}, found on {point.fitted_on}"),
        ]


def commands(out: Path) -> list[tuple[str, str]]:
    """What can be done with an adapted network: (what for, command)."""
    return [
        ("to use it once", shlex.join(["smartca", "run", "SOURCE", "--model", str(out / MODEL)])),
        ("to use it always", shlex.join(["smartca", "adapt", "--use", str(out)])),
        ("to go back to the shipped weights", "smartca adapt --back"),
    ]


def _settings(wanted: Wanted, learnt: FitSettings, patience: int) -> FitSettings:
    size = wanted.size or learnt.size
    smaller = int(size * SMALLER) // 32 * 32 if size >= 256 else 0
    return FitSettings(
        network=learnt.network, size=size, size_from=smaller, steps=wanted.steps or TRIED + 1, patience=patience,
        batch=wanted.batch, learning_rate=wanted.learning_rate, seed=wanted.seed, loss=learnt.loss,
        freeze_norm=wanted.freeze_norm,
    )  # fmt: skip


def _affordable(
    wanted: Wanted, settings: FitSettings, fitting: Callable[[FitSettings, Path, Running], AdaptFit], spent: float
) -> int:
    """As many steps as the time allows: one is timed here, at the final size."""
    with tempfile.TemporaryDirectory() as folder:
        tried = fitting(replace(settings, size_from=0), Path(folder), Running(resume=False, device="cpu"))
        each = seconds_per_step(tried) * (SMALLER_COST if settings.size_from else 1.0)
    left = 60 * wanted.minutes - spent - (AFTERWARDS_S if wanted.int8 else AFTERWARDS_S / 3)
    return min(MOST_STEPS, max(FEWEST_STEPS, int(0.85 * left / each)))  # the rest: validations


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise FileError(f"{out} cannot be written ({error.strerror}); choose another place for --out") from error


def _typed(wanted: Wanted) -> str:
    """What was typed and decides the weights, but for folder and start, whose digests stand beside it."""
    kept = (wanted.minutes, wanted.steps, wanted.size, wanted.batch, wanted.learning_rate, wanted.freeze_norm)
    return repr((*kept, str(wanted.negatives), wanted.seeds, wanted.validation_seeds, wanted.seed, wanted.int8))


def _read_record(wanted: Wanted, frames: ClinicFrames, start: Path) -> Record | None:
    """What stands in the folder; None where nothing does. Raises ValueError where it is another adapting."""
    path = wanted.out / RECORD
    try:
        record = msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except UNDECODABLE as error:
        raise InputError(f"{path} is damaged; give another --out") from error
    if record.frames != frames.digest:
        raise InputError(f"{wanted.out} holds a network adapted to other frames; give another --out")
    if record.start != digest(start):
        raise InputError(f"{wanted.out} holds a network that was started from other weights; give another --out")
    if record.wanted != _typed(wanted):
        raise InputError(f"{wanted.out} was begun with other options; give those again, or another --out")
    return record


def _part(progress: Progress, name: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(name, done, total)
