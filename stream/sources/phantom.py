"""The simulated shoulder as a source: exact truth, exact millimetres."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle, islice

from ...pictures.pixels import Sector
from .contract import Picture, Source

SEED = 90001  # the cine that comes with the package


class PhantomSource(Source):
    """The cine of `seed`, looped for ever; or its first `frames` frames (looped too where it is shorter)."""

    def __init__(
        self, seed: int = SEED, frames: int | None = None, progress: Callable[[int, int], None] | None = None
    ) -> None:
        from .cine import cine_for, open_cine

        self.name = f"phantom {seed}"
        self.cine = open_cine(cine_for(seed, frames, progress))
        self.sector = Sector(*self.cine.sector)
        self.mm_per_pixel = self.cine.mm_per_pixel
        self.fps = self.cine.fps
        self.count = frames
        self.endless = frames is None

        self._decoded: list[Picture] = []

    def prepare(self) -> None:
        """Decode the loop, as many frames as are wanted (70 MB at most): the phantom stands for a scanner."""
        wanted = self.cine.count if self.count is None else min(self.count, self.cine.count)
        self._decoded = [Picture(*pair) for pair in islice(self.cine.frames(), wanted)]

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """See `Source.pictures`."""
        if self._decoded:
            yield from islice(cycle(self._decoded), start, self.count)
            return
        for pixels, truth in islice(self.cine.frames(loop=True), start, self.count):
            yield Picture(pixels, truth)
