"""What a display is: where a viewer's overlays go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..frame import Frame, Result, State
from ..tally import Tally


@dataclass(frozen=True, slots=True)
class Shown:
    """All that may be said of the frame on display."""

    frame: Frame
    result: Result
    captured_local_ns: int  # on this machine's clock
    uncertainty_ns: int
    fps: float


class Display(Protocol):
    """Where overlays go: a page, a recording, or nowhere but the report.

    A class that names this one as its base needs `show` only.
    """

    def show(self, shown: Shown, tally: Tally) -> None:
        """Draw frame and outline together and hand them on."""
        ...

    def status(self, state: State, note: str, tally: Tally) -> None:
        """Say that what is on display is no longer the present."""

    def close(self) -> None:
        """Nothing more comes: write what waits, give back what is held. It may be called twice."""
