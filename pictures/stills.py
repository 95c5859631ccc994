"""The one reader of still pictures: whatever shows, scores or learns from a file sees the same pixels of it.

Pillow decodes; OpenCV only what Pillow would cut to 8 bits (colours of 16 bits) or does not know (TIFFs of colours in
floating point). Pictures come back upright, as viewers show them: cameras and telephones store them lying down and
say so in EXIF.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ..errors import FileError, InputError, MissingFile, SmartcaError
from .depth import Depth
from .filetypes import DICOM_SUFFIXES
from .pixels import Grey, to_grey
from .unreadable import cause_of, content_of, film_of

Array = NDArray[np.generic]
NO_PICTURE, COPY_AGAIN = "is no picture that can be read", "copy it again, or take it out"
_ORIENTATION = 0x0112  # of EXIF
_SUBFILE, _REDUCED, _TRANSPARENCY = 254, 1, 4  # TIFF's tag, and its bits for pages that are no pictures of their own
_BITS, _MEANING, _FORMAT = 258, 262, 339  # of a TIFF's pixels; the second is 0 where 0 is white
_TURNS: dict[int, Callable[[Array], Array]] = {
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored),
}

# a picture so large is a mistake: one sentence, where Pillow would only warn
_TOO_LARGE = (Image.DecompressionBombWarning, Image.DecompressionBombError)
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


class Page(NamedTuple):
    """One picture of a file, upright and of the file's own depth.

    `values` is (rows, columns), or (rows, columns, channels) in the order R, G, B with the opacity last if `alpha`.
    """

    values: Array
    alpha: bool
    lossy: str  # what changes values: "JPEG", "lossy WebP"; or ""


def pages(path: Path, start: int = 0, single: bool = False, indices: bool = False) -> Iterator[Page]:
    """The pages of a file from number `start`; of most files there is one.

    `single` refuses several, as a mask belongs to one picture; `indices` leaves what a palette's colours stand for.
    Raises OSError where the file cannot be read, after what could be, ValueError for several; both name it.
    """
    _refuse_unreadable(path)
    deep = cache(partial(_by_opencv, path))  # once for all pages
    try:
        with _quiet():
            opened = Image.open(path)
        with opened as image:
            wanted = _numbers(image)
            if single and len(wanted) > 1:
                raise InputError(one_picture(path, len(wanted)))
            for number in wanted[start:]:
                yield _page(image, path, number, indices, deep)
    except SmartcaError:
        raise
    except Exception as error:  # each of Pillow's formats has its own
        known = _unknown_to_pillow(path) if isinstance(error, UnidentifiedImageError) else []
        if not known:
            raise _no_picture(path, error) from error
        if single and len(known) > 1:
            raise InputError(one_picture(path, len(known))) from error
        yield from known[start:]


def one_picture(path: Path, count: int) -> str:
    """What to say of a file of several pictures where one is wanted."""
    return f"{path} has {count} frames, but a mask belongs to one picture; export single frames"


def page_shapes(path: Path) -> list[tuple[int, ...] | None]:
    """The shape of each of a file's pictures as `read_stills` gives them, told without decoding them.

    Of a file that cannot be read it is one, None, so that reading it says why. ValueError for too many pixels.
    """
    try:
        with _quiet(), Image.open(path) as image:
            return [_shape(image, number) for number in _numbers(image)]
    except _TOO_LARGE as error:
        raise _no_picture(path, error) from error
    except Exception:  # each of Pillow's formats has its own
        return [None]


def _shape(image: Image.Image, number: int) -> tuple[int, ...]:
    image.seek(number)
    columns, rows = image.size
    if _orientation(image) >= 5:  # it is stored lying
        columns, rows = rows, columns
    grey = image.mode in {"1", "L", "LA", "La", "F"} or image.mode.startswith("I")
    return (rows, columns) if grey else (rows, columns, 3)


def read_stills(path: Path, depth: Depth, start: int = 0, single: bool = False) -> Iterator[NDArray[np.uint8]]:
    """The pictures of a file from number `start`: uint8, grey (rows, columns) or BGR (rows, columns, 3).

    `depth` is that of all pictures that belong together. Raises as `pages`, and ValueError for floating point.
    """
    for page in pages(path, start, single):
        values = page.values[..., :3] if page.values.ndim == 3 else page.values
        if not np.issubdtype(values.dtype, np.integer):
            raise InputError(f"{path} has {values.dtype} pixels; save it with 8 or 16 bits a channel")
        pixels = depth(values)
        yield np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8) if pixels.ndim == 3 else pixels


def read_greys(path: Path) -> Iterator[Grey]:
    """The pictures of a file in grey, with the same weights as in the stream. Raises as `read_stills`."""
    return map(to_grey, read_stills(path, Depth()))


def read_grey(path: Path) -> Grey:
    """A file of one picture, DICOM stills included, as uint8 (rows, columns), by a depth of its own.

    Raises OSError where it cannot be read, ValueError where it holds several or floating point; both name it.
    """
    if path.is_file() and path.suffix.lower() in DICOM_SUFFIXES:
        return _dicom(path)
    (pixels,) = read_stills(path, Depth(), single=True)
    return to_grey(pixels)


def _dicom(path: Path) -> Grey:
    from .medical.dicom import Dicom  # pydicom takes a moment

    dicom = Dicom(path)
    if dicom.count != 1:
        raise InputError(one_picture(path, dicom.count))
    try:
        return to_grey(next(dicom.frames()))
    except RuntimeError as error:
        raise FileError(f"{path}: {error}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Pillow's warnings of odd tags, which nobody at a viewer can mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _numbers(image: Image.Image) -> list[int]:
    """The pages that are pictures of their own: no thumbnails, of a telephone's MPO only the first, and of an animated
    PNG not the one that is for readers who know no animation.
    """
    count = getattr(image, "n_frames", 1)
    if count == 1 or image.format == "MPO":
        return [0]
    if image.info.get("default_image"):
        return list(range(1, count))
    with _quiet():
        return [number for number in range(count) if image.format != "TIFF" or _own(image, number)] or [0]


def _own(image: Image.Image, number: int) -> bool:
    image.seek(number)
    return not getattr(image, "tag_v2", {}).get(_SUBFILE, 0) & (_REDUCED | _TRANSPARENCY)


def _page(image: Image.Image, path: Path, number: int, indices: bool, deep: Callable[[], Sequence[Array]]) -> Page:
    with _quiet():
        image.seek(number)
        cut = image.mode in {"RGB", "RGBA"} and ";16" in str(getattr(image, "tile", ""))
        image.load()  # which turns a TIFF; and finds out that a file is cut off, which OpenCV may not
        if cut:  # OpenCV turns a TIFF as well
            if number >= len(deep()):
                raise FileError("colours of 16 bits that are not known here")
            values = _ordered(deep()[number])
            alpha = values.ndim == 3 and values.shape[2] == 4
        else:
            plain = _plain(image, indices)
            values, alpha = _light_on_dark(np.asarray(plain), image), plain.getbands()[-1] in {"A", "a"}
        return Page(np.ascontiguousarray(_upright(values, image)), alpha, _lossy(image, path))


def _light_on_dark(values: Array, image: Image.Image) -> Array:
    """Of a TIFF whose 0 is white, as Pillow turns it with 8 bits, also with more."""
    tags = getattr(image, "tag_v2", {})
    if image.format != "TIFF" or not image.mode.startswith("I") or tags.get(_MEANING) != 0:
        return values
    (bits, *_), signed = tags.get(_BITS, (16,)), tags.get(_FORMAT, (1,))[0] == 2
    return values if signed or bits > 16 else ((1 << bits) - 1 - values.astype(np.int64)).astype(values.dtype)


def _lossy(image: Image.Image, path: Path) -> str:
    if image.format == "WEBP" and b"VP8 " in path.read_bytes():  # the kind of chunk that changes values
        return "lossy WebP"
    return "JPEG" if image.format in {"JPEG", "MPO"} or "jpeg" in str(image.info.get("compression")) else ""


def _plain(image: Image.Image, indices: bool) -> Image.Image:
    """In a mode whose array can be worked with: grey of any depth, RGB, or for `indices` what is stored."""
    if image.mode == "1" or (image.mode in {"LA", "La"} and not indices):
        return image.convert("L")
    if indices or image.mode in {"L", "RGB", "F"} or image.mode.startswith("I"):
        return image
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    try:
        said = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF, of which each part has its own errors: the pixels are whole
        return 1
    return said if isinstance(said, int) else 1


def _upright(values: Array, image: Image.Image) -> Array:
    turn = _TURNS.get(_orientation(image))
    return values if turn is None else turn(values)


def _by_opencv(path: Path) -> Sequence[Array]:
    """All pages as OpenCV orders their channels, of the file's own depth; none where it cannot read them."""
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what is wrong is said by who asks
    try:
        return cv2.imdecodemulti(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)[1]
    finally:
        cv2.utils.logging.setLogLevel(before)


