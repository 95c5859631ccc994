"""The headers of MetaImage (.mha, .mhd) and NRRD (.nrrd, .nhdr) files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import nrrd
import numpy as np

from ...errors import FileError, InputError, MissingFile

VOLUME_SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")

_META_TYPES = {
    "MET_UCHAR": "u1",
    "MET_CHAR": "i1",
    "MET_USHORT": "u2",
    "MET_SHORT": "i2",
    "MET_UINT": "u4",
    "MET_INT": "i4",
}
_NRRD_TYPES = {
    **dict.fromkeys(("uchar", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("ushort", "ushort int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("short", "short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("uint", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("int", "int32", "int32_t"), "i4"),
}
_COLOURS = {"vector": 3, "RGB-color": 3, "RGBA-color": 4, "3-color": 3, "4-color": 4}
_DAMAGED = (nrrd.NRRDError, ValueError, KeyError, IndexError, TypeError, AttributeError, StopIteration, AssertionError)
_LONGEST = 1 << 26  # bytes of a header: 60 000 frames with their fields stay below
_LINE = 1 << 16  # bytes of one line
_DENSEST = 2000  # times its size on the disk is what the best compression makes of a picture
_MOST_FILES = 100_000
_MILLIMETRES = {"m": 1000.0, "cm": 10.0, "mm": 1.0, "": 1.0, "?": 1.0, "um": 1e-3, "µm": 1e-3}
_ENCODINGS = {
    **dict.fromkeys(("raw",), "raw"),
    **dict.fromkeys(("gzip", "gz"), "gzip"),
    **dict.fromkeys(("bzip2", "bz2"), "bzip2"),
    **dict.fromkeys(("ascii", "text", "txt"), "text"),
    "hex": "hex",
}


@dataclass(frozen=True, slots=True)
class VolumeHeader:
    """What is needed to read the pictures, and what is known of them."""

    data: tuple[Path, ...]  # files, each with the same share of the pictures
    offset: int
    encoding: str  # raw, gzip (or zlib), bzip2, text, hex
    line_skip: int
    byte_skip: int  # -1: the pixels are the end of the file
    sizes: tuple[int, ...]  # as stored, fastest first
    column_axis: int
    row_axis: int
    channel_axis: int | None
    dtype: np.dtype[np.generic]
    spacing: tuple[float, float] | None  # mm (column, row) as stored
    orientation: str  # PLUS: MF, UF, MFA, ...; '' where not said
    kind: str  # PLUS: BRIGHTNESS, RGB_COLOR, RF_...; '' where not said
    fps: float | None
    invalid: frozenset[int]

    @property
    def columns(self) -> int:
        return self.sizes[self.column_axis]

    @property
    def rows(self) -> int:
        return self.sizes[self.row_axis]

    @property
    def channels(self) -> int:
        return 1 if self.channel_axis is None else self.sizes[self.channel_axis]

    @property
    def depth(self) -> int:
        """How many pictures."""
        return prod(self.sizes) // (self.rows * self.columns * self.channels)

    @property
    def picture_bytes(self) -> int:
        return self.columns * self.rows * self.channels * self.dtype.itemsize

    @property
    def picture_shape(self) -> tuple[int, ...]:
        """(rows, columns), or (rows, columns, channels)."""
        return (self.rows, self.columns) if self.channel_axis is None else (self.rows, self.columns, self.channels)

    @property
    def all_bytes(self) -> int:
        return prod(self.sizes) * self.dtype.itemsize

    @property
    def in_order(self) -> bool:
        """Whether one picture follows the other, its rows in order and its channels together."""
        axes = (self.column_axis, self.row_axis)
        return axes == (0, 1) if self.channel_axis is None else (self.channel_axis, *axes) == (0, 1, 2)


def read_header(path: Path) -> VolumeHeader:
    """Read it. Raises OSError or ValueError with one sentence that names the file."""
    try:
        if not path.stat().st_size:
            raise InputError("it is empty, 0 bytes")
        return _nrrd(path) if path.suffix.lower() in (".nrrd", ".nhdr") else _meta(path)
    except FileNotFoundError as error:
        raise MissingFile(f"{path} needs {error.filename}, which is not there; copy both") from error
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror or error}); check its permissions") from error
    except _DAMAGED as error:
        told = f"no {error}" if isinstance(error, KeyError) else (str(error).splitlines() or ["its header"])[0]
        raise InputError(f"{path} cannot be read as {path.suffix[1:].upper()} ({told[:160]}); save it again") from error


def _meta(path: Path) -> VolumeHeader:
    fields, names, end = _meta_fields(path)
    if not fields.get("DimSize") or "ElementDataFile" not in fields:
        raise InputError("it has no MetaImage header")
    sizes = [int(word) for word in fields["DimSize"].split()]
    if fields["ElementType"] not in _META_TYPES:
        raise InputError(f"its pixels are {fields['ElementType']}, but 8 or 16 bits a channel are wanted")
    big = _yes(fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False")))
    local = fields["ElementDataFile"].upper() == "LOCAL"
    data = (path,) if local else _files(path, fields["ElementDataFile"].split(), fields["ElementDataFile"], names)
    encoding = "gzip" if _yes(fields.get("CompressedData", "False")) else "raw"
    if not _yes(fields.get("BinaryData", "True")):
        encoding = "text"
    dtype = np.dtype(_META_TYPES[fields["ElementType"]]).newbyteorder(">" if big else "<")
    channels = int(fields.get("ElementNumberOfChannels", "1"))
    skip = 0 if local else int(fields.get("HeaderSize", "0"))
    unit = _MILLIMETRES.get(fields.get("DistanceUnits", "mm").strip("\"' ").lower(), 0.0)
    said = fields.get("ElementSpacing", fields.get("ElementSize", "")).split()
    spacing = [abs(float(word)) * unit for word in said]
    colour = channels > 1
    sizes = [channels, *sizes] if colour else sizes
    stored = _Stored(data, end if local else 0, encoding, 0, skip)
    return _header(stored, sizes, (1, 2) if colour else (0, 1), 0 if colour else None, dtype, spacing, fields)


def _meta_fields(path: Path) -> tuple[dict[str, str], list[str], int]:
    """The `key = value` lines up to ElementDataFile, the names of files behind it if it says LIST, and the end."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while line := file.readline(_LINE):
            key, equals, value = line.decode("utf-8", "replace").partition("=")
            if not equals or file.tell() > _LONGEST:
                break
            fields[key.strip()] = value.strip()
            if key.strip() == "ElementDataFile":
                break
        end = file.tell()
        listed = fields.get("ElementDataFile", "").upper().startswith("LIST")
        names = file.read(_LONGEST).decode("utf-8", "replace").splitlines() if listed else []
        return fields, names, end


