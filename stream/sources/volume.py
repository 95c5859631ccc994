"""MetaImage and NRRD as sources: stacks of pictures and the sequences that PLUS and 3D Slicer record."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, RunError
from ...pictures.depth import Depth
from ...pictures.medical.headers import VolumeHeader, read_header
from .contract import Picture, Shape, Source

_CHUNK = 1 << 16
_LARGEST = 1 << 28  # bytes a picture
_ORIENTATIONS = {x + y for x, y in ("MF", "MN", "UF", "UN", "FM", "FU", "NM", "NU")}


class Volume(Source):
    """The last axes of the file are its pictures in order; they are read and inflated one by one.

    PLUS says which way its pictures look: they are turned to MF, its own standard (columns towards the marked
    side of the probe, rows away from it). Frames that PLUS calls invalid are left out. Raises OSError or
    ValueError where it is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.header = read_header(path)
        header = self.header
        if header.picture_bytes > _LARGEST or min(header.columns, header.rows, header.depth) < 1:
            raise InputError(f"{path} says its pictures are {header.columns} x {header.rows}; copy it again")
        if header.kind not in ("", "BRIGHTNESS", "RGB_COLOR"):
            raise InputError(f"{path} holds {header.kind} data, no pictures; convert it to BRIGHTNESS with PLUS first")
        self._wanted = [n for n in range(header.depth) if n not in header.invalid]
        if not self._wanted:
            raise InputError(f"{path} has no valid picture; record it again")
        self.count = len(self._wanted)
        self.fps = header.fps
        self._letters = header.orientation[:2] if header.orientation[:2] in _ORIENTATIONS else "MF"
        turned = self._letters[0] in "FN"
        if header.spacing is not None:
            column, row = header.spacing
            self.mm_per_pixel = (column, row) if turned else (row, column)
        self.unrelated = self.count == 1

    def sizes(self) -> Iterator[tuple[str, Shape]]:
        """See `Source.sizes`."""
        sides = self.header.rows, self.header.columns
        yield self.name, sides if self.header.channels == 1 else (*sides, 3)

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """See `Source.pictures`."""
        depth, wanted, read = Depth(), set(self._wanted[start:]), min(start, self.count or 0)
        problem = ""
        try:
            for number, content in enumerate(_pictures(self.header)):
                if number in wanted:
                    yield Picture(self._upright(depth(self._array(content))))
                    read += 1
        except (OSError, zlib.error) as error:
            problem = str(error)
        if problem or read < (self.count or 0):
            raise RunError(
                f"{self.name} is damaged or cut off ({problem or 'it ends early'}): "
                f"only {read} of {self.count} pictures could be read; copy it again"
            )

    def _array(self, content: bytes) -> NDArray[np.generic]:
        header = self.header
        image = np.frombuffer(content, header.dtype).astype(header.dtype.newbyteorder("="), copy=False)
        if header.channels == 1:
            return image.reshape(header.rows, header.columns)
        return image.reshape(header.rows, header.columns, header.channels)[..., 2::-1]  # RGB -> BGR

    def _upright(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        x, y = self._letters
        if x in "FN":
            image, x, y = image.swapaxes(0, 1), y, x
        image = image[:, ::-1] if x == "U" else image
        return np.ascontiguousarray(image[::-1] if y == "N" else image)


def _pictures(header: VolumeHeader) -> Iterator[bytes]:
    """The bytes of one picture after the other; fewer than there should be where the file ends early."""
    with header.data.open("rb") as file:
        file.seek(header.offset)
        take = _Inflated(file).take if header.compressed else file.read
        for _ in range(header.depth):
            content = take(header.picture_bytes)
            if len(content) < header.picture_bytes:
                return
            yield content


@dataclass(slots=True)
class _Inflated:
    """A zlib or gzip stream, inflated only as far as it is asked for."""

    file: BinaryIO
    inflate: zlib._Decompress = field(default_factory=lambda: zlib.decompressobj(zlib.MAX_WBITS | 32))

    def take(self, size: int) -> bytes:
        """The next `size` bytes, or fewer at the end."""
        parts: list[bytes] = []
        while size > 0:
            content = self.inflate.unconsumed_tail or self.file.read(_CHUNK)
            part = self.inflate.decompress(content, size)
            if not part and (self.inflate.eof or not content):
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)
