"""Opens and closes what a view process shows on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .displays import DrawnDisplay, PageDisplay
from .page.hub import PageServer
from .processes import PrintedDisplay
from .recorder import Recorder
from .view import Display, ViewState


class Viewing:
    """A page at `port` (None: none) and a recording (None: none)."""

    def __init__(
        self, port: int | None, record: Path | None, say: Callable[[str], None], quiet: bool
    ) -> None:
        self._port, self._record, self._say, self._quiet = port, record, say, quiet
        self._server: PageServer | None = None
        self._recorder: Recorder | None = None

    def open(self, state: ViewState) -> list[Display]:
        """The displays. Raises OSError if the port is in use or the recording cannot be made."""
        displays: list[Display] = []
        if self._record is not None:
            self._recorder = Recorder(self._record, 30.0, {})
        if self._port is None or self._recorder is not None:
            displays.append(DrawnDisplay(self._recorder))
        if self._port is not None:
            self._server = PageServer(self._port)
            self._server.start()
            displays.append(PageDisplay(self._server, lambda: state.engine))
        if not self._quiet:
            displays.append(PrintedDisplay(self._say))
            if self._server is not None:
                self._say(f"the live page is at {self._server.url}")
        return displays

    def close(self) -> None:
        """Finish the recording and close the page."""
        if self._recorder is not None:
            self._recorder.close()
            if self._recorder.problem:
                self._say(self._recorder.problem)
        if self._server is not None:
            self._server.stop()
