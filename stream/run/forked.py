"""A process of ours that begins as a copy of this one: what is imported here need not be imported there again.

Numpy, OpenCV and ZeroMQ take a third of a second to import, and three processes at once take it on two cores. Only on
Linux, and only while this process has one thread: a copy of a lock that another thread holds would never be opened.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
import traceback
from importlib import import_module
from pathlib import Path

TASKS = Path("/proc/self/task")  # Linux: every thread of this process, also those that Python did not begin
LOOK_EVERY_S = 0.002
BROKEN = 70  # the exit code where not even `smartca` could tell what was wrong


def can_fork() -> bool:
    """Whether this process may be copied."""
    try:
        return sys.platform == "linux" and len(list(TASKS.iterdir())) == 1
    except OSError:
        return False


def import_shared(*modules: str) -> None:
    """Import what the processes made from here on need, modules beside this one, once for all of them.

    Where none can be made as a copy, it would be for nothing.
    """
    if can_fork():
        for name in modules:
            import_module(f".{name}", __package__)


class Forked:
    """`smartca ARGUMENTS` in a copy of this process: as much of `subprocess.Popen` as a supervisor needs.

    held: it waits for `release`, and ends if this process ends before. Raises OSError where there is no room for it.
    """

    def __init__(self, arguments: list[str], held: bool = False) -> None:
        self.returncode: int | None = None
        waits, self._gate = os.pipe() if held else (-1, -1)
        _flush()
        self.pid = os.fork()
        if self.pid == 0:
            _live(arguments, waits, self._gate)
        if held:
            os.close(waits)

    def release(self) -> None:
        """Let one that was held begin."""
        if self._gate >= 0:
            with contextlib.suppress(BrokenPipeError):  # it was killed meanwhile: whoever waits for it will see
                os.write(self._gate, b"g")
            os.close(self._gate)
            self._gate = -1

    def poll(self) -> int | None:
        """The exit code, minus the signal where one ended it; None while it runs."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else has heard of its end
                pid, status = self.pid, 0
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        until = time.monotonic() + (float("inf") if timeout is None else timeout)
        while (code := self.poll()) is None:
            if time.monotonic() >= until:
                raise subprocess.TimeoutExpired("smartca", timeout or 0.0)
            time.sleep(LOOK_EVERY_S)
        return code

    def terminate(self) -> None:
        """Ask it to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _live(arguments: list[str], waits: int, gate: int) -> None:
    """Be the new process; never returns, as what stands further up belongs to the old one."""
    code = BROKEN
    try:
        _apart(arguments)
        if waits < 0 or _released(waits, gate):
            runpy.run_module("smartca", run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        _flush()
        os._exit(code)


def _apart(arguments: list[str]) -> None:
    """As a new process begins: out of reach of the terminal, with nothing to read, signals as usual."""
    from setproctitle import setproctitle  # here, as only Linux has it

    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["smartca", *arguments]
    setproctitle(" ".join(["smartca", *arguments[:1]]))  # to be told apart in a list of processes


def _released(waits: int, gate: int) -> bool:
    os.close(gate)
    word = os.read(waits, 1)
    os.close(waits)
    return bool(word)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # a shell may have closed it (`>&-`)
            with contextlib.suppress(OSError):
                stream.flush()
