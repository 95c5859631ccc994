"""Sources of pictures: video files, image folders, cameras and the simulated shoulder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .contract import Picture, Source

__all__ = ["FORMS", "Picture", "Source", "open_source"]

FORMS = (
    "a video file, an image, a folder of images, camera:0 (or another number), "
    "phantom: or phantom:seed=7 or phantom:seed=7,frames=300"
)

NOT_YET = (".dcm", ".dicom", ".mha", ".mhd", ".nrrd")

Progress = Callable[[int, int], None]  # (frames drawn, frames in all)


def open_source(spec: str, progress: Progress | None = None) -> Source:
    """The source that `spec` names, ready for `with`; see FORMS.

    `progress` hears what takes long (rendering a phantom). Raises OSError where there is nothing,
    ValueError where it is of no use; both with one sentence.
    """
    if spec.startswith("phantom:"):
        return _phantom(spec, progress)
    if spec.startswith("camera:"):
        return _camera(spec)
    path = Path(spec)
    if path.suffix.lower() in NOT_YET:
        raise ValueError(f"{path.name}: DICOM, MetaImage and NRRD are not read yet; export it as mp4 or PNG")
    if not spec.strip() or ("://" in spec and not path.exists()):
        raise ValueError(f"'{spec}' is no source; give {FORMS}")
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {spec}; check the path, or give {FORMS}")
    from .images import SUFFIXES, Images

    if path.is_dir() or path.suffix.lower() in SUFFIXES:
        return Images(path)
    from .video import VideoFile

    return VideoFile(path)


def _camera(spec: str) -> Source:
    number = spec.removeprefix("camera:")
    if not number.isdecimal():
        raise ValueError(f"'{spec}' names no camera; give a number, e.g. camera:0")
    from .camera import open_camera

    return open_camera(int(number))


def _phantom(spec: str, progress: Progress | None) -> Source:
    options: dict[str, int] = {}
    for part in filter(None, spec.removeprefix("phantom:").split(",")):
        key, _, value = part.partition("=")
        if key not in ("seed", "frames") or key in options or not value.isdecimal():
            raise ValueError(f"'{part}' in '{spec}' is not understood; give {FORMS}")
        options[key] = int(value)
    if options.get("frames") == 0:
        raise ValueError(f"'{spec}' asks for no frames at all; give frames=1 or more")
    from .phantom import SEED, Phantom

    return Phantom(options.get("seed", SEED), options.get("frames"), progress)