def _ordered(found: Array) -> Array:
    """OpenCV's channels as R, G, B and opacity; of one or two the first."""
    channels = found.shape[2] if found.ndim == 3 else 1
    return found[..., [2, 1, 0, 3][:channels]] if channels in (3, 4) else found.reshape(*found.shape[:2], -1)[..., 0]


def _unknown_to_pillow(path: Path) -> list[Page]:
    """The pages of a TIFF that Pillow does not know, so that its kind of pixels can be named; none of all else."""
    with path.open("rb") as file:
        if file.read(4) not in (b"II*\0", b"MM\0*"):
            return []
    found = [_ordered(np.asarray(page)) for page in _by_opencv(path)]
    return [Page(np.ascontiguousarray(page), page.ndim == 3 and page.shape[2] == 4, "") for page in found]


def _refuse_unreadable(path: Path) -> None:
    """OSError where a file cannot be read at all, whatever it holds, or plainly holds something else."""
    cause = cause_of(path)
    if isinstance(cause, MissingFile) or path.is_dir():
        raise FileError(f"{path} is missing; copy it there, or take its line out of the list")
    if cause is not None:
        raise cause
    found = content_of(path)
    if found is not None:
        raise FileError(f"{path} {NO_PICTURE} ({found[0]}); {found[1]}")


def _no_picture(path: Path, error: BaseException) -> SmartcaError:
    """What to say of what Pillow cannot read."""
    if isinstance(error, _TOO_LARGE):
        most = (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        said = re.search(r"\d{4,}", str(error))
        has = f"; it has {int(said[0]) / 1e6:.1f}" if said else ""
        return InputError(f"{path} {NO_PICTURE} (it has more than {most:.0f} million pixels){has}; scale it first")
    film = film_of(path) if isinstance(error, UnidentifiedImageError) else ""
    if film:
        return FileError(f"{path} {NO_PICTURE} (it is {film} film); end its name as those do")
    return FileError(f"{path} {NO_PICTURE} ({_told(error)}); {COPY_AGAIN}")


def _told(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a picture"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0][:80]
