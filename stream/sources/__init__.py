"""Sources of pictures: video, DICOM, MetaImage and NRRD files, image folders, cameras, the phantom and plugins."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ... import plugins
from ...errors import FileError, InputError, MissingFile, RunError, printable
from ...pictures.filetypes import ANNOTATION_SUFFIXES, DICOM_SUFFIXES, files_in, is_bare_dicom, is_dicom, is_still
from ...pictures.unreadable import refuse_no_file
from .contract import OnFrame, Picture, Source

log = logging.getLogger(__name__)

__all__ = ["FORMS", "NO_CHOICE", "Picture", "Source", "TruthChoice", "is_live", "open_source", "without_secrets"]

FORMS = (
    "a video, DICOM, .mha, .mhd or .nrrd file, an image or a folder of them, camera:0, an address "
    "(rtsp://HOST), phantom: or phantom:seed=7,frames=300; `smartca sources` lists all"
)


class TruthChoice(NamedTuple):
    """What of a folder's masks or annotations is its truth: see `open_source`."""

    mask_value: int | None = None
    label: tuple[str, ...] = ()


NO_CHOICE = TruthChoice()


def open_source(
    spec: str | Path, progress: OnFrame | None = None, mask_value: int | None = None, label: Sequence[str] = ()
) -> Source:
    """The source that `spec` names, ready for `with`; see FORMS. Or NAME:REST, what the plugin NAME makes of REST.

    `progress` hears what takes long (rendering a phantom). Of a folder with masks, `mask_value` picks the class that
    is its truth; of one with annotations, `label` does, and without it they are not looked at. Raises OSError where
    there is nothing, ValueError where it is of no use, RuntimeError for a plugin that fails; all with one sentence.
    """
    source = _opened(spec, progress, mask_value, label)
    source.name = printable(source.name)  # it travels, and stands on the page
    facts = {"kind": type(source).__name__, "pictures": source.count, "fps": source.fps, "live": source.live}
    log.info("source opened", extra={"source": source.name, **facts})
    return source


def _opened(spec: str | Path, progress: OnFrame | None, mask_value: int | None, label: Sequence[str]) -> Source:
    path, named = Path(spec), plugins.name_and_rest(spec) if isinstance(spec, str) else None
    if (mask_value is not None or label) and not path.is_dir() and (named is not None or _is_there(path)):
        from ...pictures.datasets import refuse_choice

        refuse_choice(without_secrets(str(spec)), mask_value, label)
    if str(spec).strip() and _is_there(path):  # first, as a file's name may have a colon too
        if path.is_dir():
            return _folder(path, mask_value, label)
        if number := re.fullmatch(r"/dev/video(\d+)", str(path)):
            raise InputError(f"{path} is a camera's; give camera:{number[1]}")
        refuse_no_file(path)
        return _file(path)
    if named is not None:
        return NAMED[named[0]](named[1], progress) if named[0] in NAMED else _foreign(str(spec), *named)
    if not str(spec).strip():
        raise InputError(f"'{spec}' is no source; give {FORMS}")
    if path.is_symlink():
        raise MissingFile(f"{spec} is a link to what is not there; copy the file itself")
    raise MissingFile(f"there is no file or folder {spec}; check the path, or give {FORMS}")


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # a name that is too long, a disk that is gone
        raise FileError(f"{str(path)[:80]} cannot be looked for ({error.strerror}); check the path") from error


def _foreign(spec: str, name: str, rest: str) -> Source:
    """What an installed plugin makes of `rest`."""
    source = plugins.make("smartca.sources", name, rest)
    if source is None:
        raise InputError(
            f"there is no file {without_secrets(spec)} and no source called {name!r}; give {FORMS}; "
            f"{plugins.told('smartca.sources')}"
        )
    if not isinstance(source, Source):
        raise RunError(f"the plugin {name!r} gave a {type(source).__name__}, which is no smartca.Source")
    return source


