"""Outlines drawn in annotation tools (COCO, CVAT, LabelMe) as pictures with masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from ...errors import FileError, InputError
from ..filetypes import as_on_disk, is_hidden
from ..labelled import ALL, PICTURES, belongs, no_picture, read_table, split_of
from ..masks import check_size
from ..pixels import Grey, Mask
from ..stills import read_grey
from .shapes import MarkedOutline, tear_of


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture as the tool knows it."""

    name: str
    rows: int
    columns: int
    outlines: tuple[MarkedOutline, ...]


@dataclass(frozen=True, slots=True)
class Annotations:
    """All of a file or folder. `whole` is set where it holds one split only, as COCO's train/val files do."""

    source: Path  # what messages name
    root: Path  # where the pictures lie, in it or in images/
    entries: Sequence[Entry]
    labels: Sequence[str]  # in use: see `labels_of`
    whole: bool = False
    declared: Sequence[str] = ()  # labels that the file knows, in use or not


def labels_of(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Those in use, by name."""
    return tuple(sorted({outline.label for entry in entries for outline in entry.outlines}))


class Annotated:
    """Samples of one split, the tear being what has any of `labels`; see `datasets.open_data`.

    Raises ValueError or OSError, naming the file.
    """

    def __init__(self, found: Annotations, split: str, labels: Sequence[str] = ()) -> None:
        self.source, self.root, self.split = found.source, found.root, split
        self.labels = _labels(found, labels)
        table = found.root / "split.csv"
        told = dict(read_table(table)) if table.is_file() and not found.whole and split != ALL else None
        self.entries = [
            entry for entry in found.entries if found.whole or split == ALL or belongs(_split(entry.name, told), split)
        ]
        if not self.entries and told and not any(_told(entry.name, told) for entry in found.entries):
            raise InputError(f"{table} names none of the pictures of {found.source}; give the names that it gives")
        if not self.entries:
            raise no_picture(found.root, split)
        refuse_twice(self.files, self.root, self.source)

    @property
    def files(self) -> list[str]:
        """The pictures' names, in order."""
        return [entry.name for entry in self.entries]

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> tuple[Grey, Mask]:
        pixels = read_grey(self.picture(index))
        return pixels, self.truth(index, pixels.shape)

    def picture(self, index: int) -> Path:
        """Where a picture lies. ValueError where it is none, OSError where it is missing."""
        return picture_of(self.root, self.entries[index].name, self.source)

    def truth(self, index: int, shape: tuple[int, ...]) -> Mask:
        """Where the tear is in a picture of `shape` (rows, columns). ValueError where that cannot be."""
        entry = self.entries[index]
        if entry.rows and entry.columns:  # some tools leave them out
            check_size(Path(f"{self.source} ({entry.name})"), (entry.rows, entry.columns), shape)
        try:
            mask = tear_of(entry.outlines, self.labels, *shape)
        except ValueError as error:
            raise InputError(f"{self.source}: an outline of {entry.name} {error}; draw it again") from error
        if not mask.any() and any(one.label in self.labels and one.patch is None for one in entry.outlines):
            raise InputError(
                f"{self.source}: the outlines of {entry.name} cover no pixel of it, so it would pass for a picture "
                "without a tear; draw them again, or take them out"
            )
        return mask


def _labels(found: Annotations, wanted: Sequence[str]) -> tuple[str, ...]:
    """The labels that exist and are meant: all that are asked for, or the only one."""
    if wanted:
        return tuple(_label(found, label) for label in wanted)
    if not found.labels:
        raise InputError(f"{found.source} has not one outline; mark the tears and export it again")
    if len(found.labels) > 1:
        raise InputError(f"{found.source} has several labels; give --label with the tear's: {', '.join(found.labels)}")
    return tuple(found.labels)


def _label(found: Annotations, wanted: str) -> str:
    known = sorted({*found.labels, *found.declared})
    if not known:
        raise InputError(f"{found.source} has not one outline; mark the tears and export it again")
    same = [label for label in known if label.casefold() == wanted.casefold()]
    if wanted not in known and len(same) != 1:
        raise InputError(f"{found.source} has no label {wanted}; it has {', '.join(known)}")
    return wanted if wanted in known else same[0]


def _split(name: str, told: dict[str, str] | None) -> str:
    """What split.csv says of a picture (not listed: no split), or what follows from its name."""
    return split_of(_plain(name).as_posix()) if told is None else _told(name, told)


def _told(name: str, told: dict[str, str]) -> str:
    plain = _plain(name)
    return told.get(plain.as_posix(), told.get(plain.name, ""))


def _plain(name: str) -> Path:
    """A picture's name in its folder; of a path on the annotator's machine only the last part."""
    plain = Path(name.replace("\\", "/"))
    outside = plain.is_absolute() or ".." in plain.parts or ":" in name
    return Path(plain.name) if outside else plain


def picture_of(root: Path, name: str, source: Path) -> Path:
    """Where an annotated picture lies, never outside `root`. ValueError where it is none, OSError where missing."""
    plain = _plain(name)
    if plain.suffix.lower() not in PICTURES:
        raise InputError(f"{source} names {name}, which is no picture; it takes {', '.join(PICTURES)}")
    exact = next((place for place in map(as_on_disk, (root / plain, root / "images" / plain)) if place.is_file()), None)
    if exact is not None and len(plain.parts) > 1:
        return exact
    places = [as_on_disk(root / plain.name), as_on_disk(root / "images" / plain.name)]
    below = sorted((root / "images").glob(f"*/{plain.name}")) if "[" not in plain.name else []
    places += [path for path in below if not is_hidden(path.relative_to(root))]
    found = [place for place in dict.fromkeys(places) if place.is_file()]
    if not found:
        raise FileError(f"{source} names the picture {name}, which is not in {root} or its images/; copy it there")
    # of several, the one whose folders are those of the name, on whatever machine that was written
    alike = [_common_end(place, name) for place in found]
    best = [place for place, number in zip(found, alike, strict=True) if number == max(alike)]
    if len(best) > 1:
        both = " and ".join(place.relative_to(root).as_posix() for place in best[:2])
        raise InputError(f"{source} names the picture {name}, which may be {both}; name the folder too, or rename one")
    return best[0]


def _common_end(path: Path, name: str) -> int:
    """How many parts at the end of a path are those of a name written with / or \\."""
    pairs = zip(reversed(path.parts), reversed(name.replace("\\", "/").split("/")), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def refuse_twice(names: Sequence[str], root: Path, source: Path) -> None:
    """ValueError where two entries mean one picture: one of them, or its outlines, belongs to another."""
    seen: dict[Path, str] = {}
    for name in names:
        try:
            path = picture_of(root, name, source)
        except OSError:  # it is told when it is read
            continue
        if path in seen:
            raise InputError(
                f"{source} has two entries, {seen[path]} and {name}, for the one picture "
                f"{path.relative_to(root).as_posix()}; join them, or export it again"
            )
        seen[path] = name
