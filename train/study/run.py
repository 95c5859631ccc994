"""All cells of a study, one after the other or several at once; what is done already is not done again."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context, parent_process, set_forkserver_preload
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from pathlib import Path

import torch

from ... import logs
from ...errors import InputError, RunError, sentence
from .. import loss_names
from ..failures import machine_failures
from ..loop import TrainingStopped
from ..nets import networks
from .cells import CellResult, StudyFolder, run_cell
from .pictures import DataSet, load_data
from .plan import Cell, StudyData, StudyPlan

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudyRun:
    """Where and how cells are run."""

    place: StudyFolder
    root: Path  # of the data's folders
    cache: Path | None = None
    device: str = "cpu"
    threads: int = 2
    resume: bool = True


@dataclass
class StudyWatcher:
    """Who is told what happens; both may be called often."""

    step: Callable[[Cell, int, int], None] = lambda cell, step, total: None
    done: Callable[[Cell, int, int], None] = lambda cell, done, total: None


def check_names(plan: StudyPlan) -> None:
    """Build every network and loss once. Raises ValueError for an unknown one before any hour is spent."""
    for variant in plan.variants:
        loss_names.loss(variant.loss)
    for name in dict.fromkeys(variant.built for variant in plan.variants):
        networks.build_network(name, pretrained=False)


def open_study_data(plan: StudyPlan, bench: StudyRun) -> dict[str, DataSet]:
    """All data sets of the plan by name."""
    return {data.name: _opened(data, bench.root, bench.cache, bench.threads) for data in plan.data}


_open: dict[tuple[StudyData, Path], DataSet] = {}


def _opened(data: StudyData, root: Path, cache: Path | None, workers: int) -> DataSet:
    """A data set, decoded once in each process."""
    key = data, root
    if key not in _open:
        _open[key] = load_data(data, root, cache, workers)
    return _open[key]


def run_cells(
    plan: StudyPlan, cells: Sequence[Cell], bench: StudyRun, jobs: int = 1, told: StudyWatcher | None = None
) -> list[str]:
    """Run the cells that have no result yet, `jobs` at once with their share of the threads.

    A cell that fails does not stop the others: returns one sentence for each such. Raises Stopped after Ctrl-C.
    """
    told = told or StudyWatcher()
    sets = open_study_data(plan, bench)
    done = [c for c in cells if bench.resume and bench.place.read(c, sets[c.data].digest)]
    left = [c for c in cells if c not in done]
    failures = []
    if done:
        told.done(done[-1], len(done), len(cells))
    for count, (cell, failure) in enumerate(_each(plan, left, bench, jobs, told), len(done) + 1):
        if failure:
            failures.append(f"{cell.label}: {failure}")
        told.done(cell, count, len(cells))
    return failures


def results(plan: StudyPlan, cells: Sequence[Cell], bench: StudyRun) -> list[CellResult]:
    """Results of the cells that are done."""
    sets = open_study_data(plan, bench)
    found = [bench.place.read(cell, sets[cell.data].digest) for cell in cells]
    return [result for result in found if result is not None]


def _each(
    plan: StudyPlan, cells: Sequence[Cell], bench: StudyRun, jobs: int, told: StudyWatcher
) -> Iterator[tuple[Cell, str]]:
    """Each cell as it is done, and what went wrong with it, if anything did."""
    if jobs == 1 or len(cells) < 2:
        torch.set_num_threads(bench.threads)
        for cell in cells:
            log.info("cell begins", extra={"cell": cell.label})
            yield cell, _run(plan, cell, bench, lambda step, total, cell=cell: told.step(cell, step, total))
        return
    share = max(1, bench.threads // jobs)
    with ProcessPoolExecutor(jobs, _apart(), _prepare, (share, logs.settings())) as pool:
        begun = {pool.submit(_run, plan, cell, bench): cell for cell in cells}
        try:
            for future in as_completed(begun):
                yield begun[future], future.result()
        except BrokenProcessPool as error:
            raise RunError(
                "a process that trained a cell was ended from outside, maybe for lack of memory; give fewer --jobs, "
                "and the same command goes on"
            ) from error
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _apart() -> BaseContext:
    """How workers begin: forked, where that can be, from a process that has imported torch once for all of them."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    set_forkserver_preload(["torch._dynamo", __name__])  # torch's optimisers import it when they are made
    return get_context("forkserver")


def _run(plan: StudyPlan, cell: Cell, bench: StudyRun, on_step: Callable[[int, int], None] | None = None) -> str:
    """One cell; returns why it failed, or nothing."""
    data = next(data for data in plan.data if data.name == cell.data)
    try:
        opened = _opened(data, bench.root, bench.cache, 1)
        checkpoint = Path(plan.checkpoint) if plan.checkpoint else None
        with machine_failures(bench.device):
            run_cell(cell, opened, bench.place, bench.device, bench.resume, on_step, checkpoint)
    except TrainingStopped:
        raise
    except (InputError, RunError, MemoryError) as error:  # a loss that is no number: other cells may fare better
        return sentence(error)
    return ""


def _prepare(threads: int, log_settings: logs.LogSettings) -> None:
    """A worker's threads and log; and it ends with its parent, however that ends."""
    logs.start(log_settings, "study worker")
    torch.set_num_threads(threads)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()


def _follow(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