def _folder(path: Path, mask_value: int | None, label: Sequence[str]) -> Source:
    """A folder of images; with annotations where a label of theirs is asked for."""
    from .images import Images

    files = files_in(path)
    if files and all(map(is_dicom, files)):
        raise InputError(f"{path} is a folder of DICOM files, which have sectors of their own; give one file of it")
    if not label and (mask_value is None or (path / "masks").is_dir()):
        return Images(path, mask_value)
    from ...pictures.datasets import form_of, open_data, refuse_choice, truth_by_picture
    from ...pictures.labelled import ALL, LabelledFolder

    if form_of(path) is None:
        refuse_choice(str(path), mask_value, label)
    data = open_data(path, ALL, mask_value, label)
    return Images(path, mask_value, None if isinstance(data, LabelledFolder) else truth_by_picture(data))


def _file(path: Path) -> Source:
    """A file that exists."""
    suffix = path.suffix.lower()
    if is_still(path):
        from .images import Images

        return Images(path)
    if suffix in ANNOTATION_SUFFIXES:
        raise InputError(f"{path} holds outlines and no pictures; give the folder of the pictures, and --label NAME")
    if suffix in (".raw", ".zraw"):
        raise InputError(f"{path} holds numbers and nothing that says what they are; give the .mhd or .nhdr beside it")
    if suffix in (".mha", ".mhd", ".nrrd", ".nhdr"):
        from .volume import Volume

        return Volume(path)
    if suffix in DICOM_SUFFIXES or is_dicom(path) or is_bare_dicom(path):
        from .dicom import DicomFile

        return DicomFile(path)
    from .video import VideoFile

    return VideoFile(path)


def _camera(rest: str, progress: OnFrame | None) -> Source:
    from .live.camera import open_camera, parse_camera

    return open_camera(*parse_camera(rest))


def _igtl(rest: str, progress: OnFrame | None) -> Source:
    from .live.igtl import OpenIgtLink

    return OpenIgtLink(rest)


def _network(scheme: str) -> Callable[[str, OnFrame | None], Source]:
    def opened(rest: str, progress: OnFrame | None) -> Source:
        from .live.network import NetworkVideo

        return NetworkVideo(f"{scheme}:{rest}")

    return opened


def _screen(rest: str, progress: OnFrame | None) -> Source:
    from .live.screen import ScreenPart

    return ScreenPart(rest)


def _clarius(rest: str, progress: OnFrame | None) -> Source:
    raise InputError(
        "smartca does not speak Clarius Cast, whose library is not on PyPI; attach the scanner through PLUS or another "
        "OpenIGTLink bridge (igtl://HOST, see docs/plus.md), or show its app on this screen (screen:TITLE)"
    )


def _phantom(rest: str, progress: OnFrame | None) -> Source:
    options: dict[str, int] = {}
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        if key not in ("seed", "frames") or key in options or not value.isdecimal():
            raise InputError(f"'{part}' in 'phantom:{rest}' is not understood; give {FORMS}")
        options[key] = int(value)
    if options.get("frames") == 0:
        raise InputError(f"'phantom:{rest}' asks for no frames at all; give frames=1 or more")
    from .phantom import SEED, PhantomSource

    return PhantomSource(options.get("seed", SEED), options.get("frames"), progress)


# NAME:REST of our own; plugins add others
NAMED: dict[str, Callable[[str, OnFrame | None], Source]] = {
    "camera": _camera,
    "clarius": _clarius,
    "igtl": _igtl,
    "phantom": _phantom,
    "screen": _screen,
    **{scheme: _network(scheme) for scheme in ("rtsp", "rtsps", "http", "https", "udp", "srt")},
}
LIVE = frozenset(NAMED) - {"phantom"}  # what is attached once, and cannot be looked at beforehand


def without_secrets(spec: str) -> str:
    """`spec` as it may be shown: of an address neither user nor password, nor what stands behind a question mark."""
    return re.sub(r"\?.*", "", re.sub(r"//.*@", "//", spec)) if "://" in spec else spec


def is_live(spec: str) -> bool:
    """Whether `spec` names a feed that does not wait: it can be opened once, and only where it is attached."""
    named = plugins.name_and_rest(spec)
    return named is not None and named[0] in LIVE and not _is_there(Path(spec))
