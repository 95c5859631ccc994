"""JSON files of annotation tools, decoded and checked by their types."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import TypeVar

import msgspec

from ...errors import UNDECODABLE, InputError

T = TypeVar("T")


def decoded(path: Path, kind: type[T], what: str) -> T:
    """The file as `kind`; ValueError, naming it, where it is not `what`. Windows' mark before UTF-8 is passed over."""
    try:
        return msgspec.json.decode(path.read_bytes().removeprefix(codecs.BOM_UTF8), type=kind)
    except UNDECODABLE as error:
        raise InputError(f"{path} is not {what} ({error}); export it again") from error
