"""`smartca train` and `smartca export`: what the command line calls, with progress shown."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..engine.labelled import LabelledFolder
from ..phantom import TRAIN, VALIDATE
from .cache import Recipe, rendered
from .curves import plot
from .data import Samples, read_negatives, shrunk
from .export import export as write_onnx
from .fit import Fit, FitSettings


def train(
    *,
    data: str = "phantom",
    out: Path,
    backbone: str = "lite",
    epochs: int = 12,
    batch: int = 16,
    learning_rate: float = 2e-3,
    classify_epochs: int = 0,
    seeds: int = 900,
    frames: int = 3,
    validation_seeds: int = 120,
    negatives: Path | None = None,
    mask_value: int | None = None,
    cache: Path | None = None,
    threads: int = 2,
    seed: int = 1,
    half: bool | None = None,
    device: str | None = None,
    resume: bool = True,
) -> Path:
    """Fit SMART-CA and return its best checkpoint, `out`/best.pt; log.csv and curves.png stand beside it.

    `data` is "phantom" (rendered once into `cache`: `frames` of each of `seeds` training and
    `validation_seeds` validation seeds) or a folder with images/, masks/ and split.csv, where `mask_value`
    picks one class of the masks. `negatives` is a folder of pictures without a tear. `device` is
    "cuda" where there is one, else "cpu", and `half` (bfloat16) is used where that computes it natively,
    unless given. The same command goes on after an interruption.
    Raises ValueError or OSError for input that cannot be used and RuntimeError after Ctrl-C.
    """
    torch.set_num_threads(threads)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    settings = FitSettings(
        backbone=backbone,
        epochs=epochs,
        classify_epochs=classify_epochs,
        batch=batch,
        learning_rate=learning_rate,
        seed=seed,
        half=_computes_half(device) if half is None else half,
    )
    with _bar() as progress:
        learning, held = _samples(data, seeds, frames, validation_seeds, mask_value, cache, threads, progress)
        pictures = shrunk(read_negatives(negatives), 400) if negatives else []
        task = progress.add_task("training", total=None)

        def on_step(step: int, total: int, loss: float) -> None:
            dice = f", best validation Dice {max(row['dice'] for row in fit.rows):.3f}" if fit.rows else ""
            progress.update(task, completed=step, total=total, description=f"training: loss {loss:.3f}{dice}")

        fit = Fit(settings, learning, held, out, pictures, resume, on_step, device)
        rows = fit.run()
    plot(rows, out / "curves.png")
    return fit.best


def export(*, checkpoint: Path, out: Path) -> float:
    """Write the ONNX file `out` from `checkpoint` (best.pt); returns the greatest difference in q to torch.

    Raises ValueError for a damaged checkpoint and RuntimeError where torch and OpenVINO do not agree to 1e-3.
    """
    return write_onnx(checkpoint, out)


def _computes_half(device: str) -> bool:
    """Whether `device` multiplies bfloat16 natively; elsewhere it would only be slower."""
    if device != "cpu":
        return torch.cuda.is_bf16_supported()
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16"))


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def _samples(
    data: str,
    seeds: int,
    frames: int,
    validation_seeds: int,
    mask_value: int | None,
    cache: Path | None,
    workers: int,
    progress: Progress,
) -> tuple[Samples, Samples]:
    """Training and validation samples, the phantom's rendered where they are not yet."""
    if data != "phantom":
        if not Path(data).is_dir():
            raise ValueError(
                f"'{data}' is no folder; give --data phantom or a folder with images/, masks/ and split.csv"
            )
        train, validate = (LabelledFolder(Path(data), split, mask_value) for split in ("train", "validate"))
        return train, validate
    parts = []
    for name, first, count in (("training", TRAIN, seeds), ("validation", VALIDATE, validation_seeds)):
        if not 0 < count <= len(first):
            raise ValueError(f"{count} {name} seeds are wanted; give a number from 1 to {len(first)}")
        task = progress.add_task(f"rendering {name} frames", total=count * frames)

        def on_done(done: int, total: int, task: int = task) -> None:  # type: ignore[assignment]
            progress.update(task, completed=done, total=total)  # type: ignore[arg-type]

        recipe = Recipe(tuple(first[:count]), frames)
        parts.append(rendered(recipe, cache, workers, on_done))
        progress.remove_task(task)
    return parts[0], parts[1]
