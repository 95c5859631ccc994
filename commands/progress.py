"""What a person sees while work goes on; rich is imported with the first bar: most commands start without one."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from typing_extensions import Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from ..stream.run.run import Run


class Line:
    """Frames shown, their state and their latency; on a terminal only. Use it with `with`."""

    def __init__(self, source: str) -> None:
        self.total: int | None = None
        self._source = source
        self._bar: Progress | None = None
        self._due = 0.0

    def begin(self) -> None:
        """Show it: once the engine's process is on its way, as rich takes a tenth of a second to import."""
        if sys.stderr.isatty():
            self._bar = _line()
            self._task = self._bar.add_task(f"starting the engine for {self._source}", total=None)
            self._bar.start()

    def prepare(self, done: int, total: int) -> None:
        """A phantom is being drawn."""
        if self._bar is not None:
            self._bar.update(self._task, description="drawing the phantom", completed=done, total=total)

    def tell(self, run: Run) -> None:
        """Bring the line up to date, a few times a second."""
        if self._bar is None or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + 0.25
        total = run.total()
        words = "waiting for the first overlay"
        if total.shown:
            words = f"{total.fps or 0:.0f} frames/s, capture to overlay {total.latency_ms()['p50']} ms"
        self._bar.update(self._task, description=words, completed=total.shown, total=self.total)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def _line() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


class Phases:
    """A bar for each phase that the builder tells of, under one another as they are nested; on a terminal only.

    rich is imported with the first phase: an engine that is in the cache has none, and is found the quicker.
    """

    def __init__(self) -> None:
        self.bars: Progress | None = None
        self.built = False  # by us, and not by another process that we waited for
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Phases:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars is not None:
            self.bars.stop()

    def __call__(self, phase: str, done: int, total: int) -> None:
        """`done` of `total` steps of `phase`; its bar goes when all are done."""
        from ..engine.building.cache import WAITING

        self.built |= phase != WAITING
        if self.bars is None:
            self.bars = bar(elapsed=True)
            self.bars.start()
        if phase not in self._tasks:
            self._tasks[phase] = self.bars.add_task(phase, total=total)
        self.bars.update(self._tasks[phase], completed=done, total=total)
        if done >= total:
            self.bars.remove_task(self._tasks.pop(phase))

    def names(self) -> list[str]:
        """The phases that go on now."""
        return [] if self.bars is None else [task.description for task in self.bars.tasks]


def bar(elapsed: bool = False) -> Progress:
    """A progress bar on stderr, on a terminal only; it tells the time that is left, or that has `elapsed`."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    times = TimeElapsedColumn() if elapsed else TimeRemainingColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), times)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
