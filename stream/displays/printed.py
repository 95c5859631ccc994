"""A viewer without a page: one line on the terminal for each change."""

from __future__ import annotations

from collections.abc import Callable

from ..frame import State
from ..tally import Tally
from .contract import Display, Shown

Say = Callable[[str], None]


class PrintedDisplay(Display):
    """One line on the terminal, for a viewer without a page."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def show(self, shown: Shown, tally: Tally) -> None:
        """Say the state when it changes."""
        self._change(shown.result.state, shown.result.reason)

    def status(self, state: State, note: str, tally: Tally) -> None:
        """See `Display.status`."""
        self._change(state, note)

    _was: tuple[State, str] | None = None

    def _change(self, state: State, note: str) -> None:
        if self._was != (state, note):
            self._was = (state, note)
            self._say(f"{state.value}: {note}" if note else state.value)
