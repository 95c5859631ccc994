"""Is the ultrasound picture found in the scanner's screen, all of it and nothing else?

    python benchmarks/sector.py ../shared/data [--held-back | --all] [--json FILE] [--frames 240] [--each]

The true pictures were marked by hand (`benchmarks/sector_marks.json`: polygons, x and y in pixels). Half of the marks
are held back: other exams of a scanner, or scanners of which nothing else is marked; the finder was made without them.
Of a still the same picture is given again and again, as a frozen scanner sends it. What a file says of its sector is
not listened to. By scanner, at the last frame: IoU of the boxes, what of the true picture's pixels is made black at
most, what of the kept box lies outside of the true picture's box, frames until found, and milliseconds: the median of
the first ten frames, and the mean from frame 61 on, all looks included.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice, repeat
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from smartca.pictures.pixels import Sector, to_grey
from smartca.pictures.screen.found import blank
from smartca.pictures.sector import SectorFinder
from smartca.stream.sources import open_source

MARKS = Path(__file__).parent / "sector_marks.json"
GOOD = 0.85  # IoU from which a picture counts as found
FOUND = 61  # frames after which a sector is no longer searched for
EVERY = 5  # frames; what is blanked is measured on some


@dataclass
class Seen:
    """What was measured on one marked file."""

    file: str
    scanner: str
    held_back: bool
    iou: float
    blanked: float  # of the true picture's pixels
    chrome: float  # of the kept box
    until: int  # frames until the IoU stayed good; -1: never
    searching_ms: float
    found_ms: float
    box: tuple[int, int, int, int]


def main() -> None:
    """Print the table; write JSON where asked to."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("data", type=Path)
    asked.add_argument("--held-back", action="store_true", help="only the marks that were held back")
    asked.add_argument("--all", action="store_true")
    asked.add_argument("--json", type=Path)
    asked.add_argument("--frames", type=int, default=240)
    asked.add_argument("--each", action="store_true", help="a line for each file")
    given = asked.parse_args()
    marks = [mark for mark in json.loads(MARKS.read_text()) if given.all or mark["held_back"] == given.held_back]
    marks = [mark for mark in marks if (given.data / mark["file"]).exists()]
    seen = [measure(given.data / mark["file"], mark, given.frames) for mark in track(marks, transient=True)]
    report = {"files": len(seen), **totals(seen), "scanners": by_scanner(seen)}
    show(report, seen if given.each else [])
    if given.json:
        given.json.write_text(json.dumps({**report, "each": [asdict(one) for one in seen]}, indent=1) + "\n")


def measure(path: Path, mark: dict[str, Any], frames: int) -> Seen:
    """Give the finder the file's frames, and hold its last answer against the mark."""
    finder, took, ious = SectorFinder(None), [], []
    true, sector, blanked = None, Sector(0, 0, 8, 8), 0.0
    for pixels in islice(pictures(path), frames):
        true = filled(mark["parts"], pixels.shape[:2]) if true is None else true
        begun = time.perf_counter()
        sector, shown = answer(finder, pixels)
        took.append((time.perf_counter() - begun) * 1000)
        ious.append(overlap(sector, box_of(true)))
        if len(ious) % EVERY == 0:
            blanked = max(blanked, share_lost(pixels, shown, true))
    assert true is not None
    until = next((n for n in range(len(ious)) if min(ious[n:]) >= GOOD), -1)
    inside = 1 - common(sector, box_of(true)) / (sector.width * sector.height)
    cuts = took[:10], took[FOUND:] or took[-1:]
    return Seen(
        mark["file"],
        mark["scanner"],
        mark["held_back"],
        ious[-1],
        blanked,
        inside,
        until,
        median(cuts[0]),
        float(np.mean(cuts[1])),
        (sector.x, sector.y, sector.width, sector.height),
    )


def answer(finder: SectorFinder, pixels: NDArray[np.uint8]) -> tuple[Sector, NDArray[np.uint8]]:
    """The sector, and what of the picture is sent."""
    found = finder.look(pixels)
    return found.sector, blank(pixels, found)


def pictures(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The frames of a file; a single one again and again."""
    with open_source(str(path)) as source:
        first, second = (*islice((picture.pixels for picture in source.pictures()), 2), None)[:2]
    if first is None or second is None:
        yield from repeat(np.asarray(first), 160)
        return
    with open_source(str(path)) as source:
        yield from (picture.pixels for picture in source.pictures())


def filled(parts: list[list[list[int]]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The true picture as a mask (rows, columns)."""
    mask = np.zeros(shape, np.uint8)
    for part in parts:
        cv2.fillPoly(mask, [np.array(part, np.int32)], 1)
    for part in parts:  # fillPoly takes the far border along, a box's right and bottom are the first beyond it
        points = np.array(part)
        mask[:, points[:, 0].max() :] *= points[:, 0].max() < max(point[0] for other in parts for point in other)
        mask[points[:, 1].max() :] *= points[:, 1].max() < max(point[1] for other in parts for point in other)
    return mask.astype(np.bool_)


def box_of(mask: NDArray[np.bool_]) -> Sector:
    """The bounding box of a mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Sector(int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)


def share_lost(before: NDArray[np.uint8], after: NDArray[np.uint8], true: NDArray[np.bool_]) -> float:
    """Of the true picture's pixels that are not black: those made black."""
    seen, left = to_grey(before) > 0, to_grey(after) > 0
    return float((true & seen & ~left).sum() / max(1, (true & seen).sum()))


def common(one: Sector, other: Sector) -> int:
    """Pixels that both boxes hold."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return max(0, width) * max(0, height)


def overlap(one: Sector, other: Sector) -> float:
    """Intersection over union of two boxes."""
    both = common(one, other)
    return both / (one.width * one.height + other.width * other.height - both)


def totals(seen: list[Seen]) -> dict[str, Any]:
    """Over files."""
    return {
        "iou_median": median(one.iou for one in seen),
        "iou_worst": min(one.iou for one in seen),
        "blanked_most": max(one.blanked for one in seen),
        "chrome_most": max(one.chrome for one in seen),
        "until_most": max(one.until if one.until >= 0 else 999 for one in seen),
        "searching_ms": median(one.searching_ms for one in seen),
        "found_ms": median(one.found_ms for one in seen),
        "found_ms_most": max(one.found_ms for one in seen),
    }


def by_scanner(seen: list[Seen]) -> dict[str, Any]:
    """The same for each scanner."""
    groups = defaultdict(list)
    for one in seen:
        groups[one.scanner].append(one)
    return {scanner: {"files": len(group), **totals(group)} for scanner, group in sorted(groups.items())}


def show(report: dict[str, Any], each: list[Seen]) -> None:
    """As a table."""
    table = Table("scanner", "files", "IoU", "worst", "blanked", "chrome", "until", "search ms", "found ms")
    rows = [*report["scanners"].items(), ("all", report)]
    rows += [(one.file, {"files": 1, **totals([one])}) for one in each]
    for name, row in rows:
        shares = (f"{100 * row[key]:.2f} %" for key in ("blanked_most", "chrome_most"))
        ious = (f"{row[key]:.3f}" for key in ("iou_median", "iou_worst"))
        times = f"{row['searching_ms']:.1f}", f"{row['found_ms']:.2f}"
        table.add_row(name[-46:], str(row["files"]), *ious, *shares, str(row["until_most"]), *times)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
