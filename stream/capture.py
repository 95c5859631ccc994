"""From a source, at its own pace or a given one, into a slot that holds the newest frame only."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import InputError, mendable, sentence
from .causes import NEWER_AT_SCANNER, NOBODY
from .frame import Trail
from .link.wire import check_carried, check_shape
from .sources import Picture, Source

log = logging.getLogger(__name__)
STOP_S = 1.0  # a camera may hold its thread longer; it ends with the process


def check_sizes(source: Source) -> None:
    """Raises InputError, naming the picture and its size, where the link does not carry one of which that is known."""
    for name, shape in source.sizes():
        try:
            check_shape(shape)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error


@dataclass(frozen=True, slots=True)
class Captured:
    """A picture, its number, the moment the source yielded it, and the totals at that moment."""

    picture: Picture
    seq: int
    captured_ns: int
    trail: Trail


class Capture:
    """Reads `source` in a thread of its own. `wake` is called whenever there is something to take.

    `problem` says why the source ended early. A bug that ends the thread is raised by `check`.

    Live: a picture nobody has taken yet gives way to the next and is counted as dropped. Otherwise the
    source waits.
    """

    def __init__(
        self,
        source: Source,
        fps: float | None,
        frames: int | None,
        start: int,
        epoch: int,
        wake: Callable[[], None],
    ) -> None:
        self.epoch = epoch
        self.live = source.live or fps is not None
        self.credit = True  # whether the consumer is there: decides what a drop is called
        self.ended = False
        self.problem = ""
        self._bug: Exception | None = None
        self._source, self._fps, self._frames, self._start = source, fps, frames, start
        self._wake = wake
        self._changed = threading.Condition()
        self._slot: Captured | None = None
        self._taken = 0
        self._dropped: Counter[str] = Counter()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def start(self) -> None:
        """Begin to capture."""
        self._thread.start()

    @property
    def started(self) -> bool:
        """Whether `start` has been called."""
        return self._thread.ident is not None

    def stop(self) -> None:
        """Capture nothing more; what stands in the slot may still be taken."""
        with self._changed:
            self._stopping = True
            self.ended = self.ended or not self.started
            self._changed.notify_all()
        if self.started:
            self._thread.join(STOP_S)

    def check(self) -> None:
        """Raises what ended the thread, if that is a bug."""
        if self._bug is not None:
            raise self._bug

    def waiting(self) -> bool:
        """Whether a picture stands in the slot."""
        return self._slot is not None

    def take(self) -> Captured | None:
        """The newest picture, or None."""
        with self._changed:
            taken, self._slot = self._slot, None
            self._changed.notify_all()
            return taken

    def lost(self, cause: str) -> None:
        """What was taken was not sent after all."""
        if log.isEnabledFor(logging.DEBUG):
            log.debug("a frame was lost", extra={"cause": cause})
        with self._changed:
            self._dropped[cause] += 1

    def trail(self) -> Trail:
        """Totals so far."""
        with self._changed:
            return self._trail()

    def _trail(self) -> Trail:
        return Trail(self.epoch, self._taken, dict(self._dropped))

    def _run(self) -> None:
        try:
            for number, picture in enumerate(self._paced(), self._start):
                self._check(picture, number)
                if not self._put(picture, number):
                    break
        except BaseException as error:  # SystemExit too: a feed that breaks off has not ended in good order
            if mendable(error):
                self.problem = sentence(error)
            elif isinstance(error, Exception) and type(self._source).__module__.startswith("smartca."):
                self._bug = error  # the feed has not ended, and nobody shall be told so
            else:  # a plugin's: the feed ends with a sentence
                log.debug("the source failed", exc_info=True)
                self.problem = f"the source {self._source.name} failed ({type(error).__name__}: {error})"
        finally:
            self.ended = True
            self._wake()

    def _paced(self) -> Iterator[Picture]:
        """The wanted number of pictures, the first at once, each other one at its time if there is a pace."""
        due = time.monotonic() - (1.0 / self._fps if self._fps else 0.0)
        for count, picture in enumerate(self._source.pictures(self._start), self._start):
            if self._stopping or (self._frames is not None and count >= self._frames):
                return
            if self._fps:
                due = max(due + 1.0 / self._fps, time.monotonic() - 1.0)
                time.sleep(max(0.0, due - time.monotonic()))
            yield picture
            # asked here too, so that no picture is decoded beyond the last one wanted
            if self._frames is not None and count + 1 >= self._frames:
                return

    def _check(self, picture: object, number: int) -> None:
        """Raises InputError for what no viewer could be shown: a source's fault, which picture by picture is told."""
        if not isinstance(picture, Picture):
            raise InputError(f"the source {self._source.name} gave a {type(picture).__name__}, not a Picture")
        try:
            check_carried(picture.pixels)
        except InputError as error:
            raise InputError(f"picture {number + 1} of {self._source.name}: {error}") from error
        truth = picture.truth
        if truth is not None and (truth.dtype != np.bool_ or truth.shape != picture.pixels.shape[:2]):
            raise InputError(
                f"picture {number + 1} of {self._source.name}: its truth is {truth.dtype} {truth.shape}; give bool of "
                f"{picture.pixels.shape[:2]}"
            )

    def _put(self, picture: Picture, seq: int) -> bool:
        captured_ns = time.monotonic_ns()
        with self._changed:
            while not self.live and self._slot is not None and not self._stopping:
                self._changed.wait(0.5)
            if self._stopping:
                return False
            self._taken += 1
            if self._slot is not None:
                self._dropped[NEWER_AT_SCANNER if self.credit else NOBODY] += 1
            self._slot = Captured(picture, seq, captured_ns, self._trail())
        self._wake()
        return True
