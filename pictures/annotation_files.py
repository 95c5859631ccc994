"""The files that annotation tools write, read into outlines: COCO JSON, CVAT for images XML, LabelMe JSON."""

from __future__ import annotations

import base64
import binascii
import io
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar
from xml.etree import ElementTree

import msgspec
import numpy as np
from PIL import Image

from ..errors import UNDECODABLE, InputError
from .annotations import Annotations, Entry, MarkedOutline
from .filetypes import ANNOTATION_SUFFIXES, files_in
from .labelled import ALL, SPLITS, words_of
from .pixels import Mask

BOX = "is a box or a line and not an outline"
RUNS = "has run lengths that do not add up to its size"
T = TypeVar("T")


class _Category(msgspec.Struct):
    id: int
    name: str


class _Picture(msgspec.Struct):
    id: int
    file_name: str
    height: int = 0
    width: int = 0


class _Runs(msgspec.Struct):
    counts: str | list[int]
    size: tuple[int, int]  # (rows, columns)


class _Drawn(msgspec.Struct):
    image_id: int
    category_id: int
    segmentation: list[list[float]] | _Runs | None = None


class _Coco(msgspec.Struct):
    images: list[_Picture]
    annotations: list[_Drawn]
    categories: list[_Category]


class _Shape(msgspec.Struct):
    label: str
    points: list[tuple[float, float]]
    shape_type: str | None = "polygon"
    mask: str | None = None  # a PNG in base64, between the two points


class _LabelMe(msgspec.Struct, rename="camel"):
    shapes: list[_Shape]
    image_path: str
    image_height: int | None = None
    image_width: int | None = None


def read_coco(path: Path, whole: bool = False) -> Annotations:
    """COCO instances, as CVAT, Roboflow, Label Studio and others export them. ValueError naming what is wrong."""
    coco = _decoded(path, _Coco, "a COCO file with images, annotations and categories")
    names = {category.id: category.name for category in coco.categories}
    pictures = {picture.id: picture for picture in coco.images}
    if len(pictures) < len(coco.images):
        twice = next(id for id, number in Counter(picture.id for picture in coco.images).items() if number > 1)
        raise InputError(f"{path} lists several pictures with the id {twice}; export it again")
    drawn: dict[int, list[MarkedOutline]] = defaultdict(list)
    for number, one in enumerate(coco.annotations):
        if one.image_id not in pictures:
            raise InputError(f"{path}: annotation {number} belongs to picture {one.image_id}, which is not listed")
        if one.category_id not in names:
            raise InputError(f"{path}: annotation {number} has category {one.category_id}, which is not listed")
        drawn[one.image_id] += _coco_outlines(one.segmentation, names[one.category_id], pictures[one.image_id])
    entries = [Entry(p.file_name, p.height, p.width, tuple(drawn[p.id])) for p in pictures.values()]
    # exports lie in annotations/ beside images/
    root = path.parent.parent if path.parent.name == "annotations" else path.parent
    return Annotations(path, root, entries, _labels(entries), whole, tuple(names.values()))


def _coco_outlines(drawn: list[list[float]] | _Runs | None, label: str, picture: _Picture) -> list[MarkedOutline]:
    if isinstance(drawn, _Runs):
        rows, columns = drawn.size
        if (rows, columns) != (picture.height, picture.width):
            return [MarkedOutline(label, flaw="has run lengths of another size than its picture")]
        runs = _unpacked(drawn.counts) if isinstance(drawn.counts, str) else drawn.counts
        patch = _patch(runs, columns, rows)  # COCO runs down the columns
        return [MarkedOutline(label, flaw=RUNS) if patch is None else MarkedOutline(label, patch=patch.T)]
    return [MarkedOutline(label, polygon=tuple(points)) for points in drawn or []] or [MarkedOutline(label, flaw=BOX)]


def _unpacked(letters: str) -> list[int]:
    """COCO's letters as run lengths: five bits a letter, lowest first; from the third on differences to two before."""
    runs: list[int] = []
    value, shift = 0, 0
    for letter in letters.encode("ascii", "replace"):
        bits = letter - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value, shift = 0, 0
    return runs


def _patch(runs: Sequence[int], rows: int, columns: int) -> Mask | None:
    """Run lengths along the rows, the first of them outside, as bool (rows, columns); None where they do not fit."""
    if min(runs, default=-1) < 0 or sum(runs) != rows * columns:
        return None
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(rows, columns)


