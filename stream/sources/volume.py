"""MetaImage and NRRD as sources: stacks of pictures and the sequences that PLUS and 3D Slicer record."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, RunError
from ...pictures.depth import Depth
from ...pictures.medical.headers import read_header
from ...pictures.medical.volume_bytes import volume_pictures
from .contract import Picture, Shape, Source

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
        depth, wanted, read = Depth(signed=True), set(self._wanted[start:]), min(start, self.count or 0)
        problem = ""
        try:
            for number, image in enumerate(volume_pictures(self.header)):
                if number in wanted:
                    yield Picture(self._upright(depth(image if image.ndim == 2 else image[..., 2::-1])))  # BGR
                    read += 1
        except (OSError, EOFError, ValueError, zlib.error) as error:
            problem = (str(error).splitlines() or [""])[0][:120]
        if problem or read < (self.count or 0):
            raise RunError(
                f"{self.name} is damaged or cut off ({problem or 'it ends early'}): "
                f"only {read} of {self.count} pictures could be read; copy it again"
            )

    def _upright(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        x, y = self._letters
        if x in "FN":
            image, x, y = image.swapaxes(0, 1), y, x
        image = image[:, ::-1] if x == "U" else image
        return np.ascontiguousarray(image[::-1] if y == "N" else image)
