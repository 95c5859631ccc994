"""Sources of pictures: video, DICOM, MetaImage and NRRD files, image folders, cameras and the simulated shoulder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from ...errors import InputError, MissingFile
from ...pictures.filetypes import DICOM_SUFFIXES, is_dicom
from .contract import Picture, Source

log = logging.getLogger(__name__)

__all__ = ["FORMS", "Picture", "Source", "open_source"]

FORMS = (
    "a video file, a DICOM file, an .mha, .mhd or .nrrd file, an image, a folder of images, "
    "camera:0 (or another number), "
    "phantom: or phantom:seed=7 or phantom:seed=7,frames=300"
)

Progress = Callable[[int, int], None]  # (frames drawn, frames in all)


def open_source(spec: str, progress: Progress | None = None) -> Source:
    """The source that `spec` names, ready for `with`; see FORMS.

    `progress` hears what takes long (rendering a phantom). Raises OSError where there is nothing,
    ValueError where it is of no use; both with one sentence.
    """
    source = _opened(spec, progress)
    facts = {"kind": type(source).__name__, "pictures": source.count, "fps": source.fps, "live": source.live}
    log.info("source opened", extra={"source": source.name, **facts})
    return source


def _opened(spec: str, progress: Progress | None) -> Source:
    if spec.startswith("phantom:"):
        return _phantom(spec, progress)
    if spec.startswith("camera:"):
        return _camera(spec)
    path = Path(spec)
    if not spec.strip() or ("://" in spec and not path.exists()):
        raise InputError(f"'{spec}' is no source; give {FORMS}")
    if not path.exists():
        raise MissingFile(f"there is no file or folder {spec}; check the path, or give {FORMS}")
    return _stored(path)


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


def _camera(spec: str) -> Source:
    number = spec.removeprefix("camera:")
    if not number.isdecimal():
        raise InputError(f"'{spec}' names no camera; give a number, e.g. camera:0")
    from .camera import open_camera

    return open_camera(int(number))


def _phantom(spec: str, progress: Progress | None) -> Source:
    options: dict[str, int] = {}
    for part in filter(None, spec.removeprefix("phantom:").split(",")):
        key, _, value = part.partition("=")
        if key not in ("seed", "frames") or key in options or not value.isdecimal():
            raise InputError(f"'{part}' in '{spec}' is not understood; give {FORMS}")
        options[key] = int(value)
    if options.get("frames") == 0:
        raise InputError(f"'{spec}' asks for no frames at all; give frames=1 or more")
    from .phantom import SEED, PhantomSource

    return PhantomSource(options.get("seed", SEED), options.get("frames"), progress)
