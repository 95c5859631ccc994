"""Every frame of a clip into a table: state, outlined area and confidence. Prints where the table is.

    python examples/clip_to_table.py [CLIP [TABLE.csv]]

CLIP is whatever `smartca run` takes, by default the simulated shoulder; TABLE is outlines.csv by default. The area is
in square millimetres, too, where the clip tells its scale (DICOM, MetaImage and the simulated shoulder do).
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import smartca
from smartca.engine import NoPicture
from smartca.pictures.sector import SectorFinder
from smartca.stream.frame import State


def main(clip: str = "phantom:frames=20", table: str = "outlines.csv") -> None:
    """Write `table`, a row a frame."""
    with (
        smartca.open_segmenter() as segment,
        smartca.open_source(clip) as source,
        Path(table).open("w", newline="", encoding="utf-8") as file,
    ):
        finder = SectorFinder(source.sector, source.unrelated)  # where the ultrasound picture is on the screen
        rows = csv.writer(file)
        rows.writerow(["frame", "state", "area_px", "area_mm2", "confidence"])
        for number, picture in enumerate(source.pictures()):
            try:
                found = segment(picture.pixels, finder.sector(picture.pixels))
            except NoPicture as error:
                rows.writerow([number, f"no result: {error}", "", "", ""])
                continue
            state = State.of(found.mask, found.unsure).value
            scale = source.mm_per_pixel
            area_mm2 = round(found.area * scale[0] * scale[1], 2) if scale else ""
            rows.writerow([number, state, found.area, area_mm2, round(found.confidence, 4)])
    print(f"{table}: every frame of {source.name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
