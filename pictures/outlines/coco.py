"""COCO instances, as CVAT, Roboflow, Label Studio and others export them."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import msgspec

from ...errors import InputError
from .annotated import Annotations, Entry, labels_of
from .decoding import decoded
from .shapes import RUNS, MarkedOutline, no_outline, run_lengths

_LONGEST = 60  # bits of a run length: no picture has one so long
Id = int | str  # which tools write either way, and may mix


class _Category(msgspec.Struct):
    id: Id
    name: str


class _Picture(msgspec.Struct):
    id: Id
    file_name: str
    height: int = 0
    width: int = 0


class _Runs(msgspec.Struct):
    counts: str | list[int]
    size: tuple[int, int]  # (rows, columns)


class _Drawn(msgspec.Struct):
    image_id: Id
    category_id: Id
    segmentation: list[list[float]] | _Runs | None = None


class _Coco(msgspec.Struct):
    images: list[_Picture]
    annotations: list[_Drawn]
    categories: list[_Category]


def read_coco(path: Path, whole: bool = False) -> Annotations:
    """A COCO file, which is of one split only if `whole`. ValueError naming what is wrong."""
    coco = decoded(path, _Coco, "a COCO file with images, annotations and categories")
    names = {str(category.id): category.name for category in coco.categories}
    pictures = {str(picture.id): picture for picture in coco.images}
    if len(pictures) < len(coco.images):
        twice = next(id for id, number in Counter(str(picture.id) for picture in coco.images).items() if number > 1)
        raise InputError(f"{path} lists several pictures with the id {twice}; export it again")
    drawn: dict[str, list[MarkedOutline]] = defaultdict(list)
    for number, one in enumerate(coco.annotations):
        image, category = str(one.image_id), str(one.category_id)
        if image not in pictures:
            raise InputError(f"{path}: annotation {number} belongs to picture {image}, which is not listed")
        if category not in names:
            raise InputError(f"{path}: annotation {number} has category {category}, which is not listed")
        drawn[image] += _outlines(one.segmentation, names[category], pictures[image])
    entries = [Entry(p.file_name, p.height, p.width, tuple(drawn[id])) for id, p in pictures.items()]
    # exports lie in annotations/ beside images/
    root = path.parent.parent if path.parent.name == "annotations" else path.parent
    return Annotations(path, root, entries, labels_of(entries), whole, tuple(names.values()))


def _outlines(drawn: list[list[float]] | _Runs | None, label: str, picture: _Picture) -> list[MarkedOutline]:
    if isinstance(drawn, _Runs):
        rows, columns = drawn.size
        if picture.height and picture.width and (rows, columns) != (picture.height, picture.width):
            return [MarkedOutline(label, flaw="has run lengths of another size than its picture")]
        lengths = _unpacked(drawn.counts) if isinstance(drawn.counts, str) else drawn.counts
        patch = run_lengths(lengths, rows, columns, down=True)
        return [MarkedOutline(label, flaw=RUNS) if patch is None else MarkedOutline(label, patch=patch)]
    boxed = [MarkedOutline(label, flaw=no_outline("bbox"))]
    return [MarkedOutline(label, polygon=tuple(points)) for points in drawn or []] or boxed


def _unpacked(letters: str) -> list[int]:
    """COCO's letters as run lengths: five bits a letter, lowest first; from the third on differences to two before."""
    found: list[int] = []
    value, shift = 0, 0
    for letter in letters.encode("ascii", "replace"):
        bits = letter - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if shift > _LONGEST:
            return []
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        found.append(value + (found[-2] if len(found) > 2 else 0))
        value, shift = 0, 0
    return found
