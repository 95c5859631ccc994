"""Sources of pictures: video, DICOM, MetaImage and NRRD files, image folders, cameras, the phantom and plugins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ... import plugins
from ...errors import InputError, MissingFile, RunError
from ...pictures.filetypes import DICOM_SUFFIXES, is_dicom
from .contract import Picture, Source

__all__ = ["FORMS", "Picture", "Source", "open_source"]

FORMS = (
    "a video file, a DICOM file, an .mha, .mhd or .nrrd file, an image, a folder of images, "
    "camera:0 (or another number), "
    "phantom: or phantom:seed=7 or phantom:seed=7,frames=300"
)

Progress = Callable[[int, int], None]  # (frames drawn, frames in all)


def open_source(spec: str | Path, progress: Progress | None = None) -> Source:
    """The source that `spec` names, ready for `with`; see FORMS. Or NAME:REST, what the plugin NAME makes of REST.

    `progress` hears what takes long (rendering a phantom). Raises OSError where there is nothing,
    ValueError where it is of no use, RuntimeError for a plugin that fails; all with one sentence.
    """
    path, named = Path(spec), plugins.named(spec) if isinstance(spec, str) else None
    if named is not None and named[0] in NAMED:
        return NAMED[named[0]](named[1], progress)
    if str(spec).strip() and path.exists():
        return _stored(path)
    if named is not None:
        return _foreign(str(spec), *named)
    if not str(spec).strip():
        raise InputError(f"'{spec}' is no source; give {FORMS}")
    raise MissingFile(f"there is no file or folder {spec}; check the path, or give {FORMS}")


def _foreign(spec: str, name: str, rest: str) -> Source:
    """What an installed plugin makes of `rest`."""
    source = plugins.make("smartca.sources", name, rest)
    if source is None:
        raise InputError(
            f"there is no file {spec} and no source called {name!r}; give {FORMS}; {plugins.told('smartca.sources')}"
        )
    if not isinstance(source, Source):
        raise RunError(f"the plugin {name!r} gave a {type(source).__name__}, which is no smartca.Source")
    return source


def _stored(path: Path) -> Source:
    """A file or folder that exists."""
    from .images import SUFFIXES, Images

    suffix = path.suffix.lower()
    if path.is_dir() and (files := [file for file in path.iterdir() if file.is_file()]) and all(map(is_dicom, files)):
        raise InputError(f"{path} is a folder of DICOM files, which have sectors of their own; give one file of it")
    if path.is_dir() or suffix in SUFFIXES:
        return Images(path)
    if suffix in (".mha", ".mhd", ".nrrd", ".nhdr"):
        from .volume import Volume

        return Volume(path)
    if suffix in DICOM_SUFFIXES or is_dicom(path):
        from .dicom import DicomFile

        return DicomFile(path)
    from .video import VideoFile

    return VideoFile(path)


def _camera(number: str, progress: Progress | None) -> Source:
    if not number.isdecimal():
        raise InputError(f"'camera:{number}' names no camera; give a number, e.g. camera:0")
    from .camera import open_camera

    return open_camera(int(number))


def _phantom(rest: str, progress: Progress | None) -> Source:
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
NAMED: dict[str, Callable[[str, Progress | None], Source]] = {"camera": _camera, "phantom": _phantom}
