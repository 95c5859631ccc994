"""smartca train, export, calibrate: what needs torch (the extra `train`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from .calibrate_report import report
from .options import FILE, finite, say, spared, writable

if TYPE_CHECKING:
    from ..engine.counts import Counts

FOLDER = click.Path(file_okay=False, path_type=Path)
POOR = 0.3  # Dice or precision: below, an operating point is told to be doubtful
FEW_TEARS = 10  # pictures with a tear
F = TypeVar("F", bound=Callable[..., object])


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
    metavar="phantom|DIR|FILE",
    help="Simulated shoulders, or your pictures: a folder with images/ and masks/ (split.csv where patients have "
    "several), COCO (.json or its folder), CVAT for images 1.1 (.xml or its folder), a folder of LabelMe .json files.",
)
_mask_value = click.option(
    "--mask-value",
    type=click.IntRange(1, 255),
    help="The class to learn in masks of several.  [default: any]",
)
_label = click.option("--label", metavar="NAME", help="The tear's label, where COCO, CVAT or LabelMe have several.")
_cache = click.option("--cache", type=FOLDER, help="Where rendered phantom frames are kept.")
_threads = click.option("--threads", type=click.IntRange(1, 256), default=2, show_default=True, help="CPU threads.")


def _fitting(epochs: int, rate: float) -> Callable[[F], F]:
    """The options that both steps of training share; `epochs` and `rate` are what they are unless given."""
    number, natural = click.IntRange(1), click.IntRange(0)
    options = [
        _data,
        click.option(
            "--out", type=FOLDER, required=True, help="Checkpoints, log and curves; the same command resumes."
        ),
        click.option("--negatives", type=FOLDER, help="Pictures and clips without a tear, learnt as such."),
        click.option("--network", default="smartca-lite", show_default=True, help="By name; an unknown one lists all."),
        click.option(
            "--size", type=number, default=256, show_default=True, help="Side of the network's square, pixels."
        ),
        click.option("--size-from", type=natural, default=0, help="Train the first 60 % of the steps at this size."),
        click.option("--epochs", type=number, default=epochs, show_default=True, help="Passes over the data."),
        click.option("--steps", type=natural, default=0, help="Batches in all, instead of --epochs."),
        click.option(
            "--patience", type=natural, default=0, help="End after so many epochs without a better validation."
        ),
        click.option("--batch", type=click.IntRange(2), default=16, show_default=True, help="IPLF wants 16 and more."),
        click.option(
            "--learning-rate",
            type=click.FloatRange(0, 1, min_open=True),
            callback=finite,
            default=rate,
            show_default=True,
        ),
        click.option("--pretrained/--no-pretrained", default=True, help="Start from ImageNet weights.  [default: yes]"),
        click.option("--freeze-norm", is_flag=True, help="Leave the normalisation layers' statistics as they are."),
        click.option("--seeds", type=number, default=900, show_default=True, help="Phantoms to learn from."),
        click.option("--frames", type=number, default=3, show_default=True, help="Frames of each phantom."),
        click.option("--validation-seeds", type=number, default=120, show_default=True),
        _mask_value,
        _label,
        _cache,
        click.option("--device", help="cpu, cuda or cuda:N.  [default: cuda where there is one]"),
        click.option("--half/--no-half", default=None, help="bfloat16.  [default: where the device computes it]"),
        _threads,
        click.option("--seed", type=natural, default=1, show_default=True, help="Of everything random."),
        click.option("--resume/--no-resume", default=True, help="Go on where --out broke off.  [default: yes]"),
    ]

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.group()
def train() -> None:
    """Train on a folder of pictures with masks, or on phantoms.

    \b
    From pictures to a running overlay. my-folder holds images/, masks/ (the
    same file names; empty where there is no tear) and split.csv (file,split),
    or is what COCO, CVAT or LabelMe exported: see --data.
      smartca train classify --data my-folder --out runs/mine
      smartca train segment --data my-folder --out runs/mine \\
              --classifier runs/mine/classifier.pt
      smartca export --checkpoint runs/mine/best.pt --out mine.onnx
      smartca calibrate --model mine.onnx --data my-folder
      smartca run clip.mp4 --model mine.onnx

    Killed or stopped, the same command goes on. Several GPUs of one machine:
    torchrun --nproc-per-node N -m smartca train segment ...
    """


@train.command()
@_fitting(epochs=6, rate=2e-3)
def classify(**options: object) -> None:
    """First: is there a tear in the picture?

    The answer's encoder then stands frozen inside SMART-CA, as in the paper. Where fewer than a fifth of the
    pictures lack a tear, half of what is looked at are crops, with a tear or without one.
    """
    with _needs_torch():
        from ..train.command import classify as fit
    best = fit(**options)  # type: ignore[arg-type]
    if _first():
        say(f"the classifier is {best}; next: smartca train segment --classifier {best} --out {best.parent}")


@train.command()
@_fitting(epochs=12, rate=2e-3)
@click.option("--loss", default="iplf", show_default=True, help="By name; an unknown one lists all.")
@click.option("--classifier", type=FILE, help="classifier.pt of `train classify`: SMART-CA's frozen encoder.")
def segment(**options: object) -> None:
    """Then: which pixels are tear? SMART-CA with IPLF, or another network and loss."""
    with _needs_torch():
        from ..train.command import segment as fit
    best = fit(**options)  # type: ignore[arg-type]
    if _first():
        say(f"the best checkpoint is {best}; next: smartca export --checkpoint {best} --out MODEL.onnx")


def _first() -> bool:
    """Whether this process, of those that torchrun started, is the one that speaks."""
    return os.environ.get("RANK", "0") == "0"


@click.command()
@click.option("--checkpoint", type=FILE, required=True, help="best.pt of `smartca train segment`.")
@click.option("--out", type=FILE, required=True, metavar="MODEL.onnx", help="The model to write.")
def export(checkpoint: Path, out: Path) -> None:
    """Turn a checkpoint into an ONNX model whose answers are held against the checkpoint's."""
    writable(out, "--out")
    spared(out, "--out", checkpoint)
    with _needs_torch():
        from ..train.command import export as write
    difference = write(checkpoint=checkpoint, out=out)
    say(f"{out} answers as the checkpoint does (largest difference of q: {difference:.1e})")


