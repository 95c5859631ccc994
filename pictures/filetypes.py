"""Which files are what, told without loading what reads them, and which of a folder's files are nobody's own."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from pathlib import Path, PurePath

STILL_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".gif", ".webp")
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
ANNOTATION_SUFFIXES = (".json", ".xml")
UNFINISHED = ".unfinished"  # stands in a folder of phantoms while it is written; it says what was asked for
_FILM_OF_JPEGS = (".mjpeg", ".mjpg", ".mjp")  # which begins as a JPEG does
# what operating systems and file servers lay beside people's files; names that begin with a dot are theirs as well
_SYSTEM = {"thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information"}


def is_dicom(path: Path) -> bool:
    """Whether the file itself says so: scanners often leave the suffix out."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def is_bare_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM does behind its preamble: with an element of group 2 or 8, as old archives write.

    Of a file that is nothing else by its name only: eight bytes do not say much.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError:
        return False
    group, big = int.from_bytes(head[:2], "little"), int.from_bytes(head[:2], "big")
    spelled = head[4:6].isalpha() and head[4:6].isupper()
    short = int.from_bytes(head[4:8], "little") < 1 << 16
    return len(head) == 8 and ((group in (2, 8) and (spelled or short)) or (big == 8 and spelled))


def is_still(path: Path) -> bool:
    """Whether a file that is given by itself is a still, by its name or, under any other, by its first bytes.

    A GIF is taken for the clip that most of them are.
    """
    suffix = path.suffix.lower()
    if suffix in STILL_SUFFIXES:
        return suffix != ".gif"
    if suffix in _FILM_OF_JPEGS or suffix in DICOM_SUFFIXES:
        return False
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return False
    begins = head.startswith((b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*")) or head[8:12] == b"WEBP"
    return begins and head[128:] != b"DICM"  # before which a TIFF's beginning may stand


def is_hidden(name: PurePath) -> bool:
    """Whether a name inside a folder is the system's, such as a Mac's `._a.png` and `.DS_Store`, or Thumbs.db."""
    return any(part.startswith(".") or part.lower() in _SYSTEM for part in name.parts)


def as_on_disk(path: Path) -> Path:
    """The file with its name's accents composed or apart, as the disk has it; as given where there is none.

    A Mac takes them apart, and tables and annotations written elsewhere do not know.
    """
    if path.is_file() or path.name.isascii():
        return path
    spelled = (path.with_name(unicodedata.normalize(form, path.name)) for form in ("NFC", "NFD"))
    return next((other for other in spelled if other.is_file()), path)


def files_in(folder: Path, suffixes: Collection[str] = (), deep: bool = False) -> list[Path]:
    """A folder's files in order, those of its folders too if `deep`; hidden ones are passed over.

    `suffixes` are lower case and take upper case as well; none takes all.
    """
    return sorted(
        path
        for path in (folder.rglob("*") if deep else folder.iterdir())
        if (not suffixes or path.suffix.lower() in suffixes)
        and not is_hidden(path.relative_to(folder))
        and path.is_file()
    )
