"""Files that are written all of them or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from platformdirs import user_cache_dir


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, all of it or nothing, also where two processes write it at once.

    Raises OSError that names `path`, which is then as it was, with nothing left beside it.
    """
    partial: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
        partial = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
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


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sheet_path(engine: Path) -> Path:
    """x.engine -> x.engine.json."""
    return engine.with_name(engine.name + ".json")


def cache_folder() -> Path:
    """Where engines are kept."""
    return Path(user_cache_dir("smartca")) / "engines"
