"""Which files are what, told without loading what reads them, and which of a folder's files are nobody's own."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path, PurePath

STILL_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp")
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
ANNOTATION_SUFFIXES = (".json", ".xml")
UNFINISHED = ".unfinished"  # stands in a folder of phantoms while it is written; it says what was asked for
# what operating systems and file servers lay beside people's files; names that begin with a dot are theirs as well
_SYSTEM = {"thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information"}


def is_dicom(path: Path) -> bool:
    """Whether the file itself says so: scanners often leave the suffix out."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def is_still(path: Path) -> bool:
    """Whether a file that is given by itself is a still; a GIF then is taken for the clip that most of them are."""
    return path.suffix.lower() in STILL_SUFFIXES and path.suffix.lower() != ".gif"


def is_hidden(name: PurePath) -> bool:
    """Whether a name inside a folder is the system's, such as a Mac's `._a.png` and `.DS_Store`, or Thumbs.db."""
    return any(part.startswith(".") or part.lower() in _SYSTEM for part in name.parts)


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
