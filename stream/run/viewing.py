"""Opens and closes what a view process shows on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from ... import plugins
from ...errors import InputError, RunError
from ..displays.built_in import DrawnDisplay, PageDisplay
from ..displays.contract import Display, Shown
from ..displays.printed import PrintedDisplay, Say
from ..frame import State
from ..tally import Tally
from ..view import ViewState

log = logging.getLogger(__name__)


class Viewing:
    """A page at `port` (None: none), a recording (None: none), and `others`: displays of plugins, as NAME:REST.

    replace: an earlier recording of that name gives way, once there is a first frame to take its place. asked: what
    else the recording's head is to say, e.g. the crop.
    """

    def __init__(
        self,
        port: int | None,
        record: Path | None,
        replace: bool,
        say: Say,
        quiet: bool,
        others: Sequence[str] = (),
        asked: Mapping[str, object] | None = None,
        insecure: bool = False,
    ) -> None:
        self._port, self._record, self._replace = port, record, replace
        self._asked, self._insecure = asked or {}, insecure
        self._say, self._quiet, self._others = say, quiet, others
        self._displays: list[Display] = []

    def open(self, state: ViewState) -> list[Display]:
        """The displays. Raises OSError if the port is in use, ValueError or RuntimeError for a plugin that fails."""

        def tell(problem: str) -> None:
            if not self._quiet:
                self._say(problem)

        def failed(problem: str) -> None:
            state.problem = problem
            tell(problem)

        for spec in self._others:
            self._displays.append(Guarded(open_display(spec, self._insecure), spec, failed))
        if self._port is None or self._record is not None:
            self._displays.append(self._drawn(state, tell))
        if self._port is not None:
            from ..displays.page.hub import PageServer
            from ..displays.page.metrics import Watched, routes

            def look() -> Watched:
                return Watched(state.says, state.tally, state.rejected, state.engine)

            server = PageServer(self._port, on_point=state.ask, routes=routes(look))
            server.start()
            self._displays.append(PageDisplay(server, lambda: state.engine))
            if not self._quiet:
                self._say(f"the live page is at {server.url}")
        if not self._quiet:
            self._displays.append(PrintedDisplay(self._say))
        return self._displays

    def _drawn(self, state: ViewState, tell: Say) -> DrawnDisplay:
        if self._record is None:
            return DrawnDisplay(None, "", tell)
        from ..displays.recorder import Recorder

        record, replace, asked = self._record, self._replace, self._asked

        def begin(shown: Shown) -> Recorder:
            frame = shown.frame
            head = {
                "source": frame.source,
                "sector": frame.sector,
                "mm_per_pixel": frame.mm_per_pixel,
                "engine": state.engine or {"model_sha256": shown.result.engine},
                "point": shown.result.point,
                **asked,
            }
            return Recorder(record, frame.fps, head, replace)

        drawn = DrawnDisplay(begin, record.name, tell)
        state.recorded, state.sticks = drawn.recorded, True
        return drawn

    def close(self) -> None:
        """Finish the recording and close the page."""
        with ExitStack() as closing:  # all of them, though one fails
            for display in reversed(self._displays):
                closing.callback(display.close)


def open_display(spec: str, insecure: bool = False) -> Display:
    """What `igtl` or the plugin NAME makes of 'NAME:REST'.

    Raises InputError where there is none, RunError where it fails, and what OpenIgtLinkDisplay raises.
    """
    named = plugins.name_and_rest(spec)
    if named is not None and named[0] == "igtl":
        from ..displays.igtl import OpenIgtLinkDisplay

        return OpenIgtLinkDisplay(named[1], insecure)
    display = None if named is None else plugins.make("smartca.displays", *named)
    if display is None:
        raise InputError(
            f"'{spec}' is no display; give --display igtl://127.0.0.1:18945, or NAME:REST of a plugin (the page, "
            f"--record and --headless are built in); {plugins.told('smartca.displays')}"
        )
    if not callable(getattr(display, "show", None)):
        raise RunError(f"the display {spec} is a {type(display).__name__} without show(shown, tally)")
    return display


class Guarded(Display):
    """A plugin's display: if it fails, that is told through `tell`, and the view goes on without it."""

    def __init__(self, display: Display, name: str, tell: Callable[[str], None]) -> None:
        self._display: Display | None = display
        self._name, self._tell = name, tell

    def show(self, shown: Shown, tally: Tally) -> None:
        """See `Display.show`."""
        self._do("show", shown, tally)

    def status(self, state: State, note: str, tally: Tally) -> None:
        """See `Display.status`."""
        self._do("status", state, note, tally)

    def close(self) -> None:
        """See `Display.close`."""
        self._do("close")
        self._display = None

    def _do(self, what: str, *arguments: object) -> None:
        """A display that lacks `status` or `close` has nothing to do there."""
        act = getattr(self._display, what, None)
        if act is None:
            return
        try:
            act(*arguments)
        except (Exception, SystemExit) as error:  # whatever a stranger's display raises
            log.debug("the display %s failed", self._name, exc_info=True)
            self._display = None
            self._tell(
                f"the display {self._name} failed ({type(error).__name__}: {error}); the view goes on without it"
            )
