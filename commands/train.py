"""smartca train, export: what needs torch (the extra `train`)."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from .options import (
    FILE,
    FOLDER,
    data_option,
    fillable,
    finite,
    label_option,
    mask_value_option,
    needs_torch,
    say,
    spared,
    threads_option,
    writable,
)

# options that the second step takes over from the first: its data, its network and where they are
SHARED = {
    *("data", "label", "mask_value", "negatives", "lesions", "seeds", "frames", "validation_seeds", "cache", "out"),
    *("network", "size", "pretrained", "device", "half", "threads", "seed"),
}
EXPORT = ("smartca", "export", "--checkpoint")
F = TypeVar("F", bound=Callable[..., object])

_cache = click.option("--cache", type=FOLDER, help="Where rendered phantom frames are kept.")


def _room(context: click.Context, option: click.Parameter, value: Path) -> Path:
    """Before a step is learnt: checkpoints can be written there."""
    fillable(value, "--out")
    return value


def _fitting(epochs: int, rate: float) -> Callable[[F], F]:
    """The options that both steps of training share; `epochs` and `rate` are what they are unless given."""
    number, natural = click.IntRange(1), click.IntRange(0)
    options = [
        data_option,
        click.option(
            "--out",
            type=FOLDER,
            required=True,
            callback=_room,
            help="Checkpoints, log and curves; the same command resumes.",
        ),
        click.option("--negatives", type=FOLDER, help="Pictures and clips without a tear, learnt as such."),
        click.option("--lesions", type=FOLDER, help="Breast lesions (BUSI) to set into the negatives beside tears."),
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
        click.option(
            "--batch",
            type=click.IntRange(2),
            default=16,
            show_default=True,
            help="Pictures at once; for IPLF 16 or more.",
        ),
        click.option(
            "--learning-rate",
            type=click.FloatRange(0, 1, min_open=True),
            callback=finite,
            default=rate,
            show_default=True,
            help="Peak learning rate.",
        ),
        click.option("--pretrained/--no-pretrained", default=True, help="Start from ImageNet weights.  [default: yes]"),
        click.option("--freeze-norm", is_flag=True, help="Leave the normalisation layers' statistics as they are."),
        click.option("--seeds", type=number, default=900, show_default=True, help="Phantoms to learn from."),
        click.option("--frames", type=number, default=3, show_default=True, help="Frames of each phantom."),
        click.option(
            "--validation-seeds", type=number, default=120, show_default=True, help="Phantoms to validate on."
        ),
        mask_value_option,
        label_option,
        _cache,
        click.option("--device", help="cpu, cuda or cuda:N.  [default: cuda where there is one]"),
        click.option("--half/--no-half", default=None, help="Compute in bfloat16.  [default: if the device can]"),
        threads_option,
        click.option("--seed", type=natural, default=1, show_default=True, help="Seed of everything random."),
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


def _no_start(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise click.BadParameter(
            "a classifier starts from ImageNet's weights; `smartca train segment --start-from` takes a checkpoint, "
            "with the classifier frozen in it"
        )


@train.command()
@_fitting(epochs=6, rate=2e-3)
@click.option("--start-from", hidden=True, expose_value=False, callback=_no_start)
def classify(**options: object) -> None:
    """First: is there a tear in the picture?

    The classifier's encoder then stands frozen inside SMART-CA, as in the paper. If fewer than a fifth of the
    pictures are without a tear, half of the samples are parts cut out of pictures, with a tear or without one.
    """
    with needs_torch():
        from ..train.session import classify as fit
    best = fit(**options)  # type: ignore[arg-type]
    if _first():
        again = ["smartca", "train", "segment", "--classifier", str(best), *_typed(click.get_current_context())]
        say(f"the classifier is {best}; next: {shlex.join(again)}")


@train.command()
@_fitting(epochs=12, rate=2e-3)
@click.option("--loss", default="iplf", show_default=True, help="By name; an unknown one lists all.")
@click.option("--classifier", type=FILE, help="classifier.pt of `train classify`: SMART-CA's frozen encoder.")
@click.option(
    "--start-from",
    type=FILE,
    metavar="CHECKPOINT",
    help="Start from the weights of a best.pt of the same network, its frozen classifier among them.",
)
def segment(**options: object) -> None:
    """Then: which pixels are tear? SMART-CA with IPLF, or another network and loss."""
    with needs_torch():
        from ..train.session import segment as fit
    best = fit(**options)  # type: ignore[arg-type]
    if _first():
        say(f"the best checkpoint is {best}; next: {shlex.join(EXPORT)} {shlex.quote(str(best))} --out MODEL.onnx")


def _typed(context: click.Context) -> list[str]:
    """What was typed of the options that both steps share, but for how long and how fast is learnt."""
    words: list[str] = []
    for option in context.command.params:
        name = option.name or ""
        typed = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if not typed or not isinstance(option, click.Option) or name not in SHARED:
            continue
        value = context.params[name]
        if option.is_flag:
            words.append(option.opts[0] if value else option.secondary_opts[0])
            continue
        words += [word for one in (value if option.multiple else [value]) for word in (option.opts[0], str(one))]
    return words


def _first() -> bool:
    """Whether this process, of those that torchrun started, is the one that speaks."""
    return os.environ.get("RANK", "0") == "0"


@click.command()
@click.option("--checkpoint", type=FILE, required=True, help="best.pt of `smartca train segment`.")
@click.option("--out", type=FILE, required=True, metavar="MODEL.onnx", help="The model to write.")
@click.option(
    "--start",
    type=FILE,
    metavar="START.pt",
    help="Write a checkpoint, too, that `smartca adapt` and `train segment` can start from.",
)
def export(checkpoint: Path, out: Path, start: Path | None) -> None:
    """Turn a checkpoint into an ONNX model whose answers are held against the checkpoint's."""
    for result, name in ((out, "--out"), (start, "--start")):
        writable(result, name, make=True)
        spared(result, name, checkpoint)
    if start is not None and start.resolve() == out.resolve():
        raise click.UsageError("--out and --start are one file; give each a name of its own")
    with needs_torch():
        from ..train.session import export as write
    difference = write(checkpoint=checkpoint, out=out, start=start)
    say(f"{out} answers as the checkpoint does (largest difference of q: {difference:.1e})")
