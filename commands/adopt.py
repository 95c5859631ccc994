"""smartca adopt: anybody's segmentation network."""

from __future__ import annotations

from pathlib import Path

import click

from .options import FILE, finite, say, spared, writable


def _numbers(context: click.Context, option: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    """'.485,.456,.406' -> three numbers."""
    try:
        return None if value is None else tuple(float(part) for part in value.replace(",", " ").split()) or None
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not understood; write one number, or .485,.456,.406") from error


@click.command()
@click.argument("theirs", type=FILE, metavar="THEIR.onnx")
@click.option(
    "--range",
    "grey_range",
    type=click.Choice(["0..1", "0..255", "-1..1", "imagenet"]),
    help="How its pictures were scaled: grey / 255, bytes, and so on; instead of --mean and --std.",
)
@click.option("--mean", callback=_numbers, metavar="M[,M,M]", help="Taken from a pixel in 0..1 (or all in 0..255).")
@click.option("--std", callback=_numbers, metavar="S[,S,S]", help="A pixel is then divided by it.")
@click.option("--channels", type=click.Choice(["rgb", "bgr", "grey"]), help="Where the file does not say how many.")
@click.option("--output", metavar="logits|sigmoid|softmax[:INDEX]", help="What it gives, and which class is the tear.")
@click.option("--output-name", metavar="NAME", help="Which of its outputs, where there are several.")
@click.option("--size", type=click.IntRange(32, 2048), help="Pixels a side where it takes any.  [default: 256]")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    callback=finite,
    default=0.5,
    show_default=True,
    help="A pixel is outlined from this confidence on, until `smartca calibrate` finds better.",
)
@click.option("-o", "--out", type=FILE, required=True, metavar="MODEL.onnx", help="The model to write.")
def adopt(
    theirs: Path,
    grey_range: str | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    channels: str | None,
    output: str | None,
    output_name: str | None,
    size: int | None,
    threshold: float,
    out: Path,
) -> None:
    """Make somebody else's segmentation network, THEIR.onnx, one that every engine here runs.

    What the file tells is found by looking and by trying, and said; what it cannot tell is asked for. Scaling,
    activation and the choice of the class are written into the graph, and the masks are held against those of plain
    onnxruntime. Then `smartca calibrate`, `evaluate`, `build` and `run` take MODEL.onnx like any other.
    """
    from ..engine.adopting import adopt as wrap
    from ..engine.adopting import deliver_adopted
    from ..engine.foreign_network import Hints, scaling

    writable(out, "-o")
    spared(out, "-o", theirs)
    if out.suffix != ".onnx":
        raise click.UsageError(f"{out} does not end in .onnx; the result is an ONNX file")
    if not theirs.is_file():
        raise click.UsageError(f"there is no file {theirs}; give the .onnx file of a segmentation network")
    if grey_range is not None and (mean or std):
        raise click.UsageError("--range takes the place of --mean and --std; give one of the two")
    if grey_range is not None:
        mean, std = scaling(grey_range)
    ready, taken, apart = wrap(theirs, Hints(mean, std, channels, output, output_name, size), threshold)
    deliver_adopted(ready, out, theirs.name, threshold)
    for sentence in taken.sentences():
        say(f"{theirs.name} {sentence}")
    say(f"{out}: {apart:.3%} of its masks' pixels differ from plain onnxruntime's; threshold {threshold:g}")
    say(f"next: smartca calibrate --model {out} --data YOUR-FOLDER, and smartca evaluate")
