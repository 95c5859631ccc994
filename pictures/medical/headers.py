"""The headers of MetaImage (.mha, .mhd) and NRRD (.nrrd, .nhdr) files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class VolumeHeader:
    """What is needed to read the pictures, and what is known of them."""

    data: Path
    offset: int
    compressed: bool
    columns: int
    rows: int
    depth: int  # pictures
    channels: int
    dtype: np.dtype[np.generic]
    spacing: tuple[float, float] | None  # mm (column, row) as stored
    orientation: str  # PLUS: MF, UF, MFA, ...; '' where not said
    kind: str  # PLUS: BRIGHTNESS, RGB_COLOR, RF_...; '' where not said
    fps: float | None
    invalid: frozenset[int]

    @property
    def picture_bytes(self) -> int:
        return self.columns * self.rows * self.channels * self.dtype.itemsize


def read_header(path: Path) -> VolumeHeader:
    """Read it. Raises OSError or ValueError with one sentence that names the file."""
    try:
        return _nrrd(path) if path.suffix.lower() in (".nrrd", ".nhdr") else _meta(path)
    except FileNotFoundError as error:
        raise MissingFile(f"{path} needs {error.filename}, which is not there; copy both") from error
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror or error}); check its permissions") from error
    except _DAMAGED as error:
        told = f"no {error}" if isinstance(error, KeyError) else (str(error).splitlines() or ["its header"])[0]
        raise InputError(f"{path} cannot be read as {path.suffix[1:].upper()} ({told[:160]}); save it again") from error


def _meta(path: Path) -> VolumeHeader:
    fields, end = _meta_fields(path)
    if not fields.get("DimSize") or "ElementDataFile" not in fields:
        raise InputError("it has no MetaImage header")
    sizes = [int(word) for word in fields["DimSize"].split()]
    stored = fields["ElementDataFile"]
    if stored.split()[0].upper() == "LIST" or "%" in stored:
        raise InputError("its pictures lie in a list of files, which is not supported")
    if fields["ElementType"] not in _META_TYPES:
        raise InputError(f"its pixels are {fields['ElementType']}, but 8 or 16 bits a channel are wanted")
    if not _yes(fields.get("BinaryData", "True")):
        raise InputError("its pixels are stored as text")
    big = _yes(fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False")))
    local = stored.upper() == "LOCAL"
    data = path if local else _beside(path, stored)
    compressed = _yes(fields.get("CompressedData", "False"))
    dtype = np.dtype(_META_TYPES[fields["ElementType"]]).newbyteorder(">" if big else "<")
    channels = int(fields.get("ElementNumberOfChannels", "1"))
    offset = end if local else int(fields.get("HeaderSize", "0"))
    if offset < 0:  # 'the pixels are the end of the file'
        offset = data.stat().st_size - int(np.prod(sizes)) * channels * dtype.itemsize
    spacing = [float(word) for word in fields.get("ElementSpacing", fields.get("ElementSize", "")).split()]
    return _header(data, offset, compressed, sizes, channels, dtype, spacing, fields)


def _meta_fields(path: Path) -> tuple[dict[str, str], int]:
    """The `key = value` lines up to ElementDataFile, and where they end."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while line := file.readline(_LINE):
            key, equals, value = line.decode("utf-8", "replace").partition("=")
            if not equals or file.tell() > _LONGEST:
                break
            fields[key.strip()] = value.strip()
            if key.strip() == "ElementDataFile":
                break
        return fields, file.tell()


def _nrrd(path: Path) -> VolumeHeader:
    with path.open("rb") as file:
        found = nrrd.read_header(file)
        end = file.tell()
    fields = {str(key): str(value) for key, value in found.items()}
    encoding = fields["encoding"].lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise InputError(f"its encoding is {encoding}, but raw or gzip is wanted")
    stored = fields.get("data file", fields.get("datafile"))
    if any(int(fields.get(key, 0)) for key in ("line skip", "lineskip", "byte skip", "byteskip")):
        raise InputError("it skips lines or bytes, which is not supported")
    sizes = [int(size) for size in found["sizes"]]
    kinds = fields.get("kinds", "").strip("[]").replace("'", "").replace(",", " ").split()
    channels, spacing = 1, _nrrd_spacing(found)
    if len(sizes) > 2 and kinds and kinds[0] in _COLOURS:
        channels, sizes, spacing = sizes[0], sizes[1:], spacing[1:]
    named = fields["type"].lower().replace("unsigned ", "u").removeprefix("signed ")
    if named not in _NRRD_TYPES:
        raise InputError(f"its pixels are {fields['type']}, but 8 or 16 bits a channel are wanted")
    dtype = np.dtype(_NRRD_TYPES[named]).newbyteorder(">" if fields.get("endian") == "big" else "<")
    fields = {key.title().replace(" ", "") if key.startswith("ultrasound") else key: v for key, v in fields.items()}
    data = _beside(path, stored) if stored else path
    return _header(data, 0 if stored else end, encoding != "raw", sizes, channels, dtype, spacing, fields)


def _nrrd_spacing(found: Mapping[str, object]) -> list[float]:
    """Per axis; 0 where an axis has none."""
    if "space directions" in found:
        rows = np.atleast_2d(np.asarray(found["space directions"], float))
        return [float(length) for length in np.nan_to_num(np.sqrt((rows**2).sum(axis=1)))]
    return [float(step) for step in np.nan_to_num(np.asarray(found.get("spacings", []), float))]


def _header(
    data: Path,
    offset: int,
    compressed: bool,
    sizes: list[int],
    channels: int,
    dtype: np.dtype[np.generic],
    spacing: list[float],
    fields: Mapping[str, str],
) -> VolumeHeader:
    if len(sizes) < 2 or min(sizes) < 1 or channels not in (1, 3, 4):
        raise InputError(f"its sizes are {sizes} with {channels} channels, but pictures in a row are wanted")
    # 1 x 1 mm is what is written by those who do not know: no ultrasound picture has such pixels
    known = len(spacing) > 1 and min(spacing[:2]) > 0 and tuple(spacing[:2]) != (1.0, 1.0)
    invalid = {
        int(match[1])
        for key, value in fields.items()
        if (match := re.fullmatch(r"Seq_Frame(\d+)_(?:Image)?Status", key)) and value.upper() == "INVALID"
    }
    return VolumeHeader(
        data=data,
        offset=offset,
        compressed=compressed,
        columns=sizes[0],
        rows=sizes[1],
        depth=int(np.prod(sizes[2:], dtype=np.int64)),
        channels=channels,
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
