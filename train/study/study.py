"""`smartca study`: what the command line calls, with progress shown."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ...errors import RunError
from ..checkpoint import replace_file
from ..parallel import default_device
from .cells import StudyFolder
from .plan import Cell, StudyPlan, cells, read_plan
from .plots import draw_plots
from .report import write_csv
from .run import StudyRun, StudyWatcher, check_names, open_study_data, results, run_cells
from .table import markdown


def study(
    *,
    plan: Path,
    out: Path | None = None,
    data_root: Path | None = None,
    only: str = "*",
    cache: Path | None = None,
    threads: int = 2,
    jobs: int = 1,
    device: str | None = None,
    resume: bool = True,
) -> Path:
    """Train and score what the TOML file `plan` asks for; returns table.md in `out` (runs/study-NAME unless given).

    Beside it are results.csv, the figures, and cells/ with one file for every training, from which the others
    are made: the same command goes on where it was broken off. `only` picks cells by their label
    DATA/NETWORK/LOSS/SEED, with * and ?. Folders of data are taken from `data_root`, or from where the plan
    says. Raises ValueError or OSError for what cannot be used, and RuntimeError after Ctrl-C, or where cells
    failed, all others being done.
    """
    wanted = read_plan(plan)
    place = StudyFolder(out or Path("runs") / f"study-{wanted.name}")
    root = data_root or plan.parent / wanted.data_root
    bench = StudyRun(place, root, cache, device or default_device(), threads, resume)
    chosen = cells(wanted, only)
    check_names(wanted)
    with _bar() as progress:
        whole = progress.add_task("reading the pictures", total=len(chosen))
        part = progress.add_task("", total=None, visible=False)
        open_study_data(wanted, bench)
        place.out.mkdir(parents=True, exist_ok=True)  # nothing is left behind by what is refused above

        def on_step(cell: Cell, step: int, total: int) -> None:
            progress.update(part, completed=step, total=total, description=cell.label, visible=True)

        def on_done(cell: Cell, done: int, total: int) -> None:
            progress.update(whole, completed=done, total=total, description="cells done")
            tables(wanted, bench)

        failures = run_cells(wanted, chosen, bench, jobs, StudyWatcher(on_step, on_done))
        table = tables(wanted, bench)
        progress.update(part, description="drawing", visible=True)
        draw_plots(wanted, results(wanted, cells(wanted), bench), bench)
    if failures:
        raise RunError(
            f"{len(failures)} of {len(chosen)} cells failed, the first with '{failures[0]}'; the others are in "
            f"{table}, and the same command tries those again"
        )
    return table


def tables(plan: StudyPlan, bench: StudyRun) -> Path:
    """results.csv and table.md of all cells that are done, whatever was picked this time."""
    found = results(plan, cells(plan), bench)
    write_csv(found, bench.place.out / "results.csv")
    table = bench.place.out / "table.md"
    replace_file(table, lambda file: file.write(markdown(plan, found).encode()))
    return table


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))
