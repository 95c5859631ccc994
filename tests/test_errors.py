"""What is a person's to mend, and what is a bug of ours; each is told in one sentence."""

from __future__ import annotations

import errno
import sqlite3

import msgspec
import numpy as np
import pytest
from smartca.engine import DeviceLost, EngineError, NoPicture
from smartca.errors import FileError, InputError, MissingFile, MissingPackage, RunError, mendable, sentence
from smartca.stream.link.endpoint import EndpointError
from smartca.stream.link.wire import WireError


@pytest.mark.parametrize(
    "error",
    [
        *(kind("cure") for kind in (InputError, FileError, MissingFile, MissingPackage, RunError)),
        *(kind("cure") for kind in (EngineError, NoPicture, DeviceLost, WireError, EndpointError)),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "x.mp4"),
        PermissionError(errno.EACCES, "Permission denied", "x.mp4"),
        IsADirectoryError(errno.EISDIR, "Is a directory", "x"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EADDRINUSE, "Address already in use"),
        OSError(errno.EMFILE, "Too many open files", "x"),
        MemoryError(),
        ModuleNotFoundError("No module named 'cv2'", name="cv2"),
        ImportError("libGL.so.1: cannot open shared object file", name="cv2"),
    ],
    ids=lambda error: f"{type(error).__name__}-{getattr(error, 'errno', None)}",
)
def test_what_a_person_can_mend(error: Exception) -> None:
    assert mendable(error)
    assert sentence(error) and "\n" not in sentence(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("invalid literal for int()"),
        RuntimeError("dictionary changed size during iteration"),
        ImportError("cannot import name 'x' from 'smartca.cli'", name="smartca.cli"),
        OSError("truncated"),
        OSError(errno.EBADF, "Bad file descriptor"),
        OSError(errno.EINVAL, "Invalid argument", "x"),
        FileNotFoundError("no name, so it is nobody's file"),
        msgspec.ValidationError("Expected int"),
        *(kind("x") for kind in (TypeError, KeyError, AssertionError, AttributeError, EOFError, sqlite3.Error)),
    ],
    ids=lambda error: f"{type(error).__name__}-{getattr(error, 'errno', None)}",
)
def test_what_only_we_can_mend(error: Exception) -> None:
    assert not mendable(error)


def test_numpys_own_lack_of_memory_is_one() -> None:
    with pytest.raises(MemoryError) as caught:
        np.empty(1 << 60, np.uint8)
    assert mendable(caught.value)
    assert "not enough memory" in sentence(caught.value)
