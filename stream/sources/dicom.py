"""A DICOM file as a source: a still or a cine, with its sector and millimetres where it says them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ...errors import RunError
from ...pictures.medical.dicom import Dicom
from .contract import Picture, Shape, Source


class DicomFile(Source):
    """Frames are decoded one by one. Raises OSError or ValueError where it is no DICOM picture that can be read."""

    def __init__(self, path: Path) -> None:
        self.dicom = Dicom(path)
        self.name = self.dicom.name
        self.fps = self.dicom.fps
        self.count = self.dicom.count
        self.sector = self.dicom.sector
        self.mm_per_pixel = self.dicom.mm_per_pixel
        self.unrelated = self.count == 1

    def sizes(self) -> Iterator[tuple[str, Shape]]:
        """See `Source.sizes`."""
        yield self.name, self.dicom.shape
        with suppress(RunError):  # which is told when it is read
            yield self.name, next(self.dicom.frames()).shape  # whether it has colours is seen by decoding

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """See `Source.pictures`."""
        for pixels in self.dicom.frames(start):
            yield Picture(pixels)
