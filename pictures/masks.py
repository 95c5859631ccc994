"""The one reader of masks: whatever shows, scores or learns from a mask sees the same values of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import FileError, InputError
from .filetypes import as_on_disk
from .pixels import Mask
from .stills import COPY_AGAIN, Page, pages

# the last two are found so that what is wrong with them can be said
_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".jpg", ".jpeg")
_MOST_VALUES = 32  # in a mask: a photograph has some 200, a mask scaled with smooth edges as well
_FINEST_STEPS = 16  # classes are numbered 0, 1, 2 ...; edges are smoothed from black to white
_MOSTLY = 0.9


def mask_path(folder: Path, name: str) -> Path:
    """The mask of a picture: of the same name, or with another suffix; where there is none, of the same name.

    Raises ValueError where there are two, which nobody can choose between.
    """
    same = folder / name
    others = [same.with_suffix(written) for suffix in _SUFFIXES for written in (suffix, suffix.upper(), suffix.title())]
    found = [path for path in map(as_on_disk, dict.fromkeys([same, *others])) if path.is_file()]
    twin = next((path for path in found[1:] if not path.samefile(found[0])), None)  # a disk may not tell a from A
    if twin is not None:
        raise InputError(
            f"{folder} has two masks of {name}, {found[0].name} and {twin.name}; take out the one that is not right"
        )
    return found[0] if found else same


def read_mask(path: Path, smooth: bool = True) -> NDArray[np.uint8]:
    """A mask's own values, uint8 (rows, columns); of a palette PNG its indices, not its colours.

    Raises OSError where it is missing or no picture, ValueError where its values are no mask's. Unless `smooth` is
    allowed, values that stand on edges only are none.
    """
    if not path.is_file():
        raise FileError(f"{path} is missing; every picture needs a mask of the same name, empty where there is no tear")
    try:
        (page,) = pages(path, single=True, indices=True)
    except OSError as error:
        raise FileError(str(error).replace(COPY_AGAIN, "give a PNG mask")) from error
    if page.lossy:
        raise InputError(f"{path} is a {page.lossy}, which blurs a mask's edges; export masks as PNG")
    marks = _marks(page, path)
    values = np.unique(marks).astype(float)
    if len(values) > _MOST_VALUES:
        raise InputError(
            f"{path} has {len(values)} grey values, as a photograph has; export a mask with one value a class"
        )
    if not smooth and _has_smooth_edges(marks):
        between = ", ".join(f"{value:.0f}" for value in values[1:-1][:3])
        raise InputError(
            f"{path} has smooth edges (values such as {between} stand on edges only); export masks without "
            "anti-aliasing, or name the tear's mask value"
        )
    if np.count_nonzero(values >= 255) > 1:
        raise InputError(f"{path} has several values above 254, up to {values[-1]:.0f}; export classes as 1, 2, 3 ...")
    return np.clip(marks, 0, 255).astype(np.uint8)


def _has_smooth_edges(marks: NDArray[np.generic]) -> bool:
    """Whether nothing but what lies between the lowest and the highest value is a step from one to the other."""
    grey = marks.astype(np.float32)
    low, high = grey.min(), grey.max()
    between = (grey > low) & (grey < high)
    if high - low < _FINEST_STEPS or not between.any():
        return False
    around = np.ones((3, 3), np.uint8)
    lowest, highest = cv2.erode(grey, around), cv2.dilate(grey, around)
    inner = between & (lowest == highest)
    steps = between & (lowest < grey) & (grey < highest)
    return bool(not inner.any() and np.count_nonzero(steps) >= _MOSTLY * np.count_nonzero(between))


def _marks(page: Page, path: Path) -> NDArray[np.generic]:
    """The one channel that a mask has, in effect, of the file's own depth, nothing below 0.

    ValueError where colours, transparency or fractions say more.
    """
    values = page.values
    if values.ndim == 3:
        if page.alpha:
            if (values[..., -1] != (255 if values.dtype == np.uint8 else 65535)).any():
                raise InputError(f"{path} is transparent in places; export a mask of one channel, 0 where no tear is")
            values = values[..., :-1]
        if (values != values[..., :1]).any():
            raise InputError(f"{path} has colours; export a mask of one channel, with one grey value a class")
        values = values[..., 0]
    if not np.issubdtype(values.dtype, np.integer) and not (np.isfinite(values) & (values == np.rint(values))).all():
        raise InputError(
            f"{path} has {values.dtype} values with fractions; export a mask with one whole number a class"
        )
    return np.maximum(values, 0) if values.dtype != np.bool_ else values.astype(np.uint8)


def check_size(path: Path, size: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """ValueError where a mask (rows, columns) has another size than its picture."""
    if size != wanted:
        found, needed = (f"{columns} x {rows}" for rows, columns in (size, wanted))
        raise InputError(f"{path} has another size ({found}) than its picture ({needed}); export it at that size")


def read_truth(path: Path, shape: tuple[int, ...], mask_value: int | None) -> Mask:
    """Where the tear is in a picture of `shape` (rows, columns), as bool: where its mask's file is not zero, or where
    it equals `mask_value` if that is given.

    Raises OSError or ValueError, naming the file.
    """
    marks = read_mask(path, smooth=mask_value is not None)
    check_size(path, marks.shape, shape)
    return marks != 0 if mask_value is None else marks == mask_value
