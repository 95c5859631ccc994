"""Pictures without any tear, and the table that lists them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ..errors import FileError, InputError, RunError
from .filetypes import STILL_SUFFIXES, files_in, is_still
from .films import read_film
from .labelled import SPLITS, belongs, words_of
from .pixels import Grey, Sector, to_grey
from .stills import read_greys
from .tables import read_rows

EVERY = 10  # frames of a clip between two that are taken, unless a line says otherwise


def read_negatives(root: Path, split: str = "train") -> list[Grey]:
    """Pictures without any tear, as uint8 (rows, columns).

    With `negatives.csv` (file,x,y,width,height,every,split) each file of that `split`, picture or clip, is cut to
    its rectangle, which leaves the scanner's screen out, and of a clip every n-th frame is taken (10 unless given);
    lines without a split are 'train'. Without the table all pictures are taken whole; of a file of several pages
    every tenth, as of a clip. Raises ValueError or OSError, naming file and line, for what cannot be used, and where
    the split is empty.
    """
    table = root / "negatives.csv"
    if not table.is_file():
        files = files_in(root, STILL_SUFFIXES, deep=True)
        found = [picture for path in files for picture in islice(read_greys(path), 0, None, EVERY)]
        if not found:
            raise InputError(
                f"{root} holds neither pictures nor negatives.csv; give a folder of pictures without a tear"
            )
        return found
    lines = _read_table(table)
    wanted = [line for line in lines if belongs(line.split, split)]
    if not wanted:
        known = ", ".join(sorted({line.split for line in lines}))
        raise InputError(f"{table} gives no picture to the split {' or '.join(words_of(split))}; it has {known}")
    return [picture for line in wanted for picture in _cut(root, line)]


class _Line(NamedTuple):
    """One line of negatives.csv; `place` says which, for messages."""

    place: str
    file: str
    sector: Sector
    every: int
    split: str


def _read_table(table: Path) -> list[_Line]:
    """The lines of negatives.csv, with commas or semicolons. Raises ValueError, naming the line."""
    columns, rows = read_rows(table)
    missing = [name for name in ("file", *Sector._fields) if name not in columns]
    if missing or not rows:
        lacks = f"lacks {', '.join(missing)}" if missing else "is all there is"
        raise InputError(
            f"{table}, line 1 {lacks}; it needs the columns file,x,y,width,height (and every,split where wanted), and "
            "below it a line for every picture or clip"
        )
    return [_line(f"{table}, line {number}", row) for number, row in rows]


def _line(place: str, row: dict[str, str | None]) -> _Line:
    """One line's values. Raises ValueError where one cannot be meant so."""
    cells = {name: (value or "").strip() for name, value in row.items() if isinstance(value, str)}
    name, split = cells.get("file", ""), cells.get("split", "").lower() or "train"
    if not name:
        raise InputError(f"{place} names no file; complete it or take it out")
    if split not in [word for words in SPLITS.values() for word in words]:
        raise InputError(f"{place}: '{split}' is no split; write train, val or test")
    try:
        x, y, width, height = (int(cells.get(column, "")) for column in Sector._fields)
        every = int(cells.get("every") or EVERY)
    except ValueError as error:
        raise InputError(
            f"{place}: x,y,width,height are to be whole numbers, the picture's rectangle in {name} in pixels, and "
            "every as well where it is given; complete the line"
        ) from error
    if every < 1:
        raise InputError(f"{place}: every is {every}; give 1 for all frames of a clip, n for every n-th")
    return _Line(place, name, Sector(x, y, width, height), every, split)


def _cut(root: Path, line: _Line) -> Iterator[Grey]:
    """The pictures of one line, cut to its rectangle. Raises ValueError or OSError, naming the line."""
    for frame in _frames(root / line.file, line):
        try:
            line.sector.check(frame.shape)
        except ValueError as error:  # its own words are about an option
            raise InputError(
                f"{line.place}: the rectangle {','.join(map(str, line.sector))} (x,y,width,height) does not fit "
                f"{line.file} of {frame.shape[1]} x {frame.shape[0]} pixels; correct it, at least 8 x 8"
            ) from error
        yield np.array(line.sector.cut(frame), np.uint8)


def _frames(path: Path, line: _Line) -> Iterator[Grey]:
    """Every n-th picture of a file, in grey."""
    try:
        if not path.is_file():
            raise FileError(f"{path} is missing; copy it there, or take its line out of the list")
        if is_still(path):
            yield from islice(read_greys(path), 0, None, line.every)
        else:
            yield from (to_grey(picture.pixels) for picture in read_film(path, every=line.every))
    except InputError as error:
        raise InputError(f"{line.place}: {error}") from error
    except (OSError, RunError) as error:
        raise FileError(f"{line.place}: {error}") from error


def shrunk(pictures: Sequence[Grey], longest: int) -> list[Grey]:
    """The pictures at `longest` pixels or less, to hold many of them."""
    small = []
    for picture in pictures:
        scale = min(1.0, longest / max(picture.shape))
        size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
        small.append(cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False))
    return small
