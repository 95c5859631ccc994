"""smartca build, doctor: the fastest engine for this machine, and whether this machine is fit."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..calibration.int8.data import CalibrationData
from ..engine.contract import PRECISIONS
from ..engine.machine import BACKENDS
from .building.build_triton import Repository, triton_options
from .building.int8_options import data_options
from .options import FILE, say, usual
from .progress import Phases

if TYPE_CHECKING:
    from ..engine.building.assembly import Int8Calibration
    from ..engine.contract import Inside
    from ..engine.plan import BuildSheet


def _batch(context: click.Context, option: click.Parameter, value: str) -> int:
    """'8' or '1..8' -> 8."""
    found = re.fullmatch(r"(?:1\.\.)?([1-9]\d{0,2})", value)
    if found is None:
        raise click.BadParameter(f"{value!r} is not understood; write 8 or 1..8 for one to eight pictures at once")
    return int(found[1])


def _targets(context: click.Context, option: click.Parameter, value: str | None) -> tuple[str, ...]:
    """'sm86,SM89' -> ('sm86', 'sm89')."""
    names = tuple(name.strip().lower() for name in (value or "").split(",")) if value else ()
    for name in names:
        if name != "current" and not re.fullmatch(r"sm\d{2,3}", name):
            raise click.BadParameter(f"{name!r} names no GPU; write current, or names such as sm86,sm89,sm120")
    return names


@click.command()
@click.argument("model", type=FILE, required=False)
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    help="tensorrt needs the GPU it builds for; tensorrt-rtx needs none to build; openvino is for CPUs; onnxruntime is "
    "for --triton.  [default: the fastest for --target, or for this machine]",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    help="[default: int8 with --calibrate, else fp16, or on a CPU bf16 where it has that]",
)
@click.option(
    "--target",
    callback=_targets,
    metavar="current|SM,...",
    help="GPUs, such as sm86,sm89,sm120.  [default: the one here, or all recent ones]",
)
@click.option(
    "--batch", callback=_batch, default="1", show_default=True, metavar="N|1..N", help="Most pictures at once."
)
@click.option("--size", type=click.IntRange(32, 2048), help="Refuse a model whose input is not this many pixels wide.")
@click.option(
    "--workspace",
    type=click.IntRange(1, 1_000_000),
    metavar="MB",
    help="GPU memory that the engine may use to compute.",
)
@data_options(required=False)
@click.option("--inspect", is_flag=True, help="Print layers, precisions and memory.")
@click.option("-o", "--out", type=FILE, metavar="FILE", help="Where the engine goes.  [default: it stays in the cache]")
@triton_options
def build(
    model: Path | None,
    backend: str | None,
    precision: str | None,
    target: tuple[str, ...],
    batch: int,
    size: int | None,
    workspace: int | None,
    data: CalibrationData | None,
    inspect: bool,
    out: Path | None,
    repository: Repository | None,
) -> None:
    """Make an engine of MODEL (an .onnx file; the shipped one if left out) and print where it is.

    The same command again finds it in the cache. Beside it stand ENGINE.json, which says what it was made of, and
    the model's operating point.

    With --triton it goes, with its operating point, into a Triton server's model repository; see docs/scaling.md.
    """
    from ..engine.building.assembly import Options
    from ..engine.building.build import build_engine as make
    from ..engine.building.build import fastest, usual_precision
    from ..engine.cpu.ready_int8 import built_from

    chosen = model or usual()
    calibration = None if data is None else calibration_of(data)
    if repository is None:
        backend = backend or fastest(target)
        precision = precision or usual_precision(backend, calibration is not None)
    else:
        backend = repository.backend(backend, target, batch, workspace, out)
        precision = repository.precision(precision, backend, calibration is not None)
    builder = backend if repository is None else repository.builder(backend)
    options = Options(builder, precision, target, batch, size, workspace, calibration, out)
    phases, started = Phases(), time.perf_counter()
    with phases:
        engine = make(built_from(chosen, precision, calibration is not None), options, phases)
    _tell(engine, time.perf_counter() - started, phases.built)
    if inspect:
        _inspect(engine)
    if repository is not None:
        engine = repository.write(engine, chosen, backend, precision, batch, calibration is not None)
    click.echo(engine)


def _tell(engine: Path, seconds: float, built: bool) -> None:
    from ..engine.plan import load_sheet

    plan = load_sheet(engine).plan
    where = f" for {', '.join(plan.targets)}" if plan.targets else ""
    how = f"built in {seconds:.1f} s" if built else "was in the cache"
    size = engine.stat().st_size / 1e6
    say(f"{plan.backend} {plan.backend_version}, {plan.precision}{where}: {size:.1f} MB, {how}")
    gate = load_sheet(engine).gate
    if gate is None and plan.precision == "int8":
        say(
            "no gate has judged this INT8 network, so nobody knows what it loses against fp32; "
            "--calibrate DATA on the fp32 model makes one that is judged"
        )
    if gate is not None:
        change = gate.get("dice_change")
        lost = "" if change is None else f"pooled Dice {gate['dice']:.4f} ({change:+.4f} against fp32), "
        shown = f"{lost}agreement {gate['agreement']:.4f} on {gate['frames']} frames of {gate['data']}"
        elsewhere = gate.get("judged_on_target") is False  # sheets of before do not say
        by = f"; judged by {gate['judged_by']}, not on what will run it" if elsewhere else ""
        say(f"the gate let it pass: {shown}{by}")


def calibration_of(data: CalibrationData) -> Int8Calibration:
    """DATA, read when INT8 ranges are made of it; its digest is taken from its files at once."""
    from ..engine.building.assembly import Asked, Int8Calibration
    from ..engine.contract import Progress as Tell
    from ..engine.plan import Gate

    def quantise(asked: Asked, progress: Tell) -> tuple[bytes, Gate]:
        found = data.findings(asked, progress)
        found.require()
        return found.network, found.scores

    return Int8Calibration(data.calibrate, data.digest(), quantise, data.as_typed())


def _inspect(engine: Path) -> None:
    """Layers and precisions of the network that was compiled, and what the library tells of the engine itself."""
    from rich.console import Console
    from rich.table import Table

    from ..engine.plan import load_sheet

    sheet = load_sheet(engine)
    table = Table("layer", "precision", "number")
    for operator, counts in sheet.layers.items():
        for precision, number in counts.items():
            table.add_row(operator, precision, str(number))
    console = Console()
    console.print(table)
    inside = _inside(engine, sheet)
    if isinstance(inside, str):
        console.print(f"layers after fusion and memory are not known here: {inside}", highlight=False)
        return
    table = Table("layer after fusion", "precision")
    for name, precision in inside.layers:
        table.add_row(name, precision)
    console.print(table)
    memory = "not told by this library" if inside.memory is None else f"{inside.memory / 1e6:.1f} MB"
    console.print(f"memory to compute in: {memory}; engine: {engine.stat().st_size / 1e6:.1f} MB", highlight=False)


def _inside(engine: Path, sheet: BuildSheet) -> Inside | str:
    if sheet.plan.backend == "openvino":
        from ..engine.cpu.inspect import inspect

        return inspect(engine, sheet.plan.precision)
    from ..engine.nvidia import compile as trt_build

    return trt_build.inspect(engine.read_bytes(), sheet.plan.backend)
