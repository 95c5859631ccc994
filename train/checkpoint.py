"""Checkpoints: written all of it or nothing, flushed to the disk, and read without running anything in them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from ..errors import FileError, InputError


def replace_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a file beside `path`, then put it in its place: whoever is killed leaves the old or the new one.

    Raises OSError, the old file untouched, where it cannot be written, e.g. on a full disk.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            write(file)
            file.flush()
            _to_disk(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch turns some of the disk's errors into RuntimeError
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        reason = (error.strerror if isinstance(error, OSError) else None) or "the disk may be full"
        raise FileError(
            f"{path} cannot be written ({reason}); free some space or choose another --out, and give the same "
            f"command again: {'the one before it is kept' if path.exists() else 'nothing is lost but this file'}"
        ) from error
    with contextlib.suppress(OSError):  # the name, too, must outlive a power cut; not every system can promise it
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _to_disk(handle: int) -> None:
    """Flush to the disk; what is no file on a disk (a pipe, a device) has nothing to flush."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint of tensors and plain values. Raises OSError, the old one kept, where that fails."""
    replace_file(path, lambda file: torch.save(content, file))


# what settings and torch raise for a checkpoint that holds other things, or weights of other names or shapes
FOREIGN = (KeyError, ValueError, TypeError, AttributeError, RuntimeError)


def read_checkpoint(path: Path, cure: str = "run `smartca train segment` to make one") -> dict[str, Any]:
    """A checkpoint's content, on the CPU. Raises ValueError, naming the `cure`, where it is missing or damaged."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many kinds: pickle, zip and key errors among them
        raise InputError(f"{path} is missing or is no checkpoint; {cure}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is missing or is no checkpoint; {cure}")
    return content


def digest(path: Path) -> str:
    """First 16 hex digits of a file's sha256. Raises ValueError where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give the file that training wrote") from error
