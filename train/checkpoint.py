"""Checkpoints: written all of it or nothing, flushed to the disk, and read without running anything in them."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from ..errors import FileError, InputError
from ..files import whole_file


def replace_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill the file `path`, all of it or nothing: whoever is killed leaves the old or the new one.

    Raises OSError, the old file untouched, where it cannot be written, e.g. on a full disk.
    """
    try:
        with whole_file(path) as file:
            write(file)
    except (OSError, RuntimeError) as error:  # torch turns some of the disk's errors into RuntimeError
        reason = (error.strerror if isinstance(error, OSError) else None) or "the disk may be full"
        raise FileError(
            f"{path} cannot be written ({reason}); free some space or choose another --out, and give the same "
            f"command again: {'the one before it is kept' if path.exists() else 'nothing is lost but this file'}"
        ) from error


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint of tensors and plain values. Raises OSError, the old one kept, where that fails."""
    replace_file(path, lambda file: torch.save(content, file))


# what settings and torch raise for a checkpoint that holds other things, or weights of other names or shapes
FOREIGN = (KeyError, ValueError, TypeError, AttributeError, RuntimeError)


def read_checkpoint(path: Path, cure: str = "run `smartca train segment` to make one") -> dict[str, Any]:
    """A checkpoint's content, on the CPU. Raises ValueError, naming the `cure`, where it is missing or damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a file that is no checkpoint we say more
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
