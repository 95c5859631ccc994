"""The one reader of masks: whatever shows, scores or learns from a mask sees the same values of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import FileError, InputError
from .pixels import Mask
from .stills import COPY_AGAIN, Page, pages

# the last two are found so that what is wrong with them can be said
_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".jpg", ".jpeg")
_MOST_VALUES = 32  # in a mask: a photograph has some 200, a mask scaled with smooth edges as well


def mask_path(folder: Path, name: str) -> Path:
    """The mask of a picture: of the same name, or with another suffix; where there is none, of the same name."""
    same = folder / name
    others = (same.with_suffix(written) for suffix in _SUFFIXES for written in (suffix, suffix.upper()))
    return same if same.is_file() else next((path for path in others if path.is_file()), same)


def read_mask(path: Path) -> NDArray[np.uint8]:
    """A mask's own values, uint8 (rows, columns); of a palette PNG its indices, not its colours.

    Raises OSError where it is missing or no picture, ValueError where its values are no mask's.
    """
    if not path.is_file():
        raise FileError(f"{path} is missing; every picture needs a mask of the same name, empty where there is no tear")
    try:
        (page,) = pages(path, single=True, indices=True)
    except OSError as error:
        raise FileError(str(error).replace(COPY_AGAIN, "give a PNG mask")) from error
    if page.lossy:
        raise InputError(f"{path} is a JPEG, which blurs a mask's edges; export masks as PNG")
    marks = _marks(page, path)
    values = int(np.count_nonzero(np.bincount(marks.ravel(), minlength=1)))
    if values > _MOST_VALUES:
        raise InputError(f"{path} has {values} grey values, as a photograph has; export a mask with one value a class")
    return marks


def _marks(page: Page, path: Path) -> NDArray[np.uint8]:
    """The one channel that a mask has, in effect. ValueError where colours, transparency or fractions say more."""
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
    return np.clip(values, 0, 255).astype(np.uint8)


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
    marks = read_mask(path)
    check_size(path, marks.shape, shape)
    return marks != 0 if mask_value is None else marks == mask_value
