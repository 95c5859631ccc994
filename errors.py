"""What goes wrong for a reason that a person can mend. The message is one sentence that says the cure.

Each kind is also the built-in exception a Python programmer expects there, so that `except ValueError` works.
Anything that is no SmartcaError, and no plain failure of the machine (see `mendable`), is a bug of ours: see `cli`.
"""

from __future__ import annotations

import errno

ELSEWHERE = "or write to another disk (the engines' cache and the temporary folder, TMPDIR, need room too)"
# errors of the operating system that name no file, and no cure
FULL = {
    errno.ENOSPC: f"free some space, {ELSEWHERE}",
    getattr(errno, "EDQUOT", errno.ENOSPC): f"free some space, {ELSEWHERE}",
    errno.EFBIG: f"allow larger files (`ulimit -f unlimited`), {ELSEWHERE}",
}
# what is wrong with a place that somebody named, in the system's own words; without a name it is a bug of ours
WITH_A_NAME = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
# what the machine does not have or allow: no code of ours could do better
OF_THE_MACHINE = {
    *FULL,
    errno.EIO,  # a disk or a cable fails
    errno.EROFS,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.EMFILE,  # too many open files, of this process or
    errno.ENFILE,  # of all
    errno.ENOMEM,
    errno.EAGAIN,  # no more processes or threads are allowed
    errno.ENODEV,  # a capture card's or a GPU's file
    errno.ENXIO,
    errno.ENOTSUP,  # of a file system: locks, sparse files
    errno.ENOLCK,
    getattr(errno, "ESTALE", errno.EIO),  # a network's disk is gone
    errno.EADDRINUSE,
    errno.EADDRNOTAVAIL,
}


def printable(text: str) -> str:
    """`text` in one line that any terminal can show: a file's name may hold line breaks, and bytes that are no text."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)


class SmartcaError(Exception):
    """The base of all that smartca raises on purpose."""

    def __str__(self) -> str:
        return printable(super().__str__())


class InputError(SmartcaError, ValueError):
    """What was given cannot be used: an option, a table, an array, a file's contents."""


class FileError(SmartcaError, OSError):
    """A file, folder or device cannot be read or written."""


class MissingFile(FileError, FileNotFoundError):
    """There is nothing at the path that was given."""


class MissingPackage(SmartcaError, ImportError):
    """An optional package is not installed; the message says the command that brings it."""


class RunError(SmartcaError, RuntimeError):
    """It began and could not go on: a damaged file, a lost device, an engine without an answer."""


# what msgspec raises on bytes that are not what they should be: malformed, no UTF-8, or nested without end
UNDECODABLE = (ValueError, RecursionError)


def mendable(error: BaseException) -> bool:
    """Whether a person can mend the cause: raised by us on purpose, or a plain failure of the machine."""
    if isinstance(error, OSError) and not isinstance(error, SmartcaError):
        named = isinstance(error, WITH_A_NAME) and bool(error.filename and error.strerror)
        return named or error.errno in OF_THE_MACHINE
    if isinstance(error, ImportError) and error.name:  # another's package that is not there, or not as we need it
        return error.name.split(".")[0] != __package__
    return isinstance(error, (SmartcaError, MemoryError))


def sentence(error: BaseException) -> str:
    """What to tell a person about `error`."""
    if isinstance(error, MemoryError):
        return f"there is not enough memory ({error}); close other programs, or ask for less at once"
    if isinstance(error, ImportError) and not isinstance(error, SmartcaError):
        return f"{error.name} is not installed or does not load ({error}); `smartca doctor` names the cure"
    if isinstance(error, OSError) and error.errno in FULL:
        what = f"{error.filename} cannot be written" if error.filename else "a file cannot be written"
        return f"{what} ({error.strerror}): {FULL[error.errno]}, then give the same command again"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__
