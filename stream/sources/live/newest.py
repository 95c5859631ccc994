"""Reads a feed as fast as it comes and keeps the newest only, so that nothing grows old in another's buffer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ....errors import FileError
from ..contract import Shape

T = TypeVar("T")
PARTING_S = 1.0


def same_size(pixels: NDArray[np.uint8], first: Shape | None, name: str) -> Shape:
    """The shape of `pixels`, if it is that of the feed's first picture.

    Raises FileError otherwise, so that the feed is attached anew: its sector and its scale were those of the first.
    """
    if first is not None and pixels.shape != first:
        raise FileError(f"{name} has changed its size; it is attached anew")
    return pixels.shape


class Newest(Generic[T]):
    """`read` is called in a thread of its own, until `close`; what it raises ends the feed, after the last thing.

    read: the next thing, or None where it was nothing to show. It is to come back at least once a second.
    silent: what is raised, as a FileError, when nothing comes for `patience_s`. `end` is called in the thread once it
    reads no more: what it reads from must not be closed under it.
    """

    def __init__(
        self,
        read: Callable[[], T | None],
        silent: Callable[[], str],
        patience_s: float,
        end: Callable[[], None] = lambda: None,
    ) -> None:
        self._read, self._silent, self._patience_s, self._end = read, silent, patience_s, end
        self._changed = threading.Condition()
        self._newest: T | None = None
        self._error: BaseException | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether nothing more is wanted."""
        return self._closed

    def each(self) -> Iterator[T]:
        """The newest thing, and each time the newest again; ends with `close`. Raises what ended the feed."""
        while (newest := self.take()) is not None:
            yield newest

    def take(self) -> T | None:
        """The newest thing, waited for; None once closed. Raises what ended the feed."""
        with self._changed:
            there = self._changed.wait_for(lambda: self._newest is not None or self._over, self._patience_s)
            newest, self._newest = self._newest, None
            if newest is not None:
                return newest
            if self._closed:
                return None
            if self._error is not None:
                raise self._error
        assert not there
        raise FileError(self._silent())

    @property
    def _over(self) -> bool:
        return self._closed or self._error is not None

    def _run(self) -> None:
        try:
            while not self._closed:
                thing = self._read()
                if thing is not None:
                    with self._changed:
                        self._newest = thing
                        self._changed.notify_all()
        except BaseException as error:  # whoever takes is to hear of it
            with self._changed:
                self._error = error
                self._changed.notify_all()
        finally:
            self._end()

    def close(self) -> None:
        """Read nothing more; waits a moment for the thread."""
        with self._changed:
            self._closed = True
            self._newest = None
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(PARTING_S)
