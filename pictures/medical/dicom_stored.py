"""Where in a DICOM file its pixels lie, told by the bytes themselves where header and bytes disagree."""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ...errors import FileError, InputError, MissingFile
from ..filetypes import is_bare_dicom, is_dicom
from ..unreadable import cause_of, content_of, film_of, still_of
from .codestreams import begins

_HEADER = 4096  # bytes: longer values are read when they are wanted
_INFLATED = 1 << 30  # bytes a deflated file may become
_UNKNOWN = 0xFFFFFFFF  # a length that is not said: the pixels are compressed
_ITEM, _END = 0xE000, 0xE0DD
_PIXELS = {(0x7FE0, 0x0010): "", (0x7FE0, 0x0008): "float", (0x7FE0, 0x0009): "double"}
_ROWS = b"\x28\0\x10\0US"  # how the element begins that says how many rows there are
_PREAMBLE, _GROUP_LENGTH = 132, 12  # bytes before the file's own header, and before what its length counts

Place = tuple[int, int]  # where in the file, and how many bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """The header and the place of the pixels; `frames` of those that are compressed, one list of pieces each."""

    path: Path
    header: Dataset
    syntax: UID
    open: Callable[[], BinaryIO]
    begin: int
    length: int  # bytes that are there
    frames: list[list[Place]] | None
    real: str = ""  # 'float' or 'double', which are no pictures
    swapped: bool = False  # whether bytes stand in words whose higher one comes first

    def frame(self, file: BinaryIO, number: int) -> bytes:
        """The bytes of a compressed frame."""
        parts = []
        for place, length in (self.frames or [])[number]:
            file.seek(place)
            parts.append(file.read(length))
        return b"".join(parts)


def read_stored(path: Path) -> Stored:
    """Raises OSError or ValueError with one sentence that names the file."""
    cause = cause_of(path)
    if cause is not None:
        raise cause
    if not path.stat().st_size:
        raise InputError(f"{path} is empty, 0 bytes; copy it again from the scanner")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _read(path)
    except (InputError, FileError, MissingFile):
        raise
    except InvalidDicomError as error:
        kind = still_of(path) or film_of(path)
        other = f"it is {kind}" if kind else "", "copy it again, or give it the suffix of what it is"
        what, cure = content_of(path) or other
        raise InputError(f"{path} is not a DICOM file{f' ({what})' if what else ''}; {cure}") from error
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror or error}); check its permissions") from error
    except Exception as error:  # pydicom raises whatever its parsers do on damaged bytes
        raise InputError(f"{path} is damaged ({first_words(error)}); copy it again from the scanner") from error


def _read(path: Path) -> Stored:
    bare = not is_dicom(path)  # without a preamble, as files of old archives are
    if bare and not is_bare_dicom(path):
        raise InvalidDicomError
    said = UID("" if bare else str(read_file_meta_info(path).get("TransferSyntaxUID") or ""))
    content = _inflated(path) if said and said.is_transfer_syntax and said.is_deflated else None

    def opened() -> BinaryIO:
        return path.open("rb") if content is None else io.BytesIO(content)

    with opened() as file:
        source = path if content is None else file
        header = dcmread(source, force=True, stop_before_pixels=True, defer_size=None if content else _HEADER)
    if "Rows" not in header and "Columns" not in header and "PixelData" not in header:
        header.decode()
    header.decode()  # while nobody minds its warnings
    if "Rows" not in header or "Columns" not in header:
        uid = getattr(header, "file_meta", {}).get("MediaStorageSOPClassUID") or header.get("SOPClassUID")
        kind = first_words(UID(uid).name) if uid else "it has no rows and columns"
        if "Image Storage" in kind:
            raise InputError(f"{path} holds no picture ({kind} without rows and columns); copy it again")
        raise InputError(f"{path} holds no picture ({kind}); give a DICOM ultrasound picture or cine")
    said = said or UID(str(getattr(header, "file_meta", {}).get("TransferSyntaxUID") or ""))
    implicit, little = header.original_encoding
    plain = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    found = Stored(path, header, plain if content is not None else said or plain, opened, 0, 0, None)
    with opened() as file:
        return _placed(found, file, named=bool(said))