def _nrrd(path: Path) -> VolumeHeader:
    lines, end = _nrrd_lines(path)
    names: list[str] = []
    for number, line in enumerate(lines):
        if re.match(r"data ?file:\s*LIST", line):
            lines, names = lines[: number + 1], lines[number + 1 :]
            break
    found = nrrd.read_header(_once(lines))
    fields = {str(key): str(value) for key, value in found.items()}
    encoding = _ENCODINGS.get(fields["encoding"].lower())
    if encoding is None:
        raise InputError(f"its encoding is {fields['encoding']}, but raw, gzip, bzip2, text or hex is wanted")
    skips = [int(fields.get(key, fields.get(key.replace(" ", ""), 0))) for key in ("line skip", "byte skip")]
    said = fields.get("data file", fields.get("datafile"))
    data = (path,) if said is None else _files(path, said.split(), said, names)
    sizes = [int(size) for size in found["sizes"]]
    named = fields["type"].lower().replace("unsigned ", "u").removeprefix("signed ")
    if named not in _NRRD_TYPES:
        raise InputError(f"its pixels are {fields['type']}, but 8 or 16 bits a channel are wanted")
    dtype = np.dtype(_NRRD_TYPES[named]).newbyteorder(">" if fields.get("endian") == "big" else "<")
    kinds = [str(kind) for kind in found.get("kinds", [])]
    colour = next((n for n, kind in enumerate(kinds) if kind in _COLOURS and sizes[n] in (3, 4)), None)
    colour = colour if len(sizes) > 2 else None
    steps = _nrrd_spacing(found)
    lists = {n for n, kind in enumerate(kinds) if kind in ("list", "time")}
    axes = [n for n in range(len(sizes)) if n != colour and n not in lists]
    if len(axes) < 2:
        axes = [n for n in range(len(sizes)) if n != colour]
    if len(axes) < 2:
        raise InputError(f"its sizes are {sizes}, but pictures in a row are wanted")
    spacing = [steps[n] for n in axes[:2]] if len(steps) == len(sizes) else []
    fields = {key.title().replace(" ", "") if key.startswith("ultrasound") else key: v for key, v in fields.items()}
    stored = _Stored(data, 0 if said else end, encoding, *skips)
    header = _header(stored, sizes, (axes[0], axes[1]), colour, dtype, spacing, fields)
    return replace(header, fps=header.fps or _listed_fps(fields, lists))


def _nrrd_lines(path: Path) -> tuple[list[str], int]:
    """The lines of a header, without its end, and where the pixels begin."""
    lines: list[str] = []
    with path.open("rb") as file:
        while (line := file.readline(_LINE * 16)) and line.strip() and file.tell() < _LONGEST:
            lines.append(line.decode("utf-8", "replace").rstrip())
        return lines, file.tell()