@click.group(invoke_without_command=True, subcommand_metavar="[report ...]")
@click.option("--model", type=FILE, metavar="MODEL.onnx", help="The model, needed; its JSON goes beside it.")
@_data
@click.option(
    "--recall",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    callback=finite,
    help="Tear pixels to find, whatever that costs in false ones.  [default: the threshold of best Dice]",
)
@click.option("--seeds", type=click.IntRange(1), default=240, show_default=True, help="Validation phantoms.")
@click.option("--frames", type=click.IntRange(1), default=2, show_default=True, help="Frames of each phantom.")
@_mask_value
@_label
@click.option("--negatives", type=FOLDER, help="Real pictures without a tear: their 'val' lines count too.")
@click.option("--diagram", type=FILE, help="Draw the reliability diagram as PNG.")
@_threads
@click.pass_context
def calibrate(context: click.Context, **options: object) -> None:
    """Find the threshold of best Dice, or for a wanted recall, and fit the confidence, on validation data.

    `smartca calibrate report` shows how INT8 is found for a model, and whether it holds.
    """
    if context.invoked_subcommand is not None:
        _refuse_typed(context, context.invoked_subcommand)
        return
    if options["model"] is None:
        raise click.MissingParameter(ctx=context, param_hint="'--model'", param_type="option")
    with _needs_torch():
        from ..calibration.command import calibrate as find
    found = find(**options)  # type: ignore[arg-type]
    scores = found.counts
    reached = ", ".join(
        f"{name} {'unknown' if value is None else format(value, '.3f')}"
        for name, value in (("Dice", scores.dice_pooled), ("precision", scores.precision), ("recall", scores.recall))
    )
    say(f"threshold {found.point.threshold:.3f}: {reached}, on {found.point.fitted_on}")
    for words in _doubts(scores, found.tears):
        say(f"warning: {words}")


def _doubts(scores: Counts, tears: int) -> list[str]:
    """What makes an operating point doubtful, each in one line."""
    doubts, precision, dice = [], scores.precision or 0.0, scores.dice_pooled or 0.0
    if precision < POOR:
        doubts.append(
            f"most of what it outlines is no tear: precision {precision:.3f} and Dice {dice:.3f} on these pictures; "
            "look whether masks, label and pictures are the right ones, or train with such pictures"
        )
    elif dice < POOR:
        doubts.append(
            f"most of the tear stays without an outline: recall {scores.recall or 0.0:.3f} and Dice {dice:.3f} on "
            "these pictures; look whether masks, label and pictures are the right ones, or train with such pictures"
        )
    if tears < FEW_TEARS:
        doubts.append(
            f"only {tears} {'picture shows' if tears == 1 else 'pictures show'} a tear: a threshold and a confidence "
            f"found on fewer than {FEW_TEARS} may not hold on others; give more"
        )
    return doubts


def _refuse_typed(context: click.Context, command: str) -> None:
    """An option before the name of the command belongs to another one, and would be without effect."""
    for name in context.params:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = "--" + name.replace("_", "-")
            raise click.UsageError(f"{option} stands before {command}: write what {command} takes behind it", context)


calibrate.add_command(report)
