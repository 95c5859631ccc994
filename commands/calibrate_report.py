"""smartca calibrate report: how the INT8 network of a model is found, what the gate says of it, as one HTML page."""

from __future__ import annotations

import shlex
from hashlib import sha256
from pathlib import Path

import click

from ..engine.assembly import Asked
from ..engine.plan import write_whole
from ..engine.runner import SHIPPED_MODEL, EngineError
from .calibration_data import Data, data_options
from .options import FILE, say, writable

BACKENDS = ("openvino", "tensorrt-rtx", "tensorrt")


@click.command()
@click.argument("model", type=FILE, required=False)
@data_options(required=True)
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    help="Who will compute it: openvino is judged as it runs here, the others as the network is written.  [default: as "
    "`smartca build` chooses]",
)
@click.option("-o", "--out", type=FILE, required=True, metavar="FILE.html", help="The page; its pictures are inside.")
def report(model: Path | None, data: Data, backend: str | None, out: Path) -> None:
    """Show how INT8 is found for MODEL (the shipped one if left out), and whether it holds.

    As `smartca build --precision int8 --calibrate DATA` does it, and no engine is written: which pictures were chosen,
    how the ways to find ranges compare, which layers suffer, and what the gate says. The exit code is 1 where the gate
    refuses; the page then says why. It shows pictures of DATA: keep it where those may be kept.
    """
    _check(out)
    from ..calibration.figures import need_matplotlib
    from ..calibration.network import need_onnxruntime

    need_matplotlib()
    need_onnxruntime()
    from ..calibration.report import page
    from ..engine.builds import fastest
    from .build import Phases

    asked = _asked(model or SHIPPED_MODEL, backend or fastest())
    with Phases() as phases:
        found = data.findings(asked, phases)
    build = ["smartca", "build", *([str(model)] if model else []), "--backend", asked.backend, "--precision", "int8"]
    build += ["--calibrate", data.calibrate, *data.as_typed()]
    write_whole(out, page(found, asked, shlex.join(build)).encode())
    click.echo(out)
    try:
        found.require()
    except EngineError as refusal:
        say(str(refusal))
        raise click.exceptions.Exit(1) from refusal
    say(f"the gate lets it pass; to build it: {shlex.join(build)}")


def _check(out: Path) -> None:
    """Find out before the work that the page could not be written. Raises UsageError."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise click.UsageError(f"{out} does not end in .html; the report is a page for a browser")
    writable(out, "-o")


def _asked(model: Path, backend: str) -> Asked:
    """The model, read. Raises EngineError where INT8 cannot be made of it, ValueError for another's operating point."""
    from ..engine import onnx_graph
    from ..engine import operating_point as points

    if model.suffix != ".onnx" or not model.is_file():
        raise EngineError(f"there is no .onnx file at {model}; `smartca export` writes one from a checkpoint")
    data = model.read_bytes()
    network = onnx_graph.read(data, model.name)
    size = onnx_graph.contract(network, model.name).size
    if onnx_graph.is_quantised(network):
        raise EngineError(f"{model.name} brings INT8 ranges of its own: give the fp32 model that it was made of")
    return Asked(data, model.name, size, points.load(model, sha256(data).hexdigest()), backend)
