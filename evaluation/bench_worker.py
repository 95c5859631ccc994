"""One engine in a process of its own, so that its memory and its first answer are its own as well.

`Worker` starts the process and asks it; `python -m smartca.evaluation.bench_worker` is the process. Both speak JSON, a
line a message; what libraries print goes to stderr.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO, TypeVar

import msgspec
import numpy as np
from typing_extensions import Self

from .. import logs
from ..engine.contract import EngineError, Runner
from ..engine.opening import open_runner
from ..engine.segmenter import Segmenter
from ..errors import mendable, sentence
from ..pictures.pixels import whole

PATIENCE_S = 10.0  # with a server: what is too slow for a live picture shall be in the figures, not end them
SETTLE = 2  # inferences of every turn that do not count: other engines had the caches meanwhile


class Job(msgspec.Struct, frozen=True):
    """What to open, and the pictures: an .npy file, float32 (pictures, 1, 1, size, size)."""

    backend: str
    precision: str
    engine: str
    pictures: str
    threads: int = 0
    insecure: bool = False


class Ask(msgspec.Struct, frozen=True):
    """So many inferences, timed; or all answers into an .npz file."""

    infer: int = 0
    answers: str = ""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The first answer is there. backend, precision: as the engine names itself."""

    backend: str
    precision: str
    model_sha256: str
    open_ms: float


class Spent(msgspec.Struct, frozen=True, tag=True):
    """What each inference took, in ms."""

    ms: list[float]


class Written(msgspec.Struct, frozen=True, tag=True):
    """The answers are in the file. memory_mb: what the process grew by since before it opened the engine."""

    memory_mb: float | None


class Failed(msgspec.Struct, frozen=True, tag=True):
    """Why there is nothing more to be had, in one sentence."""

    reason: str


WorkerMessage = Ready | Spent | Written | Failed
T = TypeVar("T", Ready, Spent, Written)


class Worker:
    """The process, once its engine has answered for the first time; `first_ms` is from its start to that answer.

    Raises EngineError, here and later, with the engine's sentence or with the last words of a process that died.
    """

    def __init__(self, job: Job, words: Path) -> None:
        self._words = words  # what it says on stderr
        told = [msgspec.json.encode(one).decode() for one in (job, logs.settings())]
        command = [sys.executable, "-m", f"{__package__}.bench_worker", *told]
        started = time.perf_counter()
        with words.open("wb") as stderr:
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
        try:
            self.ready = self._hear(Ready)
        except BaseException:
            self.close()
            raise
        self.first_ms = 1e3 * (time.perf_counter() - started)

    def infer(self, count: int) -> list[float]:
        """Milliseconds of each of `count` inferences."""
        return self._ask(Ask(infer=count), Spent).ms

    def answers(self, file: Path) -> float | None:
        """Write `q`, float32, and `masks`, bool, both (pictures, size, size), to `file`; returns MB of memory."""
        return self._ask(Ask(answers=str(file)), Written).memory_mb

    def close(self) -> None:
        """Let it end, and wait for that."""
        if self._child.stdin is not None:
            self._child.stdin.close()
        try:
            self._child.wait(10.0)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, what: Ask, kind: type[T]) -> T:
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(msgspec.json.encode(what) + b"\n")
            self._child.stdin.flush()
        except OSError:
            pass  # it died; what it said is read below
        return self._hear(kind)

    def _hear(self, kind: type[T]) -> T:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            said = self._words.read_text(errors="replace").strip().splitlines()
            raise EngineError(f"its process ended with code {self._child.wait()}" + (f": {said[-1]}" if said else ""))
        told = msgspec.json.decode(line, type=WorkerMessage)
        if isinstance(told, Failed):
            raise EngineError(told.reason)
        assert isinstance(told, kind)
        return told


def work(job: Job, questions: IO[bytes], answers: IO[bytes]) -> None:
    """Open what the job names, answer once, then do as asked until there are no more questions."""

    def tell(told: WorkerMessage) -> None:
        answers.write(msgspec.json.encode(told) + b"\n")
        answers.flush()

    try:
        pictures, before, started = np.load(job.pictures), resident_mb(), time.perf_counter()
        with _open(job) as runner:
            opened = time.perf_counter() - started
            runner.infer(pictures[0])
            info = runner.info
            tell(Ready(info.backend, info.precision, info.model_sha256, 1e3 * opened))
            segmenter = Segmenter(runner, runner.point())
            for line in questions:
                ask = msgspec.json.decode(line, type=Ask)
                if ask.infer:
                    tell(Spent(_timed(runner, pictures, ask.infer)))
                else:
                    _write(segmenter, pictures, Path(ask.answers))
                    now = resident_mb()
                    tell(Written(None if now is None or before is None else now - before))
    except Exception as error:
        if not mendable(error):
            raise
        tell(Failed(" ".join(sentence(error).split())))


def _open(job: Job) -> Runner:
    backend = "onnxruntime" if job.backend == "onnxruntime" else "auto"  # of the others the file's kind decides
    return open_runner(job.engine, job.precision, job.threads, job.insecure, backend=backend, timeout_s=PATIENCE_S)


def _timed(runner: Runner, pictures: np.ndarray, count: int) -> list[float]:
    spent = []
    for number in range(-SETTLE, count):
        started = time.perf_counter()
        runner.infer(pictures[number % len(pictures)])
        spent.append(1e3 * (time.perf_counter() - started))
    return spent[SETTLE:]


def _write(segmenter: Segmenter, pictures: np.ndarray, file: Path) -> None:
    """Every picture's q, and what would be outlined of it at the engine's operating point."""
    answers = [segmenter.runner.infer(picture) for picture in pictures]
    masks = [segmenter.outline(answer, answer.q.shape, whole(answer.q.shape)).mask for answer in answers]
    np.savez(file, q=np.stack([answer.q for answer in answers]), masks=np.stack(masks))


def resident_mb() -> float | None:
    """This process's memory, shared libraries included; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # from here on, what anybody prints is no message
    logs.start(msgspec.json.decode(sys.argv[2], type=logs.LogSettings), "bench worker")
    try:
        work(msgspec.json.decode(sys.argv[1], type=Job), sys.stdin.buffer, channel)
    except Exception as bug:  # the last who can tell of it
        logs.tell_bug(bug)
        sys.exit(logs.BUG)