def _inflated(path: Path) -> bytes:
    """The elements of a deflated file, without its preamble and its file meta information."""
    meta = read_file_meta_info(path)
    behind = _PREAMBLE + _GROUP_LENGTH + int(meta.FileMetaInformationGroupLength)
    packed = path.read_bytes()[behind:]
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflate.decompress(packed, _INFLATED)
    if not inflate.eof and _ROWS not in content:
        raise InputError(f"{path} is cut off before its pixels; copy it again from the scanner")
    if len(content) >= _INFLATED:
        raise InputError(f"{path} unpacks to more than {_INFLATED >> 20} MB; export it uncompressed, or in parts")
    return content


def _placed(found: Stored, file: BinaryIO, named: bool) -> Stored:
    """With the place of its pixels; without any, its length stays 0."""
    dcmread(file, force=True, stop_before_pixels=True, specific_tags=["Rows"])  # which stops in front of them
    byte_order = "big" if found.header.original_encoding[1] is False else "little"

    def number(size: int) -> int:
        return int.from_bytes(file.read(size), byte_order)

    tag = number(2), number(2)
    if tag not in _PIXELS:
        return found
    kind = file.read(2)  # or, where kinds are left out, half of the length
    if kind in (b"OB", b"OW", b"UN", b"OF", b"OD"):
        file.read(2)
        length = number(4)
    else:
        length = int.from_bytes(kind + file.read(2), byte_order)
    begin = file.tell()
    there = file.seek(0, io.SEEK_END) - begin
    swapped = byte_order == "big" and kind == b"OW"
    found = replace(found, begin=begin, length=min(length, there), real=_PIXELS[tag], swapped=swapped)
    if length != _UNKNOWN:
        plain = found.syntax.is_transfer_syntax and found.syntax.is_encapsulated
        return replace(found, syntax=ExplicitVRLittleEndian) if plain else found
    frames = _frames(file, begin)
    form = _beginning(file, frames)
    if form is not None and (not named or not found.syntax.is_encapsulated):
        found = replace(found, syntax=form)
    elif not named:
        raise InputError(f"{found.path} does not say how its pixels are stored; export it again")
    return replace(found, frames=frames)


def _beginning(file: BinaryIO, frames: list[list[Place]]) -> UID | None:
    if not frames:
        return None
    file.seek(frames[0][0][0])
    return begins(file.read(12))


def _frames(file: BinaryIO, begin: int) -> list[list[Place]]:
    """The pieces of each compressed frame. A piece that begins as a picture does begins a frame: tables of offsets
    are often empty, and sometimes wrong.
    """
    file.seek(begin)
    found: list[list[Place]] = []
    first = True
    while len(head := file.read(8)) == 8:
        group, element, length = (int.from_bytes(head[a:b], "little") for a, b in ((0, 2), (2, 4), (4, 8)))
        if (group, element) != (0xFFFE, _ITEM):
            break
        place = file.tell()
        start = file.read(12)
        if first:  # the table
            first = False
        elif length and (begins(start[:length]) is not None or not found or not _goes_on(file, found[-1])):
            found.append([(place, length)])
        elif length:
            found[-1].append((place, length))
        file.seek(place + length)
    return found


def _goes_on(file: BinaryIO, frame: list[Place]) -> bool:
    """Whether a frame may have several pieces: it begins as a picture that is not run-length coded."""
    file.seek(frame[0][0])
    form = begins(file.read(12))
    return form is not None and form.name.startswith("JPEG")


def first_words(error: object) -> str:
    """What an error says, short enough for a sentence and without what cannot be printed."""
    words = "".join(letter if letter.isprintable() else " " for letter in str(error).partition("\n")[0]).strip()
    return words[:120].rstrip(" .:") or type(error).__name__
