"""Networks compiled before, kept for the next start: to read, change and compile one takes twice as long as this.

OpenVINO has a cache of its own. It wants the network read and changed first, and never takes anything away.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

from platformdirs import user_cache_dir

from ...files import write_whole

KEEP = 8  # networks; some megabytes each
DIGEST = 32  # bytes before the rest: what was damaged could end the process that reads it
PRECISION = 8  # bytes after those


class Compiled(NamedTuple):
    """A compiled network, and the precision it computes in."""

    network: bytes
    precision: str


def name_of(*decides: object) -> str:
    """The name of a compiled network, of all that decides what is compiled: processor, library, settings, our code.

    The home folder may be another processor's tomorrow, and the library a newer one.
    """
    return hashlib.sha256(json.dumps(decides, default=str).encode()).hexdigest()[:32]


class CompiledCache:
    """The compiled networks in `folder`; one that cannot be read or written only makes a start slower."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(user_cache_dir("smartca")) / "openvino"

    def find(self, name: str) -> Compiled | None:
        """The network of this name, whole; None where there is none."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            path = self._path(name)
            data = path.read_bytes()
            if hashlib.sha256(data[DIGEST:]).digest() == data[:DIGEST]:
                os.utime(path)  # so that it is the last to go
                return Compiled(data[DIGEST + PRECISION :], data[DIGEST : DIGEST + PRECISION].decode().rstrip())
        return None

    def keep(self, name: str, kept: Compiled) -> None:
        """Keep a network for the next start; the ones least lately used go, down to KEEP."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            data = kept.precision.ljust(PRECISION).encode() + kept.network
            write_whole(self._path(name), hashlib.sha256(data).digest() + data)
            for old in sorted(self.folder.glob("*.blob"), key=_used, reverse=True)[KEEP:]:
                old.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.blob"


def _used(path: Path) -> float:
    """When it was last used; long ago where another process has just taken it away."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