def read_cvat(path: Path) -> Annotations:
    """'CVAT for images 1.1'. ValueError naming what is wrong."""
    try:
        tree = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError as error:
        raise InputError(f"{path} is not XML that can be read ({error}); export it again") from error
    if tree.tag != "annotations" or tree.find("track") is not None or tree.find("image") is None:
        raise InputError(f"{path} is no export of images; choose 'CVAT for images 1.1' or 'COCO 1.0' in CVAT")
    try:
        entries = [
            Entry(
                image.attrib["name"],
                int(image.attrib["height"]),
                int(image.attrib["width"]),
                tuple(_cvat_outline(shape) for shape in image if "label" in shape.attrib and shape.tag != "tag"),
            )
            for image in tree.iter("image")
        ]
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} has an image or a shape without {error}; export it again") from error
    declared = tuple(name.text or "" for name in tree.iterfind("meta//label/name"))
    return Annotations(path, path.parent, entries, _labels(entries), declared=declared)


def _cvat_outline(shape: ElementTree.Element) -> MarkedOutline:
    label, told = shape.attrib["label"], shape.attrib
    if shape.tag == "polygon":
        return MarkedOutline(
            label, polygon=tuple(float(n) for point in told["points"].split(";") for n in point.split(","))
        )
    if shape.tag == "mask":
        width, height = int(told["width"]), int(told["height"])
        patch = _patch([int(run) for run in told["rle"].split(",")], height, width)
        if patch is None:
            return MarkedOutline(label, flaw=RUNS)
        return MarkedOutline(label, patch=patch, corner=(int(told["top"]), int(told["left"])))
    return MarkedOutline(label, flaw=BOX)


def read_labelme(root: Path, files: Sequence[Path]) -> Annotations:
    """LabelMe's files, one a picture; pictures without a file are not labelled and left out."""
    entries = []
    for path in files:
        found = _decoded(path, _LabelMe, "a LabelMe file with shapes and imagePath")
        outlines = tuple(_labelme_outline(shape, path) for shape in found.shapes)
        entries.append(Entry(found.image_path, found.image_height or 0, found.image_width or 0, outlines))
    return Annotations(root, root, entries, _labels(entries))


def _labelme_outline(shape: _Shape, path: Path) -> MarkedOutline:
    if shape.shape_type == "mask" and shape.mask is not None and shape.points:
        try:
            patch = np.asarray(Image.open(io.BytesIO(base64.b64decode(shape.mask)))) > 0
        except (OSError, binascii.Error) as error:
            raise InputError(f"{path} has a mask that cannot be read; draw it again") from error
        (x, y), *_ = shape.points
        return MarkedOutline(shape.label, patch=_flat(patch), corner=(round(y), round(x)))
    if shape.shape_type in ("polygon", None):
        return MarkedOutline(shape.label, polygon=tuple(number for point in shape.points for number in point))
    return MarkedOutline(shape.label, flaw=BOX)


def _flat(patch: Mask) -> Mask:
    return patch.max(axis=2) if patch.ndim == 3 else patch


def _labels(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Those in use, by name."""
    return tuple(sorted({outline.label for entry in entries for outline in entry.outlines}))


def _decoded(path: Path, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except UNDECODABLE as error:
        raise InputError(f"{path} is not {what} ({error}); export it again") from error


def find_annotations(root: Path, split: str) -> list[Annotations]:
    """The annotations that a file or folder holds for a split: none, one, or for `all` one for every split."""
    if root.is_file():
        suffix = root.suffix.lower()
        return [] if suffix not in ANNOTATION_SUFFIXES else [read_cvat(root) if suffix == ".xml" else read_coco(root)]
    own = coco_of_splits(root, split)
    if own:
        return [read_coco(path, whole=True) for path in own]
    common = common_file(root)
    if common is not None:
        return [read_cvat(common) if common.suffix == ".xml" else read_coco(common)]
    drawn = labelme_files(root)
    return [read_labelme(root, drawn)] if drawn else []


def coco_of_splits(root: Path, split: str) -> list[Path]:
    """COCO files that hold one split only: the split's, of which there is at most one, or for `all` each one's."""
    each = SPLITS if split == ALL else (split,)
    found = []
    for words in map(words_of, each):
        places = [
            place
            for word in words
            for place in (root / "annotations" / f"instances_{word}.json", root / word / "_annotations.coco.json")
        ]
        found += [place for place in places if place.is_file()][:1]
    return found


def common_file(root: Path) -> Path | None:
    """The one file of a folder that holds the annotations of all pictures, COCO's or CVAT's."""
    names = ("annotations/instances_default.json", "_annotations.coco.json", "annotations.xml")
    return next((root / name for name in names if (root / name).is_file()), None)


def labelme_files(root: Path) -> list[Path]:
    """Files beside pictures that may be LabelMe's."""
    folders = [folder for folder in (root, root / "images") if folder.is_dir()]
    return sorted(path for folder in folders for path in files_in(folder, (".json",)))


def looks_like_labelme(path: Path) -> bool:
    """Whether a .json file holds shapes, as no other file beside pictures does."""
    return b'"shapes"' in path.read_bytes()
