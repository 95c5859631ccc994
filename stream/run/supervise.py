"""Processes that are watched: a dead or hung one is started again, but not for ever."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable

from ...errors import RunError
from .forked import Forked, can_fork
from .pulse import Pulse, Role

log = logging.getLogger(__name__)

HUNG_S = 1.0  # without a beat, once ready
FINISHING_S = 60.0  # without a beat, while what was recorded is written out
# until ready: compiling a network for the first time may take long on a small machine, and cameras wake slowly
STARTING_S: dict[Role, float] = {"serve": 60.0, "attach": 20.0, "view": 10.0}
MOST_RESTARTS = 5
WITHIN_S = 60.0
FATAL = 2  # the exit code of a process that was asked for something impossible: trying again is no use
DEVICE_LOST = 3  # the exit code of an engine whose device failed for good in that process, and may work in the next


class ProcessesStopped(RunError):
    """A process cannot be kept running; the message says which, `code` what to exit with."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Child:
    """One process of ours, started by `smartca <command> ...` with the arguments that `arguments` gives."""

    def __init__(self, role: Role, arguments: Callable[[], list[str]]) -> None:
        self.role: Role = role
        self.done = False  # it ended as it should
        self.ready = False
        self.finishing = False  # it writes out what was recorded, and does not beat meanwhile
        self.restarts = 0
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | Forked | None = None
        self._held = False  # begun, or to be begun, at `release`
        self._heard = 0.0
        self._was_ready = False
        self._recent: deque[float] = deque()

    @property
    def pid(self) -> int:
        """The running process's id; 0 if there is none."""
        return self._process.pid if self._process else 0

    @property
    def finishing_until(self) -> float:
        """time.monotonic() until which it may write out what was recorded."""
        return self._heard + FINISHING_S

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self, held: bool = False) -> None:
        """Start the process, out of reach of the terminal's Ctrl-C: the supervisor decides who ends when.

        held: it is to wait for `release`. What can be made ready before that is.
        """
        arguments = self._arguments()
        self._held = held
        if not self.restarts and can_fork():
            self._process = Forked(arguments, held)
        elif not held:
            command = [sys.executable, "-m", "smartca", *arguments]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        else:
            return
        log.info("process started", extra={"role": self.role, "child": self.pid, "restarts": self.restarts})
        self._heard = time.monotonic()
        self.ready = self.finishing = False

    def release(self) -> None:
        """Let one that was started `held` begin."""
        if isinstance(self._process, Forked):
            self._process.release()
            self._heard = time.monotonic()
            self._held = False
        elif self._held:
            self.start()

    def hear(self, pulse: Pulse) -> None:
        """Take a sign of life; one of an earlier process of the same role does not count."""
        if pulse.pid == self.pid:
            self._heard = time.monotonic()
            self.ready, self.finishing = pulse.ready, pulse.stage == "finishing"
            self._was_ready = self._was_ready or pulse.ready

    def watch(self) -> None:
        """Restart the process if it died or hangs. Raises Stopped if that is of no use."""
        if self._process is None or self.done:
            return
        code = self._process.poll()
        if code == 0:
            self.done = True
        elif code is not None:
            self._restart("lost its device" if code == DEVICE_LOST else f"ended with code {code}", code)
        elif time.monotonic() - self._heard > self.patience_s:
            self.kill()
            self._restart("does not answer", 1)

    @property
    def patience_s(self) -> float:
        """How long it may be silent now."""
        if self.finishing:
            return FINISHING_S
        return HUNG_S if self.ready else STARTING_S[self.role]

    def _restart(self, why: str, code: int) -> None:
        now = time.monotonic()
        while self._recent and now - self._recent[0] > WITHIN_S:
            self._recent.popleft()
        if code == FATAL and not self._was_ready:
            raise ProcessesStopped("", code)  # it has said itself what is wrong
        if len(self._recent) >= MOST_RESTARTS:
            raise ProcessesStopped(
                f"the {self.role} process {why} {MOST_RESTARTS + 1} times within {WITHIN_S:.0f} s; giving up",
                1,
            )
        log.warning("the %s process %s; starting it again", self.role, why)
        self._recent.append(now)
        self.restarts += 1
        self.start()

    def terminate(self) -> None:
        """Ask the process to end."""
        if self._process is not None and self.running:
            self._process.terminate()

    def kill(self) -> None:
        """End the process now, even a stopped one."""
        if self._process is not None and self.running:
            self._process.kill()
            self._process.wait()

    def wait(self, seconds: float) -> bool:
        """Whether the process has ended within `seconds`."""
        if self._process is None:
            return True
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True
