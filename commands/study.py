"""smartca study: networks and losses compared, in one command (the extra `train`)."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import MissingPackage
from .options import FILE, FOLDER, fillable, say


@click.command()
@click.argument("plan", type=FILE, metavar="STUDY.toml")
@click.option("--out", type=FOLDER, help="Table, figures, cells; the same command resumes.  [default: runs/study-NAME]")
@click.option("--data-root", type=FOLDER, help="Where the data's folders are.  [default: as the plan says]")
@click.option("--only", default="*", show_default=True, metavar="PATTERN", help="Cells DATA/NETWORK/LOSS/SEED to run.")
@click.option("--cache", type=FOLDER, help="Where rendered phantom frames are kept.")
@click.option("--threads", type=click.IntRange(1, 256), default=2, show_default=True, help="CPU threads in all.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Cells at once, sharing them.")
@click.option("--device", help="cpu, cuda or cuda:N.  [default: cuda where there is one]")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Keep the cells that are done.")
def study(plan: Path, **options: object) -> None:
    """Compare networks and losses: train each, score each under speckle, write one table.

    \b
    Begin with   smartca study studies/smoke.toml
    then try     smartca study studies/cpu.toml --data-root DIR
    """
    try:
        from ..train.study.study import study as compare
    except ModuleNotFoundError as error:
        raise MissingPackage(
            f"{error.name} is not installed; training needs the extra 'train': "
            "uv sync --extra train, or pip install 'smartca[train]'"
        ) from error
    out = options["out"]
    fillable(out if isinstance(out, Path) else Path(), "--out")
    table = compare(plan=plan, **options)  # type: ignore[arg-type]
    say(f"the table is {table}; figures and results.csv stand beside it")
