"""smartca train, export, calibrate: what needs torch (the extra `train`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from .options import FILE, say, writable

FOLDER = click.Path(file_okay=False, path_type=Path)


@contextmanager
def _needs_torch() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{error.name} is not installed; training needs the extra 'train': "
            "uv sync --extra train, or pip install 'smartca[train]'"
        ) from error


_data = click.option(
    "--data",
    default="phantom",
    show_default=True,
    metavar="phantom|DIR",
    help="Simulated shoulders, or a folder with images/, masks/ and split.csv.",
)
_mask_value = click.option(
    "--mask-value",
    type=click.IntRange(1, 255),
    help="The class to learn in masks of several.  [default: any]",
)
_cache = click.option("--cache", type=FOLDER, help="Where rendered phantom frames are kept.")
_threads = click.option("--threads", type=click.IntRange(1, 256), default=2, show_default=True, help="CPU threads.")


@click.command()
@_data
@click.option("--out", type=FOLDER, required=True, help="Checkpoints, log and curves; the same command resumes.")
@click.option("--backbone", default="lite", show_default=True, help="lite, vgg (the paper's) or a timm name.")
@click.option("--epochs", type=click.IntRange(1), default=12, show_default=True, help="Passes over the data.")
@click.option("--batch", type=click.IntRange(2), default=16, show_default=True, help="IPLF wants 16 and more.")
@click.option("--learning-rate", type=click.FloatRange(0, 1, min_open=True), default=2e-3, show_default=True)
@click.option("--classify-epochs", type=click.IntRange(0), default=0, show_default=True, help="Tear / no tear first.")
@click.option("--seeds", type=click.IntRange(1), default=900, show_default=True, help="Phantoms to learn from.")
@click.option("--frames", type=click.IntRange(1), default=3, show_default=True, help="Frames of each phantom.")
@click.option("--validation-seeds", type=click.IntRange(1), default=120, show_default=True)
@click.option("--negatives", type=FOLDER, help="Pictures and clips without a tear, learnt as such.")
@_mask_value
@_cache
@_threads
@click.option("--seed", type=int, default=1, show_default=True, help="Of everything random.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on where --out broke off.")
def train(**options: object) -> None:
    """Train SMART-CA with IPLF.

    \b
    From masks to a running overlay:
      smartca train --data my-folder --out runs/mine
      smartca export --checkpoint runs/mine/best.pt --out mine.onnx
      smartca calibrate --model mine.onnx --data my-folder
      smartca run clip.mp4 --model mine.onnx
    """
    with _needs_torch():
        from ..train.command import train as fit
    best = fit(**options)  # type: ignore[arg-type]
    say(f"the best checkpoint is {best}; next: smartca export --checkpoint {best} --out MODEL.onnx")


@click.command()
@click.option("--checkpoint", type=FILE, required=True, help="best.pt of `smartca train`.")
@click.option("--out", type=FILE, required=True, metavar="MODEL.onnx", help="The model to write.")
def export(checkpoint: Path, out: Path) -> None:
    """Turn a checkpoint into an ONNX model whose answers are held against the checkpoint's."""
    writable(out, "--out")
    with _needs_torch():
        from ..train.command import export as write
    difference = write(checkpoint=checkpoint, out=out)
    say(f"{out} answers as the checkpoint does (largest difference of q: {difference:.1e})")


@click.command()
@click.option("--model", type=FILE, required=True, metavar="MODEL.onnx", help="The model; its JSON goes beside it.")
@_data
@click.option("--recall", type=click.FloatRange(0, 1), default=0.9, show_default=True, help="Tear pixels to find.")
@click.option("--seeds", type=click.IntRange(1), default=240, show_default=True, help="Validation phantoms.")
@click.option("--frames", type=click.IntRange(1), default=2, show_default=True, help="Frames of each phantom.")
@_mask_value
@click.option("--diagram", type=FILE, help="Draw the reliability diagram as PNG.")
@_threads
def calibrate(**options: object) -> None:
    """Find the threshold for a wanted recall and fit the confidence, on validation data."""
    with _needs_torch():
        from ..calibration.command import calibrate as find
    point = find(**options).point  # type: ignore[arg-type]
    reached = "unknown" if point.recall_found is None else f"{point.recall_found:.3f}"
    say(f"threshold {point.threshold:.3f}, recall {reached}, on {point.fitted_on}")
