"""smartca bench: every engine that runs here, side by side."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..engine.machine import BACKENDS
from .options import FILE, insecure_option, say, spared, usual, writable, write_report

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..evaluation.bench import Timing
    from ..evaluation.contenders import Contender, Missing
    from .progress import Phases

ENGINES = (".onnx", ".engine")
SEEDS = range(90001, 90005)  # of phantoms that training never sees
TIMES = range(0, 240, 60)


@click.command()
@click.argument("model", type=FILE, required=False)
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    multiple=True,
    help="Only these; OpenVINO fp32 is always there to compare with.  [default: all]",
)
@click.option(
    "--engine",
    multiple=True,
    metavar="FILE|triton://HOST:PORT/NAME",
    help="Compare this one as well: what `smartca build` made, or a model on a Triton server.",
)
@click.option(
    "--rounds", type=click.IntRange(20, 100_000), default=200, show_default=True, help="Inferences with each engine."
)
@click.option(
    "--threads",
    type=click.IntRange(0, 256),
    default=0,
    help="Threads of an engine on the CPU.  [default: all cores but one]",
)
@insecure_option
@click.option("--report", type=FILE, help="Write the figures as JSON.")
def bench(
    model: Path | None,
    backend: tuple[str, ...],
    engine: tuple[str, ...],
    rounds: int,
    threads: int,
    insecure: bool,
    report: Path | None,
) -> None:
    """Time MODEL (an .onnx file; the shipped one if left out) on every engine and in every precision that runs here.

    Each engine runs in a process of its own and they take turns.

    \b
    first ms  from the start of that process to the first answer
    MB        what the process grew by; memory of a GPU or a server is not in it
    differ    pixels outlined here or by OpenVINO fp32 but not by both, each at its own operating point
    q apart   the largest difference of confidence from OpenVINO fp32

    Engines for an NVIDIA GPU are built first, where there is one.
    """
    from ..engine import open_runner
    from ..engine.machine import versions
    from ..evaluation.bench import race as measure
    from .progress import Phases

    writable(report, "--report")
    path = model or usual()
    spared(report, "--report", path, *engine)
    if path.suffix in (".engine", ".plan"):
        raise click.UsageError(f"{path.name} is an engine: give it as --engine, and as MODEL the .onnx file it is of")
    _refuse_absent(engine)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with open_runner(path, "fp32", threads) as runner:
        size, digest = runner.info.size, runner.info.model_sha256
    with Phases() as phases:
        field, missing = _field(path, backend or BACKENDS, engine, phases)
        timings, failed = measure(field, _pictures(size), rounds, threads, phases, insecure)
    missing += failed
    _tell(timings, missing, engine)
    body = {
        "model_sha256": digest,
        "rounds": rounds,
        "threads": threads,
        "cores": os.cpu_count(),
        "load_before": load,
        "timings": timings,
        "missing": missing,
        "versions": versions(),
    }
    write_report(body, report)


def _refuse_absent(engines: tuple[str, ...]) -> None:
    """Before any engine is timed: a given one that is no file would only be left out. Raises EngineError."""
    from ..engine import EngineError, engine_at

    for engine in map(engine_at, engines):
        if isinstance(engine, Path) and not (engine.is_file() and engine.suffix in ENGINES):
            raise EngineError(
                f"there is no .onnx file or .engine file at {engine}: give --engine what `smartca build` made, or "
                "leave it out"
            )


def _field(
    model: Path, backends: tuple[str, ...], engines: tuple[str, ...], phases: Phases
) -> tuple[list[Contender], list[Missing]]:
    """Who takes part, and who cannot."""
    from ..evaluation.contenders import Contender, contenders

    found = list(contenders(model, backends, phases))
    field = [one for one in found if isinstance(one, Contender)]
    return (
        [*field, *(Contender("given", "auto", engine) for engine in engines)],
        [one for one in found if not isinstance(one, Contender)],
    )


def _pictures(size: int) -> list[NDArray[np.float32]]:
    """Phantoms on the network's square: float32 (1, 1, size, size)."""
    import numpy as np

    from ..engine.letterbox import letterbox, to_input
    from ..phantom import Phantom
    from ..pictures.pixels import whole

    frames = [np.asarray(Phantom(seed).frame(float(t)).pixels, np.uint8) for seed in SEEDS for t in TIMES]
    return [to_input(letterbox(frame, whole(frame.shape), size)) for frame in frames]


def _tell(timings: list[Timing], missing: list[Missing], given: tuple[str, ...]) -> None:
    """`given`: the engines of --engine, which are told by their names."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=0, collapse_padding=True)
    table.add_column("engine", no_wrap=True)
    for name in ("first ms", "p50 ms", "p99 ms", "frames/s", "MB", "differ", "q apart"):
        table.add_column(name, justify="right", no_wrap=True)
    for timing in timings:
        table.add_row(
            f"{timing.backend} {timing.precision}{_name(timing.engine, given)}",
            f"{timing.first_answer_ms:.0f}",
            f"{timing.p50_ms:.2f}",
            f"{timing.p99_ms:.2f}",
            f"{timing.frames_per_second:.0f}",
            "unknown" if timing.memory_mb is None else f"{timing.memory_mb:.0f}",
            f"{timing.pixels_that_differ:.4%}",
            f"{timing.largest_difference:.4f}",
        )
    Console().print(table)
    for one in missing:
        say(f"left out: {one.backend} {one.precision}: {one.reason}")


def _name(engine: str, given: tuple[str, ...]) -> str:
    """On a line of its own, so that the figures beside it stay in sight."""
    from rich.markup import escape

    return escape(f"\n  {Path(engine).name}") if engine in given else ""
