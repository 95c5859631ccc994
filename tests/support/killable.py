"""Processes that tests stop or kill, forked from one that has imported torch already: that alone takes seconds."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

PRELOADED = ["torch._dynamo", "smartca.adapting.adapt", "smartca.train.classify", "smartca.train.study.study"]
FORKING = "forkserver" in multiprocessing.get_all_start_methods()


def begun(work: Callable[..., object], *arguments: object, told: Path | None = None) -> BaseProcess:
    """A process of its own that does `work`, a function of a module; `told` gets what it writes to stderr."""
    make = multiprocessing.get_context("spawn").Process
    if FORKING:
        multiprocessing.set_forkserver_preload(PRELOADED)
        make = multiprocessing.get_context("forkserver").Process
    process = make(target=_alone, args=(dict(os.environ), Path.cwd(), told, work, arguments))
    process.start()
    return process


def command(words: list[str]) -> None:
    """A command of ours, as `work`."""
    from smartca.cli import main

    main(words)


def _alone(
    environment: dict[str, str],
    place: Path,
    told: Path | None,
    work: Callable[..., object],
    arguments: tuple[object, ...],
) -> None:
    """`work` as in a process that was started here and now, with one thread."""
    import torch

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(place)
    with (told or Path(os.devnull)).open("wb") as file:
        os.dup2(file.fileno(), sys.__stderr__.fileno() if sys.__stderr__ else 2)
    torch.set_num_threads(1)
    work(*arguments)
