"""Signs of life from the processes of a run to their supervisor, and the reason to stop when it is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from types import FrameType
from typing import Literal

import msgspec
import zmq

from ..displays.recording import FilmRecord
from ..link.credits import ANNOUNCE_NS
from ..tally import Tally
from .ending import ending_signals, leave_terminal

LAST_WORDS_MS = 2000  # so long they wait for a supervisor that is busy
Role = Literal["attach", "serve", "view"]


class Pulse(msgspec.Struct):
    """What a process says of itself, ten times a second."""

    role: Role
    pid: int
    ready: bool
    next_seq: int = 0
    tally: Tally | None = None
    engine: dict[str, str | list[int]] | None = None
    ended: bool = False
    problem: str = ""
    recorded: FilmRecord | None = None
    stage: Literal["", "finishing", "finished"] = ""  # finishing: what is recorded is written out, without a beat


class Heart:
    """`alive()` goes into a process's main loop: it beats, and is False once the process should end."""

    def __init__(self, role: Role, endpoint: str | None) -> None:
        self.stopping = False
        self._role: Role = role
        self._parent = os.getppid()
        self._due = 0
        self._socket: zmq.Socket[bytes] | None = None
        self._before = {number: signal.signal(number, self._stop) for number in ending_signals()}
        if endpoint is not None:
            self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
            socket = self._context.socket(zmq.PUSH)
            socket.setsockopt(zmq.LINGER, LAST_WORDS_MS)
            socket.setsockopt(zmq.SNDHWM, 4)
            socket.connect(endpoint)
            self._socket = socket
            self.beat(Pulse(role, os.getpid(), False))

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if number == getattr(signal, "SIGHUP", None):
            leave_terminal()
        self.stopping = True

    @property
    def due(self) -> bool:
        """Whether it is time for the next beat."""
        return self._socket is not None and time.monotonic_ns() >= self._due

    @property
    def orphaned(self) -> bool:
        """Whether the supervisor this process was started by is gone."""
        return os.getppid() != self._parent

    def alive(self) -> bool:
        """False once told to stop, or once orphaned."""
        return not self.stopping and (self._socket is None or not self.orphaned)

    def beat(self, pulse: Pulse) -> None:
        """Send `pulse`; for a supervisor that does not listen only the last words wait a while."""
        if self._socket is None:
            return
        self._due = time.monotonic_ns() + ANNOUNCE_NS
        self._socket.setsockopt(zmq.SNDTIMEO, LAST_WORDS_MS if pulse.stage else 0)
        with contextlib.suppress(zmq.Again):
            self._socket.send(msgspec.json.encode(pulse))

    def ready(self, ready: bool = True) -> None:
        """A plain beat, if one is due."""
        if self.due:
            self.beat(Pulse(self._role, os.getpid(), ready))

    def close(self) -> None:
        """Let the last beat out, and then signals go where they went before: one must not cut the beat off."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._context.term()  # waits for what lingers: the last beat may hold the reason of the end
        for number, handler in self._before.items():
            signal.signal(number, handler)
