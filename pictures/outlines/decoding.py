"""JSON files of annotation tools, decoded and checked by their types."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from ...errors import UNDECODABLE, InputError

T = TypeVar("T")


def decoded(path: Path, kind: type[T], what: str) -> T:
    """The file as `kind`; ValueError, naming it, where it is not `what`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except UNDECODABLE as error:
        raise InputError(f"{path} is not {what} ({error}); export it again") from error
