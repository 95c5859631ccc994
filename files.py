"""Files that are written all of them or not at all, and their digests."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from . import onnx_bytes

ABANDONED_S = 600.0  # without a change: a file half written whose process is gone


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` once the block has ended: all of it or nothing.

    Also where two processes write it at once, and through a power cut. Raises OSError that names `path`, which is then
    as it was, with nothing left beside it; what a killed process left is taken away by the next one.
    """
    partial: Path | None = None
    try:
        _sweep(path)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
        partial = Path(name)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(0o644)
        partial.replace(path)
    except BaseException as error:
        if partial is not None:
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError):  # a full disk's error names no file, others name the partial one
            error.filename = str(path)
        raise
    with suppress(OSError):  # the name, too, must outlive a power cut; not every system can promise it
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _sweep(path: Path) -> None:
    """Take away what a killed process left half written; a living one has touched its file lately."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED_S:
                left.unlink()


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` as the file `path`, as `whole_file` does it."""
    with whole_file(path) as file:
        file.write(data)


def write_json(path: Path, content: object) -> None:
    """Write what msgspec can encode as indented JSON, as `whole_file` does it."""
    write_whole(path, json_bytes(content))


def try_to_write(path: Path) -> None:
    """Raises OSError where `whole_file` could not write `path`: what a system allows is known by doing it.

    The file goes at once. The folder must be there.
    """
    with tempfile.NamedTemporaryFile(dir=path.absolute().parent, prefix=f".{path.name}.", suffix=".partial"):
        pass
    if path.exists():
        with path.open("ab"):
            pass


def try_to_fill(folder: Path) -> None:
    """Raises OSError where files could not be written into `folder`, which may still have to be made; makes nothing."""
    there = folder.absolute()
    with suppress(FileNotFoundError):
        there.lstat()  # says so where the name is too long, or stands inside a file
    while not there.exists() and there != there.parent:
        there = there.parent
    with tempfile.TemporaryFile(dir=there):
        pass


def json_bytes(content: object) -> bytes:
    """What msgspec can encode as indented JSON; of a file's name that is no text, `?` for the bytes that are none."""
    try:
        encoded = msgspec.json.encode(content)
    except UnicodeEncodeError:
        encoded = json.dumps(msgspec.to_builtins(content), ensure_ascii=False).encode("utf-8", "replace")
    return msgspec.json.format(encoded, indent=2) + b"\n"


def sha256(path: Path, data: bytes | None = None) -> str:
    """Hex digest of a file's bytes; of an .onnx file that of its network, wherever its weights lie (`onnx_bytes`).

    data: the bytes, where they were read already.
    """
    if path.suffix == ".onnx":
        return onnx_bytes.network_digest(path, data)
    return hashlib.sha256(path.read_bytes() if data is None else data).hexdigest()
