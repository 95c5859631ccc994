"""Sources of pictures: video, DICOM, MetaImage and NRRD files, image folders, cameras and the simulated shoulder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ...errors import InputError, MissingFile
from ...pictures.filetypes import ANNOTATION_SUFFIXES, DICOM_SUFFIXES, files_in, is_dicom, is_still
from .contract import OnFrame, Picture, Source

__all__ = ["FORMS", "NO_CHOICE", "Picture", "Source", "TruthChoice", "open_source"]

FORMS = (
    "a video file, a DICOM file, an .mha, .mhd or .nrrd file, an image, a folder of images, "
    "camera:0 (or another number), "
    "phantom: or phantom:seed=7 or phantom:seed=7,frames=300"
)


class TruthChoice(NamedTuple):
    """What of a folder's masks or annotations is its truth: see `open_source`."""

    mask_value: int | None = None
    label: tuple[str, ...] = ()


NO_CHOICE = TruthChoice()


def open_source(
    spec: str, progress: OnFrame | None = None, mask_value: int | None = None, label: Sequence[str] = ()
) -> Source:
    """The source that `spec` names, ready for `with`; see FORMS.

    `progress` hears what takes long (rendering a phantom). Of a folder with masks, `mask_value` picks the class that
    is its truth; of one with annotations, `label` does, and without it they are not looked at. Raises OSError where
    there is nothing, ValueError where it is of no use; both with one sentence.
    """
    path = Path(spec)
    if (mask_value is not None or label) and (spec.startswith(("phantom:", "camera:")) or path.is_file()):
        from ...pictures.datasets import refuse_choice

        refuse_choice(spec, mask_value, label)
    if spec.startswith("phantom:"):
        return _phantom(spec, progress)
    if spec.startswith("camera:"):
        return _camera(spec)
    if not spec.strip() or ("://" in spec and not path.exists()):
        raise InputError(f"'{spec}' is no source; give {FORMS}")
    if not path.exists():
        raise MissingFile(f"there is no file or folder {spec}; check the path, or give {FORMS}")
    return _folder(path, mask_value, label) if path.is_dir() else _file(path)


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


def _phantom(spec: str, progress: OnFrame | None) -> Source:
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
