"""A source of your own: pictures from wherever you have them. Prints a line a frame.

    python examples/own_source.py

Here they stand in one numpy array (frames, rows, columns). `register` makes the source known in this process;
docs/python.md shows how a package makes it known to every `smartca` command, as `smartca run stack:cine.npy`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import smartca
from smartca.plugins import register


class Stack(smartca.Source):
    """The pictures of an .npy file, uint8 (frames, rows, columns)."""

    def __init__(self, path: str) -> None:
        self.name = Path(path).name
        self.frames = np.load(path)
        self.count = len(self.frames)
        self.fps = 30.0

    def pictures(self, start: int = 0) -> Iterator[smartca.Picture]:
        """See `Source.pictures`."""
        for pixels in self.frames[start:]:
            yield smartca.Picture(pixels)


def main() -> None:
    """Make such a file of the simulated shoulder, open it by name and outline it."""
    register("smartca.sources", "stack", Stack)
    with TemporaryDirectory() as folder:
        with smartca.open_source("phantom:frames=5") as phantom:
            np.save(Path(folder) / "cine.npy", np.stack([picture.pixels for picture in phantom.pictures()]))
        with smartca.open_source(f"stack:{folder}/cine.npy") as source, smartca.open_segmenter() as segment:
            for number, picture in enumerate(source.pictures()):
                print(f"{source.name} {number}: {segment(picture.pixels).area} pixels outlined")


if __name__ == "__main__":
    main()
