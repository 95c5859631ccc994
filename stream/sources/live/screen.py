"""A part of this machine's screen, or a window of it, as a source: by mss, the window's place by X11."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....errors import FileError, InputError, MissingPackage
from ....pictures.pixels import SMALLEST
from ..contract import Picture, Source
from .newest import same_size

if TYPE_CHECKING:
    from mss.base import MSS

    from .windows import Windows

_FPS = 30.0
_FORM = "screen:0,0,1280,720 (x, y, width, height) or screen:WINDOW TITLE"


class Place(NamedTuple):
    """A part of the screen, in its pixels."""

    x: int
    y: int
    width: int
    height: int


class ScreenPart(Source):
    """`rest` is x,y,width,height, or some of a window's title: then that window, wherever it moves.

    What lies over the part is seen too. Pictures come 30 times a second, each taken when it is wanted. Raises OSError
    where there is no screen or no such window, ValueError for what cannot be understood or lies outside.
    """

    live = True
    endless = True
    fps = _FPS

    def __init__(self, rest: str) -> None:
        place = re.fullmatch(r"\s*(-?\d+)\s*,\s*(-?\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*", rest)
        if not rest.strip():
            raise InputError(f"'screen:' names no part of the screen; write {_FORM}")
        self._place = Place(*map(int, place.groups())) if place else None
        self._title = rest.strip()
        self.name = "screen" if place else f"window {self._title[:60]}"
        with _grabber() as grabber, self._windows() as windows:  # what is wrong is found out before anything starts
            _grabbed(grabber, self._where(windows), self.name)

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """Pictures from now on; what was on the screen before cannot be had, so `start` means nothing."""
        due, shape = time.monotonic(), None
        with _grabber() as grabber, self._windows() as windows:  # opened in the thread that reads
            while True:
                pixels = _grabbed(grabber, self._where(windows), self.name)
                shape = same_size(pixels, shape, self.name)
                yield Picture(pixels)
                due = max(due + 1 / _FPS, time.monotonic() - 1 / _FPS)
                time.sleep(max(0.0, due - time.monotonic()))

    def _windows(self) -> Windows | contextlib.nullcontext[None]:
        if self._place is not None:
            return contextlib.nullcontext()
        from .windows import Windows

        return Windows(self._title)

    def _where(self, windows: Windows | None) -> Place:
        if windows is None:
            assert self._place is not None
            return self._place
        return Place(*windows.place())


@contextlib.contextmanager
def _grabber() -> Iterator[MSS]:
    try:
        import mss
    except ImportError as error:
        raise MissingPackage("the screen needs mss; install it with `pip install 'smartca[screen]'`") from error
    try:
        grabber = mss.MSS()
    except (mss.ScreenShotError, OSError) as error:
        raise FileError("there is no screen to be read here; start smartca where the pictures are seen") from error
    try:
        yield grabber
    finally:
        with contextlib.suppress(Exception):  # of a server that is gone it raises, as everything else there does
            grabber.close()


def _grabbed(grabber: MSS, place: Place, name: str) -> NDArray[np.uint8]:
    """BGR (rows, columns, 3)."""
    whole = grabber.monitors[0]
    left, top = place.x - whole["left"], place.y - whole["top"]
    inside = left >= 0 and top >= 0 and left + place.width <= whole["width"] and top + place.height <= whole["height"]
    if not inside or min(place.width, place.height) < SMALLEST:
        raise InputError(
            f"{name}: {place.x},{place.y},{place.width},{place.height} does not lie on the screen, which is "
            f"{whole['width']} x {whole['height']}; move it, or give another part, {SMALLEST} x {SMALLEST} or more"
        )
    try:
        shot = grabber.grab({"left": place.x, "top": place.y, "width": place.width, "height": place.height})
    except Exception as error:  # of a server that is gone each way of reading has errors of its own
        raise FileError(f"{name} can be read no more; start smartca where the pictures are seen") from error
    return np.ascontiguousarray(np.frombuffer(shot.bgra, np.uint8).reshape(shot.height, shot.width, 4)[..., :3])
