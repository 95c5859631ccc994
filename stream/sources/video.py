"""A video file: every frame once, in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...pictures.films import film_head, read_film
from .contract import Picture, Shape, Source


class VideoFile(Source):
    """Any video file that FFmpeg reads; grey where the stream is grey, BGR otherwise.

    Raises OSError where there is no such file, ValueError where it is no video.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        head = film_head(path)
        self.fps, self.count, self._shape = head.fps, head.count, head.shape

    def sizes(self) -> Iterator[tuple[str, Shape]]:
        """See `Source.sizes`."""
        if self._shape is not None:
            yield self.name, self._shape

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """See `Source.pictures`."""
        for pixels, media_ns in read_film(self.path, start):
            yield Picture(pixels, media_ns=media_ns)
