"""Every way to end a run from outside, and what no way may leave behind."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_OURS = "smartca-run-{}-"
_NAME = re.compile(r"smartca-run-(\d+)-\w+")


def ending_signals() -> list[signal.Signals]:
    """Ctrl-C, `kill`, a closed terminal, Ctrl-\\; not a closed terminal where `nohup` had it ignored."""
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK")
    known = [getattr(signal, name) for name in names if hasattr(signal, name)]
    hang_up = getattr(signal, "SIGHUP", None)
    return [number for number in known if number != hang_up or signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def in_good_order(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on any of them; a second one does not cut the ending short."""

    def ended(number: int, _: object) -> None:
        if number == getattr(signal, "SIGHUP", None):
            leave_terminal()
        stop()

    before = {number: signal.signal(number, ended) for number in ending_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_terminal() -> None:
    """Say nothing more to a terminal that is gone: each word would be an error."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # None where a shell closed it
            if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):  # a terminal that is gone no longer says it is one
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder only this user can enter, for the sockets of one run; those that killed runs left are removed."""
    sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_OURS.format(os.getpid())) as name:
        yield Path(name)


def sweep(folder: Path) -> None:
    """Remove the folders in `folder` of this user's runs that are no more."""
    if sys.platform == "win32":  # there the sockets are ports, and the folder holds nothing
        return
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            named = _NAME.fullmatch(path.name)
            if named and path.lstat().st_uid == os.getuid() and not _lives(int(named[1])):
                shutil.rmtree(path, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True
