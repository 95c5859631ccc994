"""When each picture of an animated PNG or WebP is to be seen, told from its chunks without decoding it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

_PNG, _MOST = b"\x89PNG\r\n\x1a\n", 100_000  # chunks


def page_times(path: Path, count: int) -> list[int] | None:
    """ns from the first of `count` pictures on, one each; None for other files, and where not each says how long."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
            if head.startswith(_PNG):
                file.seek(len(_PNG))
                durations = [_of_png(content) for content in _chunks(file, b"fcTL", png=True)]
            elif head.startswith(b"RIFF") and head.endswith(b"WEBP"):
                durations = [_of_webp(content) for content in _chunks(file, b"ANMF", png=False)]
            else:
                return None
    except (OSError, IndexError):
        return None
    if count < 2 or len(durations) != count or not all(durations[:-1]):
        return None
    return list(accumulate(durations[:-1], initial=0))


def _chunks(file: BinaryIO, wanted: bytes, png: bool) -> Iterator[bytes]:
    """The first 32 bytes of those `wanted`."""
    for _ in range(_MOST):
        head = file.read(8)
        if len(head) < 8:
            return
        name, size = (head[4:], head[:4]) if png else (head[:4], head[4:])
        length = int.from_bytes(size, "big" if png else "little")
        begin = file.tell()
        if name == wanted:
            yield file.read(min(length, 32))
        file.seek(begin + length + (4 if png else length % 2))


def _of_png(content: bytes) -> int:
    """The fraction of a second of a frame control chunk, in ns; a denominator of 0 stands for 100."""
    over, under = int.from_bytes(content[20:22], "big"), int.from_bytes(content[22:24], "big")
    return over * 1_000_000_000 // (under or 100)


def _of_webp(content: bytes) -> int:
    """The milliseconds of an animation frame, in ns."""
    return int.from_bytes(content[12:15], "little") * 1_000_000
