"""Opens and closes what a view process shows on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..displays.contract import Display
from ..displays.drawn import DrawnDisplay, PageDisplay, PrintedDisplay
from ..displays.page.hub import PageServer
from ..displays.recorder import Recorder
from ..view import ViewState


class Viewing:
    """A page at `port` (None: none) and a recording (None: none).

    replace: an earlier recording of that name gives way, once there is a first frame to take its place.
    """

    def __init__(
        self, port: int | None, record: Path | None, replace: bool, say: Callable[[str], None], quiet: bool
    ) -> None:
        self._port, self._record, self._replace = port, record, replace
        self._say, self._quiet = say, quiet
        self._server: PageServer | None = None
        self._drawn: DrawnDisplay | None = None

    def open(self, state: ViewState) -> list[Display]:
        """The displays. Raises OSError if the port is in use."""
        displays: list[Display] = []

        def tell(problem: str) -> None:
            state.problem = problem
            if not self._quiet:
                self._say(problem)

        if self._port is None or self._record is not None:
            self._drawn = DrawnDisplay(None if self._record is None else self._recorder, tell)
            displays.append(self._drawn)
        if self._port is not None:
            self._server = PageServer(self._port)
            self._server.start()
            displays.append(PageDisplay(self._server, lambda: state.engine))
        if not self._quiet:
            displays.append(PrintedDisplay(self._say))
            if self._server is not None:
                self._say(f"the live page is at {self._server.url}")
        return displays

    def _recorder(self, fps: float | None) -> Recorder:
        assert self._record is not None
        return Recorder(self._record, fps, {}, self._replace)

    def close(self) -> None:
        """Finish the recording and close the page."""
        try:
            if self._drawn is not None:
                self._drawn.close()
        finally:
            if self._server is not None:
                self._server.stop()
