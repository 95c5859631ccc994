"""`smartca run`: attach, serve and view together, watched, and one report of it all at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import zmq

from ... import logs
from ...engine.machine import versions
from ..tally import Tally
from .ending import in_good_order
from .forked import import_shared
from .pulse import Pulse, Role
from .recordings import Recordings
from .supervise import FATAL, Child, ProcessesStopped

END_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Command-line arguments of the three processes; each gets its own."""

    attach: list[str]
    serve: list[str]
    view: list[str]
    stay: bool  # keep the page after the feed has ended, until Ctrl-C
    started_ns: int  # monotonic: when the user's command began
    record: bool = False  # every frame shown must be in a film, or it is told


class Run:
    """Three children, what they last said of themselves, and the way to the end."""

    def __init__(self, settings: RunSettings, folder: Path) -> None:
        self.settings = settings
        self.tally = Tally()  # of view processes that are gone
        self.current: Pulse | None = None  # of the view process that is there
        self.problem = ""
        self.recordings = Recordings()
        self.lapses: list[str] = []  # of the recordings, once the run is over
        self.engine: dict[str, str | list[int]] | None = None
        self.stopping = False
        self._next_seq = 0  # of the first frame that no viewer has shown
        self._at = {name: _address(folder, name) for name in ("frames", "answers", "pulse")}
        self._socket: zmq.Socket[bytes] | None = None
        self.children: dict[Role, Child] = {
            "serve": Child("serve", self._serve_arguments),
            "view": Child("view", self._view_arguments),
            "attach": Child("attach", self._attach_arguments),
        }

    def execute(self, prepare: Callable[[], None], tell: Callable[[Run], None]) -> int:
        """Run until the feed ends or somebody stops it; returns the exit code.

        `prepare` is called while engine and viewer start up: it may raise OSError or ValueError, whose
        sentence ends the run. `tell` hears of the progress about ten times a second.
        """
        with in_good_order(self.stop):
            try:
                self._start()
                prepare()
                self.children["attach"].release()
                while not self.stopping and not self._over():
                    self._listen(50)
                    for child in self.children.values():
                        child.watch()
                    tell(self)
                self._part()
            except ProcessesStopped as error:
                self.problem = str(error)
                if error.code == FATAL:  # one could not even begin, so nothing was shown and nothing is under way
                    self.children["attach"].kill()
                    self.children["serve"].kill()
                self._part()
                return error.code
            finally:
                self._end_all()
                self.lapses = self._missed()
        return 1 if self.problem or self.lapses else 0

    def stop(self) -> None:
        """End in good order, soon."""
        self.stopping = True

    def _start(self) -> None:
        """The three processes, the engine's first, which takes longest; attach waits until its source was looked at.

        Our own socket comes after them: its threads would keep this process from being copied.
        """
        import_shared("serving")
        self.children["serve"].start()
        import_shared("watching", "attaching")
        self.children["view"].start()
        self.children["attach"].start(held=True)
        self._socket = socket = zmq.Context.instance().socket(zmq.PULL)
        socket.setsockopt(zmq.LINGER, 0)
        socket.bind(self._at["pulse"])

    def report(self) -> dict[str, object]:
        """Everything measured, as JSON types."""
        total = self.total()
        first = total.first_overlay_ns
        return {
            **total.as_report(),
            "engine": self.engine,
            "first_overlay_s": round((first - self.settings.started_ns) / 1e9, 3) if first else None,
            "restarts": {role: child.restarts for role, child in self.children.items()},
            "problem": "; ".join(filter(None, [self.problem, *self.lapses])) or None,
            "recording": self.recordings.as_report(),
            "versions": versions(),
        }

    def total(self) -> Tally:
        """The tally over all view processes of this run."""
        total = msgspec.json.decode(msgspec.json.encode(self.tally), type=Tally)
        if self.current is not None and self.current.tally is not None:
            total.merge(self.current.tally)
        return total

    def _over(self) -> bool:
        if self.children["view"].done:
            return True
        ended = self.current is not None and self.current.ended
        return ended and self.children["attach"].done and not self.settings.stay

    def _listen(self, milliseconds: int) -> None:
        if self._socket is None or not self._socket.poll(milliseconds):
            return
        while self._socket.poll(0):
            pulse = msgspec.json.decode(self._socket.recv(), type=Pulse)
            self.children[pulse.role].hear(pulse)
            if pulse.role == "view":
                self._take(pulse)
            elif pulse.problem:
                self.problem = pulse.problem

    def _take(self, pulse: Pulse) -> None:
        if self.current is not None and self.current.pid != pulse.pid and self.current.tally is not None:
            self.tally.merge(self.current.tally)
        self.current = pulse
        self.recordings.hear(pulse)
        self._next_seq = max(self._next_seq, pulse.next_seq)
        self.engine = pulse.engine or self.engine
        self.problem = pulse.problem or self.problem

    def _part(self) -> None:
        """In the order of the stream, so that what is under way still arrives and is counted, and recorded."""
        for role in ("attach", "view", "serve"):
            child = self.children[role]
            child.terminate()
            until = time.monotonic() + END_WITHIN_S
            while child.running and time.monotonic() < until:
                self._listen(20)
                if child.finishing:
                    until = child.finishing_until
        until = time.monotonic() + END_WITHIN_S
        view = self.children["view"]  # its last word may come after its end
        while view.finishing and not self.recordings.finished(view.pid) and time.monotonic() < until:
            self._listen(20)
        self._listen(50)

    def _missed(self) -> list[str]:
        shown = self.total().shown
        if not self.settings.record or not shown:
            return []
        return self.recordings.lapses(shown, self.children["view"].restarts + 1)

    def _end_all(self) -> None:
        for child in self.children.values():
            child.terminate() if child.ready else child.kill()  # one that is still starting has nothing to save
        until = time.monotonic() + 2.0
        for child in self.children.values():
            if not child.wait(until - time.monotonic()):
                child.kill()
        self._listen(0)
        if self._socket is not None:
            self._socket.close()

    def _serve_arguments(self) -> list[str]:
        at = self._at
        return [
            "serve",
            "--bind",
            at["frames"],
            "--publish",
            at["answers"],
            *self._common(),
            *self.settings.serve,
        ]

    def _view_arguments(self) -> list[str]:
        # a viewer that is started again must not write over what it recorded
        again = ["--keep-record"] if self.children["view"].restarts else ["--from-start"]
        at = self._at["answers"]
        return ["view", "--from", at, *again, *self._common(), *self.settings.view]

    def _attach_arguments(self) -> list[str]:
        at, start = self._at["frames"], str(self._next_seq)
        return ["attach", "--to", at, "--start", start, *self._common(), *self.settings.attach]

    def _common(self) -> list[str]:
        return ["--pulse", self._at["pulse"], *logs.settings().arguments()]


def _address(folder: Path, name: str) -> str:
    """ipc in a folder of ours; Windows has no ipc, and gets a free loopback port."""
    if sys.platform != "win32":
        return f"ipc://{folder / name}"
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"
