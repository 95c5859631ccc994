"""`smartca bench`: engines of one model side by side: times, memory, and whether they say what fp32 says."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..engine.contract import EngineError, Progress
from .bench_worker import Job, Worker
from .contenders import Contender, Missing

TURN = 10  # inferences in a row; then the next engine's turn, so that a machine's moods hit all alike
STARTING, TIMING = "starting each engine once", "timing"


class Timing(msgspec.Struct, frozen=True):
    """One engine's figures.

    first_answer_ms: from the start of its process, Python included, to its first answer, as on every start but the
    very first (what an engine caches on disk is there). open_ms: of that, opening and warming up. memory_mb: what its
    process grew by; memory of a GPU or a server is not in it. pixels_that_differ: share of the pixels of the network's
    square that are outlined here and not by fp32, or the other way round, each at its own operating point.
    largest_difference: of q against fp32.
    """

    backend: str
    precision: str
    engine: str
    model_sha256: str
    first_answer_ms: float
    open_ms: float
    p50_ms: float
    p99_ms: float
    frames_per_second: float
    memory_mb: float | None
    largest_difference: float
    pixels_that_differ: float


@dataclass(slots=True)
class _Running:
    contender: Contender
    worker: Worker
    spent: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Answers:
    q: NDArray[np.float32]
    masks: NDArray[np.bool_]


def race(
    contenders: list[Contender],
    pictures: list[NDArray[np.float32]],
    rounds: int,
    threads: int,
    progress: Progress,
    insecure: bool = False,
) -> tuple[list[Timing], list[Missing]]:
    """Time `rounds` inferences of each contender over `pictures`, float32 (1, 1, size, size); the first is fp32.

    They take turns of a few inferences. Whoever fails is left out and told of with the reason.
    Raises EngineError if the first one fails, as it is what the others are held against.
    """
    missing: list[Missing] = []
    with tempfile.TemporaryDirectory(prefix="smartca-bench-") as scratch, ExitStack() as workers:
        race = _Race(Path(scratch), threads, insecure, contenders[0], missing)
        np.save(race.pictures, np.stack(pictures))
        running = []
        for number, contender in enumerate(contenders):
            progress(STARTING, number, len(contenders))
            worker = race.start(contender)
            if worker is not None:
                running.append(_Running(contender, workers.enter_context(worker)))
        progress(STARTING, len(contenders), len(contenders))
        race.take_turns(running, rounds, progress)
        return race.results(running), missing


@dataclass(slots=True)
class _Race:
    folder: Path
    threads: int
    insecure: bool
    reference: Contender
    missing: list[Missing]

    @property
    def pictures(self) -> Path:
        return self.folder / "pictures.npy"

    def start(self, contender: Contender) -> Worker | None:
        """Start it twice: the first time fills what it caches on disk, and is not looked at."""
        named = (contender.backend, contender.precision, contender.engine)
        job = Job(*named, str(self.pictures), self.threads, self.insecure)
        try:
            Worker(job, self.folder / "words").close()
            return Worker(job, self.folder / f"words-{contender.backend}-{contender.precision}-{os.urandom(4).hex()}")
        except EngineError as error:
            self._leave_out(contender, error)
            return None

    def take_turns(self, running: list[_Running], rounds: int, progress: Progress) -> None:
        """So that all have `rounds` inferences at the end; another one begins every turn."""
        turn = 0
        while running and (left := rounds - len(running[0].spent)) > 0:
            count = min(TURN, left)
            for number in range(len(running)):
                one = running[(turn + number) % len(running)]
                try:
                    one.spent += one.worker.infer(count)
                except EngineError as error:
                    self._leave_out(one.contender, error)
            running[:] = [one for one in running if len(one.spent) == rounds - left + count]
            turn += 1
            progress(TIMING, rounds - left + count, rounds)

    def results(self, running: list[_Running]) -> list[Timing]:
        """The figures, those of the reference first."""
        timings: list[Timing] = []
        exact: _Answers | None = None
        for one in running:
            file = self.folder / "answers.npz"
            try:
                memory = one.worker.answers(file)
            except EngineError as error:
                self._leave_out(one.contender, error)
                continue
            with np.load(file) as found:
                answers = _Answers(found["q"], found["masks"])
            exact = exact or answers
            timings.append(_timing(one, memory, answers, exact))
        return timings

    def _leave_out(self, contender: Contender, error: EngineError) -> None:
        if contender is self.reference:
            raise error
        self.missing.append(Missing(contender.backend, contender.precision, str(error)))


def _timing(one: _Running, memory_mb: float | None, answers: _Answers, exact: _Answers) -> Timing:
    ready, spent = one.worker.ready, np.array(one.spent)
    return Timing(
        ready.backend,
        ready.precision,
        one.contender.engine,
        ready.model_sha256,
        round(one.worker.first_ms, 1),
        round(ready.open_ms, 1),
        round(float(np.median(spent)), 3),
        round(float(np.percentile(spent, 99)), 3),
        round(1e3 / float(spent.mean()), 1),
        None if memory_mb is None else round(memory_mb, 1),
        round(float(np.abs(answers.q - exact.q).max()), 5),
        float(np.mean(answers.masks != exact.masks)),
    )
