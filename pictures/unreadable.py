"""Why a file cannot be read: each cause its own words and its own cure, told from the file itself."""

from __future__ import annotations

from pathlib import Path

from ..errors import FileError, MissingFile, SmartcaError

_HEIC = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif")
# how files begin that are given by mistake, what they are, and what to do; the first that fits
_BEGINNINGS: tuple[tuple[int, tuple[bytes, ...], str, str], ...] = (
    (0, (b"version https://git-lfs",), "a note that Git LFS left in its place", "fetch it with `git lfs pull`"),
    (0, (b"\0\5\x16\7", b"\0\5\x16\0"), "what a Mac lays beside a file", "give the file without ._ in its name"),
    (0, (b"%PDF",), "a PDF document", "export its pictures as PNG"),
    (0, (b"PK\3\4", b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!"), "a packed archive", "unpack it first"),
    (128, (b"DICM",), "a DICOM file", "end its name with .dcm"),
    (4, tuple(b"ftyp" + brand for brand in _HEIC), "a HEIC or AVIF picture", "save it as PNG"),
    (0, (b"NRRD000",), "an NRRD file", "end its name with .nrrd"),
    (0, (b"ObjectType",), "a MetaImage file", "end its name with .mha"),
    (0, (b"\x89HDF", b"\x93NUMPY", b"MATLAB"), "an array of numbers", "save its pictures as PNG"),
    (344, (b"n+1\0", b"ni1\0"), "a NIfTI file", "save it as .nrrd or .mha, e.g. with 3D Slicer"),
    (0, (b"<svg", b"<?xml"), "a text of marks (XML)", "save its pictures as PNG"),
)
_FILMS = ((4, (b"ftyp", b"moov", b"mdat"), "an MP4"), (0, (b"\x1aE\xdf\xa3",), "a Matroska"), (8, (b"AVI ",), "an AVI"))
_STILLS = (
    (0, (b"\x89PNG",), "a PNG"), (0, (b"\xff\xd8\xff",), "a JPEG"), (0, (b"GIF8",), "a GIF"),
    (0, (b"II*\0", b"MM\0*"), "a TIFF"), (8, (b"WEBP",), "a WebP"),
)  # fmt: skip
_PAGES = (b"<!doctype html", b"<html")


def cause_of(path: Path) -> SmartcaError | None:
    """What keeps `path` from being read at all, whatever it is; None where its contents have to say it.

    The sentence names the file: missing, a folder, not allowed; or a pipe or device, of which nobody knows the end.
    """
    try:
        refuse_no_file(path)
        with path.open("rb") as file:
            file.read(1)
    except SmartcaError as error:
        return error
    except FileNotFoundError:
        return MissingFile(f"there is no file {path}; check the path")
    except IsADirectoryError:
        return FileError(f"{path} is a folder; end it with the name of a file in it")
    except PermissionError:
        if path.is_dir():  # as Windows has it
            return FileError(f"{path} is a folder; end it with the name of a file in it")
        return FileError(f"{path} may not be read; check its permissions")
    except OSError as error:
        return FileError(f"{path} cannot be read ({error.strerror}); check the disk or the network, then try again")
    return None


def refuse_no_file(path: Path) -> None:
    """OSError for a pipe or a device, before it is opened: that may wait for ever."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise FileError(f"{path} is no file but a pipe or a device; save what it gives to a file first")


def content_of(path: Path) -> tuple[str, str] | None:
    """What a file is that is neither a still nor a film, and the cure; None where its first bytes do not tell."""
    head = _head(path)
    if not head:
        return "it is empty, 0 bytes", "copy it again"
    if head.lstrip(b"\xef\xbb\xbf \r\n\t").lower().startswith(_PAGES):
        return "it is a web page, saved in its place", "log in there and download it again"
    for place, words, what, cure in _BEGINNINGS:
        if head[place:].startswith(words):
            return f"it is {what}", cure
    if not any(head):
        return "it holds nothing but zeros", "copy it again, the first time was broken off"
    return None


def film_of(path: Path) -> str:
    """Which kind of film a file begins as, or ''."""
    return _first(path, _FILMS)


def still_of(path: Path) -> str:
    """Which kind of still a file begins as, or ''."""
    return _first(path, _STILLS)


def _first(path: Path, kinds: tuple[tuple[int, tuple[bytes, ...], str], ...]) -> str:
    head = _head(path)
    return next((what for place, words, what in kinds if head[place:].startswith(words)), "")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(512)
