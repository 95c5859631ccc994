"""What all viewers of a run recorded, and whether that is every frame that was shown."""

from __future__ import annotations

from ..displays.recording import FilmRecord, shortfall
from .pulse import Pulse


class Recordings:
    """The films of a run: one, or one more with each viewer that had to be started again."""

    def __init__(self) -> None:
        self._by_pid: dict[int, FilmRecord] = {}  # by the viewer's process
        self._finished: set[int] = set()

    def hear(self, pulse: Pulse) -> None:
        """Take what a viewer says of its film."""
        if pulse.recorded is not None:
            self._by_pid[pulse.pid] = pulse.recorded
        if pulse.stage == "finished":
            self._finished.add(pulse.pid)

    def finished(self, pid: int) -> bool:
        """Whether that viewer has said its last word."""
        return pid in self._finished

    @property
    def films(self) -> list[FilmRecord]:
        """What each of them holds."""
        return list(self._by_pid.values())

    @property
    def problems(self) -> list[str]:
        """What has gone wrong so far, a sentence each."""
        return [film.problem for film in self.films if film.problem]

    @property
    def notes(self) -> list[str]:
        """What a person should know of films that are whole."""
        return [film.note for film in self.films if film.note]

    def lapses(self, shown: int, viewers: int) -> list[str]:
        """Why the films do not hold all `shown` frames of so many `viewers`, a sentence each; [] if they do."""
        lost = [film.film for pid, film in self._by_pid.items() if pid not in self._finished]
        told = [f"the viewer that wrote {film} did not end it; up to its last second may be missing" for film in lost]
        if not told and len(self._finished) < viewers:
            told = ["a viewer was lost before it said what it recorded"]
        return [*told, *shortfall(self.films, shown)]

    def as_report(self) -> dict[str, object] | None:
        """The films and their frames; None where nothing was recorded."""
        if not self.films:
            return None
        return {
            "films": [film.film for film in self.films],
            "frames": sum(film.frames for film in self.films),
            "fitted": sum(film.fitted for film in self.films),
        }
