"""The numbers of a volume, however they are written and in however many files, read as far as they are wanted."""

from __future__ import annotations

import bz2
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .headers import VolumeHeader

_CHUNK = 1 << 16


class _Taken(Protocol):
    def take(self, size: int) -> bytes:
        """The next `size` bytes, or fewer at the end."""
        ...


@dataclass(slots=True)
class _Plain:
    file: BinaryIO

    def take(self, size: int) -> bytes:
        return self.file.read(size)


@dataclass(slots=True)
class _Inflated:
    """A zlib or gzip stream, inflated only as far as it is asked for."""

    file: BinaryIO
    inflate: zlib._Decompress = field(default_factory=lambda: zlib.decompressobj(zlib.MAX_WBITS | 32))

    def take(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0:
            content = self.inflate.unconsumed_tail or self.file.read(_CHUNK)
            part = self.inflate.decompress(content, size)
            if not part and (self.inflate.eof or not content):
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


@dataclass(slots=True)
class _Bzipped:
    file: BinaryIO
    inflate: bz2.BZ2Decompressor = field(default_factory=bz2.BZ2Decompressor)

    def take(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0 and not self.inflate.eof:
            content = self.file.read(_CHUNK) if self.inflate.needs_input else b""
            if self.inflate.needs_input and not content:
                break
            part = self.inflate.decompress(content, size)
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


@dataclass(slots=True)
class _Text:
    """Numbers as words, or each byte as two letters."""

    file: BinaryIO
    dtype: np.dtype[Any]
    hexadecimal: bool
    ready: bytes = b""
    rest: bytes = b""

    def take(self, size: int) -> bytes:
        while len(self.ready) < size:
            content = self.file.read(_CHUNK)
            words = (self.rest + content).replace(b",", b" ")
            if not words.strip():
                break
            cut = len(words) if self.hexadecimal or not content else _last_gap(words)
            words, self.rest = words[:cut], words[cut:]
            self.ready += self._numbers(words)
            if not content:
                break
        taken, self.ready = self.ready[:size], self.ready[size:]
        return taken

    def _numbers(self, words: bytes) -> bytes:
        if self.hexadecimal:
            letters = b"".join(words.split())
            even = len(letters) // 2 * 2
            self.rest = letters[even:] + self.rest
            return bytes.fromhex(letters[:even].decode("ascii"))
        return np.array(words.split(), np.int64).astype(self.dtype).tobytes()


def _last_gap(words: bytes) -> int:
    """Behind the last word that is whole."""
    return max(words.rfind(gap) for gap in (b" ", b"\n", b"\t", b"\r")) + 1


@dataclass(slots=True)
class _Parts:
    """Several files as one; each holds the same number of bytes."""

    header: VolumeHeader
    part: int = 0
    left: int = 0
    taken: _Taken | None = None
    file: BinaryIO | None = None

    def take(self, size: int) -> bytes:
        found: list[bytes] = []
        while size > 0:
            if not self.left and not self._next():
                break
            assert self.taken is not None
            content = self.taken.take(min(size, self.left))
            if not content:
                break
            found.append(content)
            size -= len(content)
            self.left -= len(content)
        return b"".join(found)

    def _next(self) -> bool:
        self.close()
        if self.part == len(self.header.data):
            return False
        header = self.header
        self.file = header.data[self.part].open("rb")
        self.part += 1
        self.left = header.all_bytes // len(header.data)
        self.file.seek(header.offset)
        for _ in range(header.line_skip):
            self.file.readline()
        self.taken = _coded(header, self.file)
        if header.byte_skip < 0:  # 'the pixels are the end of the file'
            self.file.seek(max(0, header.data[self.part - 1].stat().st_size - self.left))
        elif header.encoding == "raw":
            self.file.seek(header.byte_skip, 1)
        else:
            skipped = header.byte_skip
            while skipped and (content := self.taken.take(min(skipped, _CHUNK))):
                skipped -= len(content)
        return True

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


def _coded(header: VolumeHeader, file: BinaryIO) -> _Taken:
    kinds = {"raw": _Plain, "gzip": _Inflated, "bzip2": _Bzipped}
    if header.encoding in kinds:
        return kinds[header.encoding](file)
    return _Text(file, header.dtype, header.encoding == "hex")


def volume_pictures(header: VolumeHeader) -> Iterator[NDArray[np.generic]]:
    """Pictures (rows, columns[, channels]) as they are stored, in order; fewer than said where the file ends early.

    Raises what the encodings raise on damaged bytes.
    """
    parts = _Parts(header)
    try:
        if header.in_order:
            for _ in range(header.depth):
                content = parts.take(header.picture_bytes)
                if len(content) < header.picture_bytes:
                    return
                image = np.frombuffer(content, header.dtype).reshape(header.picture_shape)
                yield image.astype(header.dtype.newbyteorder("="), copy=False)
        else:
            yield from _sorted_out(header, parts)
    finally:
        parts.close()


def _sorted_out(header: VolumeHeader, parts: _Parts) -> Iterator[NDArray[np.generic]]:
    """Of files whose pictures are woven into one another: all of it is unpacked onto the disk first."""
    with tempfile.TemporaryFile() as whole:
        size = 0
        while content := parts.take(_CHUNK):
            size += whole.write(content)
        if size < header.all_bytes:
            raise InputError(f"it holds {size} of {header.all_bytes} bytes")
        whole.flush()
        stored = np.memmap(whole, header.dtype, "r", shape=header.sizes[::-1])
        last = len(header.sizes) - 1
        axes = [last - axis for axis in (header.row_axis, header.column_axis, header.channel_axis) if axis is not None]
        others = [axis for axis in range(last + 1) if axis not in axes]
        woven = stored.transpose(*others, *axes)
        for number in np.ndindex(*woven.shape[: len(others)]):
            yield np.ascontiguousarray(woven[number]).astype(header.dtype.newbyteorder("="), copy=False)
