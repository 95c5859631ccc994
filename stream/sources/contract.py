"""What every source of pictures promises: one contract, one small file per kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ...pictures.pixels import Mask, Sector

OnFrame = Callable[[int, int], None]  # (frames drawn, frames in all)
Shape = tuple[int, ...]  # (rows, columns), or (rows, columns, 3) of colours


@dataclass(frozen=True, slots=True)
class Picture:
    """What a source yields: grey (rows, columns) or BGR (rows, columns, 3), and its truth where known."""

    pixels: NDArray[np.uint8]
    truth: Mask | None = None  # bool (rows, columns)
    media_ns: int | None = None  # since the first picture, by the film's own times; None where it has none


class Source(ABC):
    """Somewhere pictures come from; use it with `with open_source(spec) as source:`."""

    name: str  # shown to people; a file's name, never its whole path
    live: bool = False  # a camera does not wait; a file does
    unrelated: bool = False  # each picture is a scene of its own, with a sector of its own
    endless: bool = False  # never stops by itself
    fps: float | None = None  # the source's own rate, where known
    sector: Sector | None = None  # where known beforehand
    mm_per_pixel: tuple[float, float] | None = None  # (row, column)
    count: int | None = None  # pictures, where known

    @abstractmethod
    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """The pictures in order from number `start` (0 is the first).

        Raises RuntimeError (a damaged file) or OSError (a lost camera) with one sentence, after
        everything that could be read has been yielded.
        """

    def sizes(self) -> Iterable[tuple[str, Shape]]:
        """What pictures are called and how large they are, as far as that is known before they are read.

        So that one which nobody could be shown is refused before anything starts.
        """
        return ()

    def prepare(self) -> None:  # noqa: B027 (most sources have nothing to do beforehand)
        """Do beforehand what would otherwise compete with the engine; called while the engine starts."""

    def close(self) -> None:  # noqa: B027 (most sources hold nothing open)
        """Give back what the source holds; it may be called twice."""

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
