"""`smartca calibrate`: a model's operating point; and `smartca calibrate report`: how its INT8 network is found."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from ..engine.machine import BUILDERS
from ..engine.operating_point import POINT_NAMES, OperatingPoint, Reached
from .building.int8_options import data_options
from .options import (
    FILE,
    FOLDER,
    data_option,
    finite,
    label_option,
    mask_value_option,
    needs_torch,
    say,
    split_option,
    threads_option,
    usual,
    writable,
)

if TYPE_CHECKING:
    from ..calibration.int8.data import CalibrationData
    from ..engine.building.assembly import Asked
    from ..scores.counts import Counts

POOR = 0.3  # Dice or precision: below, an operating point is told to be doubtful
FEW_TEARS = 10  # pictures with a tear


@click.group(invoke_without_command=True, subcommand_metavar="[report ...]")
@click.option(
    "--model", type=FILE, metavar="MODEL.onnx", help="The model (required). Its operating point is written beside it."
)
@data_option
@click.option(
    "--recall",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    callback=finite,
    help="Share of the tear pixels to find, at any price in false ones.  [default: the threshold of best Dice]",
)
@click.option("--seeds", type=click.IntRange(1), default=240, show_default=True, help="Validation phantoms.")
@click.option("--frames", type=click.IntRange(1), default=2, show_default=True, help="Frames of each phantom.")
@split_option("val")
@mask_value_option
@label_option
@click.option("--negatives", type=FOLDER, help="Real pictures without a tear: their 'val' lines count too.")
@click.option("--diagram", type=FILE, help="Draw the reliability diagram as PNG.")
@threads_option
@click.pass_context
def calibrate(context: click.Context, **options: object) -> None:
    """Find a model's thresholds and fit its confidence, on validation data.

    Three points come of it: careful outlines something on 1 % at most of the pictures without a tear; balanced has the
    best Dice, or reaches --recall; searching finds more, with outlines on 10 % of them at most. At each it is found
    from which confidence on a region is called unsure: where one in four such regions lies on a tear.

    `smartca calibrate report` shows how INT8 is found for a model, and whether it holds.
    """
    if context.invoked_subcommand is not None:
        _refuse_typed(context, context.invoked_subcommand)
        return
    if options["model"] is None:
        raise click.MissingParameter(ctx=context, param_hint="'--model'", param_type="option")
    with needs_torch():
        from ..calibration.calibrate import calibrate as find
    found = find(**options)  # type: ignore[arg-type]
    scores = found.counts
    reached = ", ".join(
        f"{name} {'unknown' if value is None else format(value, '.3f')}"
        for name, value in (("Dice", scores.dice_pooled), ("precision", scores.precision), ("recall", scores.recall))
    )
    say(f"threshold {found.point.threshold:.3f}: {reached}, on {found.point.fitted_on}")
    Console().print(_points(found.point))
    for words in _doubts(scores, found.tears):
        say(f"warning: {words}")


def _points(point: OperatingPoint) -> Table:
    """What each point reaches on the frames calibrated on."""
    table = Table(
        "point", "threshold", "unsure from", "recall", "precision", "tears found", "or unsure", "empty frames"
    )
    table.add_column("with 'unsure'")
    for name in POINT_NAMES:
        one = point.at(name)
        reached = one.reached or Reached()
        shares = (reached.recall, reached.precision, reached.tears_found, reached.tears_found_or_unsure)
        empty = (reached.empty_outlined, reached.empty_unsure)
        table.add_row(
            name,
            f"{one.threshold:.3f}",
            "none" if one.unsure is None else f"{one.unsure:.3f}",
            *("-" if share is None else f"{share:.3f}" for share in shares),
            *("-" if share is None else f"{share:.1%}" for share in empty),
        )
    table.caption = "empty frames: the share of the frames without a tear that carry an outline, or an unsure region"
    return table


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


@calibrate.command()
@click.argument("model", type=FILE, required=False)
@data_options(required=True)
@click.option(
    "--backend",
    type=click.Choice(BUILDERS),
    help="Who will compute it: openvino is judged as it runs here, the others as the network is written.  [default: as "
    "`smartca build` chooses]",
)
@click.option("-o", "--out", type=FILE, required=True, metavar="FILE.html", help="The page; its pictures are inside.")
def report(model: Path | None, data: CalibrationData, backend: str | None, out: Path) -> None:
    """Show how INT8 is found for MODEL (the shipped one if left out), and whether it holds.

    It works as `smartca build --precision int8 --calibrate DATA` does, but writes no engine. The page shows which
    pictures were chosen, how the ways to find ranges compare, which layers suffer, and what the gate says. If the gate
    refuses, the page says why, and the exit code is 1. It shows pictures of DATA: keep it where those may be kept.
    """
    _check_page(out)
    from ..calibration.int8.figures import need_matplotlib
    from ..calibration.int8.network import need_onnxruntime

    need_matplotlib()
    need_onnxruntime()
    from ..calibration.int8.report import page
    from ..engine.building.build import fastest
    from ..engine.contract import EngineError
    from ..files import write_whole
    from .progress import Phases

    asked = _asked(model or usual(), backend or fastest())
    with Phases() as phases:
        found = data.findings(asked, phases)
    build = ["smartca", "build", *([str(model)] if model else []), "--backend", asked.backend, "--precision", "int8"]
    build += ["--calibrate", data.calibrate, *data.as_typed()]
    write_whole(out, page(found, asked, shlex.join(build)).encode(errors="replace"))
    click.echo(out)
    try:
        found.require()
    except EngineError as refusal:
        say(str(refusal))
        raise click.exceptions.Exit(1) from refusal
    say(f"the gate lets it pass; to build it: {shlex.join(build)}")


def _check_page(out: Path) -> None:
    """Find out before the work that the page could not be written. Raises UsageError."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise click.UsageError(f"{out} does not end in .html; the report is a page for a browser")
    writable(out, "-o", make=True)


def _asked(model: Path, backend: str) -> Asked:
    """The model, read. Raises EngineError where INT8 cannot be made of it, ValueError for another's operating point."""
    from ..engine import onnx_graph
    from ..engine import operating_point as points
    from ..engine.building.assembly import Asked
    from ..engine.contract import MAKES_MODELS, EngineError
    from ..files import sha256

    if model.suffix != ".onnx" or not model.is_file():
        raise EngineError(f"there is no .onnx file at {model}; one is made by {MAKES_MODELS}")
    data = model.read_bytes()
    network = onnx_graph.read_network(data, model.name)
    size = onnx_graph.contract(network, model.name).size
    if onnx_graph.is_quantised(network):
        raise EngineError(f"{model.name} brings INT8 ranges of its own: give the fp32 model that it was made of")
    return Asked(data, model.name, size, points.load_point(model, sha256(model)), backend)
