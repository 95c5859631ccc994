"""`smartca train classify`, `smartca train segment` and `smartca export`: what the command line calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..errors import InputError
from ..phantom import TRAIN, VALIDATE
from ..pictures.composites.breast_lesions import lesions_for
from ..pictures.datasets import Labels, Samples, check_samples, digest_of, needs_tear, open_data, refuse_choice
from ..pictures.labelled import LabelledFolder
from ..pictures.negatives import read_negatives, shrunk
from . import parallel
from .classify import Classify, ClassifySettings
from .curves import plot_curves
from .data.cache import Recipe, rendered
from .data.doubts import doubts
from .export import export as write_onnx
from .fit import Fit, FitSettings
from .loop import Loop
from .parallel import Crew
from .settings import Lessons, Running, Settings
from .starting import write_start


def classify(*, out: Path, **options: Any) -> Path:
    """Fit 'tear / no tear' and return `out`/classifier.pt; its log and curves stand beside it.

    `options` are ClassifySettings' fields and those of `_session`. The same command goes on after an interruption.
    Raises ValueError or OSError for input that cannot be used and RuntimeError after Ctrl-C.
    """
    with _session(ClassifySettings, options) as session:
        assert isinstance(session.settings, ClassifySettings)
        fit = Classify(session.settings, session.lessons, out, session.running)
        return session.fitted(fit, out / "classifier-curves.png")


def segment(*, out: Path, classifier: Path | None = None, start_from: Path | None = None, **options: Any) -> Path:
    """Fit a network that outlines tears and return `out`/best.pt; log.csv and curves.png stand beside it.

    `classifier`, of `classify`, becomes SMART-CA's frozen part; or all weights are those of `start_from`, a best.pt.
    `options` are FitSettings' fields and those of `_session`. The same command goes on after an interruption.
    Raises ValueError or OSError for input that cannot be used and RuntimeError after Ctrl-C.
    """
    with _session(FitSettings, options) as session:
        assert isinstance(session.settings, FitSettings)
        fit = Fit(session.settings, session.lessons, out, session.running, classifier, start_from)
        return session.fitted(fit, out / "curves.png")


def export(*, checkpoint: Path, out: Path, start: Path | None = None) -> float:
    """Write the ONNX file `out` from `checkpoint` (best.pt); returns the greatest difference in q to torch.

    `start` is where a checkpoint goes that other trainings can start from. Raises ValueError for a damaged checkpoint
    and RuntimeError where torch and OpenVINO do not agree to 1e-3.
    """
    difference = write_onnx(checkpoint, out)
    if start is not None:
        write_start(checkpoint, start)
    return difference


class _Session:
    """What both steps share: samples, what the loops want besides settings, and the line that shows progress."""

    def __init__(self, crew: Crew, progress: Progress, settings: Settings) -> None:
        self.crew, self.progress, self.settings = crew, progress, settings
        self.lessons: Lessons
        self.running: Running
        self.task = progress.add_task("training", total=None, visible=False)
        self.fit: Loop | None = None

    def on_step(self, step: int, total: int, loss: float) -> None:
        """Bring the line up to date."""
        best = ""
        if self.fit and self.fit.rows:
            name = self.fit.best_by[0]
            best = f", best {name.replace('_', ' ')} {max(row[name] for row in self.fit.rows):.3f}"
        words = f"training: loss {loss:.3f}{best}"
        self.progress.update(self.task, completed=step, total=total, description=words, visible=True)

    def fitted(self, fit: Loop, curves: Path) -> Path:
        """Run a loop to its end and draw its curves; returns the best weights."""
        self.fit = fit
        rows = fit.run()
        if self.crew.first:
            plot_curves(rows, curves)
            if fit.step < fit.total:
                self.progress.console.print(
                    f"smartca: ended early at step {fit.step} of {fit.total}: {fit.settings.patience} epochs without a "
                    "better validation (--patience)",
                    soft_wrap=True,
                    highlight=False,
                )
        return fit.best


@contextmanager
def _session(kind: type[Settings], options: dict[str, Any]) -> Iterator[_Session]:
    """Take from `options` what is no setting, and make the session's `settings` of the rest.

    `data` is "phantom" (rendered once into `cache`: `frames` of each of `seeds` training and `validation_seeds`
    validation seeds) or one of datasets.FORMS, where `mask_value` picks one class of masks and `label` one of outlines.
    Every picture is read before training starts.
    `negatives` is a folder of pictures without a tear, `lesions` one of another organ's, set into them.
    `device` is "cuda" where there is one, else "cpu", and `half` (bfloat16) is used where that computes it natively,
    unless given. `resume` goes on where `out` broke off.
    """
    rest = dict(options)
    threads = rest.pop("threads", 2)
    device = rest.pop("device", None) or parallel.default_device()
    negatives, lesions, resume = rest.pop("negatives", None), rest.pop("lesions", None), rest.pop("resume", True)
    source = {name: rest.pop(name, usual) for name, usual in SOURCE.items()}
    torch.set_num_threads(threads)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with parallel.joined(device) as crew:
        if rest.get("half") is None:
            rest["half"] = _computes_half(crew.device)
        with Progress(*columns, console=Console(stderr=True), disable=not crew.first) as progress:
            session = _Session(crew, progress, kind(**rest))
            with crew.first_alone():
                samples, told = _samples(**source, workers=threads, progress=progress, first=crew.first)
            if crew.first and isinstance(samples[0], LabelledFolder) and isinstance(samples[1], LabelledFolder):
                for words in doubts(samples[0], samples[1], session.settings.size):
                    progress.console.print(f"smartca: warning: {words}", soft_wrap=True, markup=False, highlight=False)
            without = shrunk(read_negatives(negatives), 400) if negatives else []
            cut_out = lesions_for("train", lesions) if lesions else []
            real = [*without, *(part for one in cut_out for part in (one.grey, one.mask.astype(np.uint8)))]
            session.lessons = Lessons(*samples, without, cut_out, digest_of(crew.from_first(told), real))
            # a GPU waits for its batches; on a CPU more threads would only take turns with the network's
            workers = max(1, threads - 1) if crew.device.type == "cuda" else 1
            session.running = Running(resume, session.on_step, str(crew.device), workers=workers)
            yield session


SOURCE: dict[str, Any] = {
    "data": "phantom",
    "seeds": 900,
    "frames": 3,
    "validation_seeds": 120,
    "mask_value": None,
    "label": None,
    "cache": None,
}


def _computes_half(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 natively; elsewhere it would only be slower."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16"))


def _samples(
    *,
    data: str,
    seeds: int,
    frames: int,
    validation_seeds: int,
    mask_value: int | None,
    label: Labels,
    cache: Path | None,
    workers: int,
    progress: Progress,
    first: bool,
) -> tuple[tuple[Samples, Samples], list[str]]:
    """Training and validation samples, and digests of them; the `first` process reads them all to see that it can.

    Phantoms are rendered where they are not yet.
    """
    if data != "phantom":
        train, validate = (open_data(data, split, mask_value, label) for split in ("train", "validate"))
        return (train, validate), [_checked(part, progress) for part in (train, validate)] if first else []
    refuse_choice(data, mask_value, label)
    ranges = (("training", TRAIN, seeds), ("validation", VALIDATE, validation_seeds))
    for name, known, count in ranges:
        if not 0 < count <= len(known):
            raise InputError(f"{count} {name} seeds are wanted; give a number from 1 to {len(known)}")
    parts, keys = [], []
    for name, known, count in ranges:
        task = progress.add_task(f"rendering {name} frames", total=count * frames)

        def on_done(done: int, total: int, task: int = task) -> None:  # type: ignore[assignment]
            progress.update(task, completed=done, total=total)  # type: ignore[arg-type]

        recipe = Recipe(tuple(known[:count]), frames)
        parts.append(rendered(recipe, cache, workers, on_done))
        keys.append(recipe.key)
        needs_tear(parts[-1])
        progress.remove_task(task)
    return (parts[0], parts[1]), keys


def _checked(samples: Samples, progress: Progress) -> str:
    """Read all of them, with a progress bar; returns their digest."""
    task = progress.add_task("reading the pictures", total=len(samples))
    try:
        return check_samples(samples, lambda done, total: progress.update(task, completed=done, total=total)).digest
    finally:
        progress.remove_task(task)
