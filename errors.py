"""What goes wrong for a reason that a person can mend. The message is one sentence that says the cure.

Each kind is also the built-in exception a Python programmer expects there, so that `except ValueError` works.
Anything that is no SmartcaError, and no plain failure of the operating system, is a bug of ours: see `cli`.
"""

from __future__ import annotations


class SmartcaError(Exception):
    """The base of all that smartca raises on purpose."""


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