def _once(lines: list[str]) -> list[str]:
    """Each field the first time it is said: 3D Slicer 4.8 wrote 'space' twice."""
    kept: dict[str, str] = {}
    for line in lines:
        kept.setdefault(line if line.startswith("#") else re.split(":=?", line, maxsplit=1)[0].strip(), line)
    return list(kept.values())


def _listed_fps(fields: Mapping[str, str], lists: set[int]) -> float | None:
    """From the values of the axis that counts the pictures, in seconds."""
    for axis in lists:
        steps = np.diff([float(word) for word in fields.get(f"axis {axis} index values", "").split()])
        middle = float(np.median(steps)) if steps.size else 0.0
        if middle > 0:
            return 1.0 / middle
    return None


def _nrrd_spacing(found: Mapping[str, Any]) -> list[float]:
    """mm per axis; 0 where an axis has none."""
    if "space directions" in found:
        rows = [row if row is not None else [0.0] for row in found["space directions"]]
        units = list(found.get("space units", [])) or ["mm"]
        unit = _MILLIMETRES.get(str(units[0]).lower(), 0.0)
        return [float(np.nan_to_num(np.sqrt(np.square(np.asarray(row, float)).sum()))) * unit for row in rows]
    steps = [abs(float(step)) for step in np.nan_to_num(np.asarray(found.get("spacings", []), float))]
    units = [str(word).lower() for word in found.get("units", [])] or ["mm"] * len(steps)
    return [step * _MILLIMETRES.get(unit, 0.0) for step, unit in zip(steps, units, strict=False)]


class _Stored(NamedTuple):
    data: tuple[Path, ...]
    offset: int
    encoding: str
    line_skip: int
    byte_skip: int


def _header(
    stored: _Stored,
    sizes: list[int],
    axes: tuple[int, int],
    channel: int | None,
    dtype: np.dtype[np.generic],
    spacing: list[float],
    fields: Mapping[str, str],
) -> VolumeHeader:
    channels = 1 if channel is None else sizes[channel]
    if len(sizes) < 2 or min(sizes) < 1 or channels not in (1, 3, 4):
        raise InputError(f"its sizes are {sizes} with {channels} channels, but pictures in a row are wanted")
    there = sum(part.stat().st_size for part in stored.data)
    if prod(sizes) * dtype.itemsize > _DENSEST * there:
        size = f"{sizes[axes[0]]} x {sizes[axes[1]]}"
        raise InputError(f"its pictures are said to be {size}, of which {there} bytes can hold but a part")
    # 1 x 1 mm is what is written by those who do not know: no ultrasound picture has such pixels
    known = len(spacing) > 1 and min(spacing[:2]) > 0 and max(spacing) < np.inf and tuple(spacing[:2]) != (1.0, 1.0)
    invalid = {
        int(match[1])
        for key, value in fields.items()
        if (match := re.fullmatch(r"Seq_Frame(\d+)_(?:Image)?Status", key)) and value.upper() == "INVALID"
    }
    return VolumeHeader(
        *stored,
        sizes=tuple(sizes),
        column_axis=axes[0],
        row_axis=axes[1],
        channel_axis=channel,
        dtype=dtype,
        spacing=(spacing[0], spacing[1]) if known else None,
        orientation=fields.get("UltrasoundImageOrientation", ""),
        kind=fields.get("UltrasoundImageType", ""),
        fps=_fps(fields),
        invalid=frozenset(invalid),
    )


def _fps(fields: Mapping[str, str]) -> float | None:
    """From the median time between two frames' timestamps (s)."""
    named = {key: value for key, value in fields.items() if re.fullmatch(r"Seq_Frame\d+_Timestamp", key)}
    steps = np.diff([float(named[key]) for key in sorted(named)])
    middle = float(np.median(steps)) if steps.size else 0.0
    return 1.0 / middle if middle > 0 else None


def _files(path: Path, words: list[str], whole: str, names: list[str]) -> tuple[Path, ...]:
    """The files that are named one by one behind LIST, by a pattern with numbers from, to and step, or as one."""
    if words[0].upper() == "LIST":
        found = [name.strip() for name in names if name.strip()]
    elif "%" in words[0] and len(words) > 2:
        first, last, step = int(words[1]), int(words[2]), int(words[3]) if len(words) > 3 else 1
        found = [words[0] % number for number in range(first, last + 1, step)][:_MOST_FILES]
    else:
        found = [whole]
    if not found:
        raise InputError("it names no files of pixels")
    return tuple(_beside(path, name) for name in found)


def _beside(path: Path, stored: str) -> Path:
    """The file of pixels that a header names: in the header's own folder and nowhere else."""
    data = path.parent / stored
    if Path(stored).is_absolute() or ".." in Path(stored).parts:
        raise InputError(f"its pixels are said to lie in {stored}, outside its folder")
    if not data.is_file():
        raise FileNotFoundError(2, "no such file", str(data))
    return data


def _yes(word: str) -> bool:
    return word.strip().lower() in ("true", "1", "yes")
