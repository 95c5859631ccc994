"""A bar for each phase of a build."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


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
            self.bars = _bars()
        if phase not in self._tasks:
            self._tasks[phase] = self.bars.add_task(phase, total=total)
        self.bars.update(self._tasks[phase], completed=done, total=total)
        if done >= total:
            self.bars.remove_task(self._tasks.pop(phase))

    def names(self) -> list[str]:
        """The phases that go on now."""
        return [] if self.bars is None else [task.description for task in self.bars.tasks]


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    bars = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    bars.start()
    return bars
