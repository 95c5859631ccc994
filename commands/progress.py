"""The one line a person sees while a run goes on."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from typing_extensions import Self

from ..stream.run.run import Run


class Line:
    """Frames shown, their state and their latency; on a terminal only."""

    def __init__(self, source: str, headless: bool) -> None:
        self.total: int | None = None
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(f"starting the engine for {source}", total=None)
        self._due = 0.0
        self._shown = self._bar.console.is_terminal

    def prepare(self, done: int, total: int) -> None:
        """A phantom is being drawn."""
        self._bar.update(self._task, description="drawing the phantom", completed=done, total=total)

    def tell(self, run: Run) -> None:
        """Bring the line up to date, a few times a second."""
        if not self._shown or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + 0.25
        total = run.total()
        words = "waiting for the first overlay"
        if total.shown:
            words = f"{total.fps or 0:.0f} frames/s, capture to overlay {total.latency_ms()['p50']} ms"
        self._bar.update(self._task, description=words, completed=total.shown, total=self.total)

    def __enter__(self) -> Self:
        if self._shown:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._bar.stop()


def bar() -> Progress:
    """A progress bar on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
