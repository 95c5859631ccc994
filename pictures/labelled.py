"""Folders of pictures with masks: what people train, calibrate and evaluate on."""

from __future__ import annotations

import csv
import hashlib
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import FileError, InputError
from .depth import Depth
from .filetypes import DICOM_SUFFIXES
from .pixels import Grey, Mask, to_grey

# other words for the same split
SPLITS = {"train": ("train",), "validate": ("val", "validate", "valid"), "test": ("test",)}
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", *DICOM_SUFFIXES)
MASKS = (".png", ".bmp", ".tif", ".tiff", ".gif")
_MOST_VALUES = 32  # in a mask: a photograph has some 200, a mask scaled with smooth edges as well


class LabelledFolder:
    """`images/` and `masks/` with the same file names, and `split.csv` with at least the columns file,split.

    Without split.csv each picture's split follows from its name (`split_of`). A mask may be a PNG beside a JPEG or
    DICOM picture. The tear is where the mask is not zero, or where it equals `mask_value` if that is given. Item i
    is (pixels uint8, mask bool), each (rows, columns). Raises ValueError or OSError, naming the file.
    """

    def __init__(self, root: Path, split: str, mask_value: int | None = None) -> None:
        for part in ("images", "masks"):
            if not (root / part).is_dir():
                raise InputError(f"{root / part} is missing; give a folder with images/ and masks/ in it")
        self.root, self.split, self.mask_value = root, split, mask_value
        self.files = [name for name, word in read_splits(root, root / "images") if word in SPLITS.get(split, (split,))]
        if not self.files:
            raise no_picture(root, split)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Grey, Mask]:
        name = self.files[index]
        pixels = read_grey(self.root / "images" / name)
        path = mask_path(self.root / "masks", name)
        marks = read_mask(path)
        check_size(path, marks.shape, pixels.shape)
        return pixels, marks != 0 if self.mask_value is None else marks == self.mask_value

    def check_value(self) -> None:
        """ValueError where no mask holds `mask_value`, naming those that they hold; reads as far as to the first."""
        if self.mask_value is None:
            return
        held: set[int] = set()
        for name in self.files:
            held |= set(np.unique(read_mask(mask_path(self.root / "masks", name))).tolist())
            if self.mask_value in held:
                return
        values = ", ".join(map(str, sorted(held)))
        raise InputError(
            f"no mask of {self.root}, split {spoken(self.split)}, has the value {self.mask_value}; they have {values}: "
            "give one of those"
        )


def spoken(split: str) -> str:
    """The word for a split that split.csv and the manual use: val for validate."""
    return SPLITS.get(split, (split,))[0]


def read_splits(root: Path, pictures: Path) -> list[tuple[str, str]]:
    """(file, split) for every picture: what `root`/split.csv says, or `split_of` the names in `pictures`."""
    table = root / "split.csv"
    if table.is_file():
        return read_table(table)
    inside = (path for path in pictures.rglob("*") if path.suffix.lower() in PICTURES and path.is_file())
    names = sorted(path.relative_to(pictures).as_posix() for path in inside)
    if not names:
        raise InputError(f"there is no picture in {pictures}; it takes {', '.join(PICTURES)}")
    return [(name, split_of(name)) for name in names]


def read_table(table: Path) -> list[tuple[str, str]]:
    """The columns file,split of a table with commas or semicolons. ValueError where it cannot be used."""
    try:
        text = table.read_text(encoding="utf-8-sig")  # a spreadsheet puts a mark before the first column
        separator = ";" if ";" in text.partition("\n")[0] else ","
        rows = list(csv.DictReader(text.splitlines(), delimiter=separator))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table} is not a CSV table in UTF-8 ({error}); save it as CSV again") from error
    if not rows or not {"file", "split"} <= rows[0].keys():
        raise InputError(f"{table} needs a first line with the columns file,split and a line for every picture")
    seen: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        name, split = (row["file"] or "").strip(), (row["split"] or "").strip().lower()
        if not name or not split:
            raise InputError(f"{table}, line {number} gives no file or no split; complete it or take it out")
        if Path(name).is_absolute() or ".." in Path(name).parts or "\\" in name:
            raise InputError(f"{table}, line {number}: {name} leaves the folder; give names inside it, with /")
        if seen.setdefault(name, split) != split:
            raise InputError(f"{table}, line {number}: {name} is in two splits; keep one, or scores are too good")
    return list(seen.items())


def split_of(name: str) -> str:
    """train, validate or test (70, 15, 15 %) by a hash of the file's name: the same everywhere and for ever.

    New pictures never move old ones. It knows nothing of patients: where one has several pictures, write split.csv.
    """
    place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
    return "train" if place < 0.7 else "validate" if place < 0.85 else "test"


def no_picture(root: Path, split: str) -> ValueError:
    """What to say where a split is empty."""
    table = root / "split.csv"
    if table.is_file():
        known = ", ".join(sorted({word for _, word in read_table(table)}))
        wanted = " or ".join(SPLITS.get(split, (split,)))
        return InputError(f"{table} gives no picture to the split {wanted}; it has {known}")
    return InputError(
        f"{root} has too few pictures for a split {spoken(split)}; write {table} with the columns file,split"
    )


def mask_path(folder: Path, name: str) -> Path:
    """The mask of a picture: of the same name, or with another suffix that keeps a mask's values."""
    same = folder / name
    others = (same.with_suffix(suffix) for suffix in MASKS)
    return same if same.is_file() else next((path for path in others if path.is_file()), same)


def check_size(path: Path, size: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """ValueError where a mask (rows, columns) has another size than its picture."""
    if size != wanted:
        found, needed = (f"{columns} x {rows}" for rows, columns in (size, wanted))
        raise InputError(f"{path} has another size ({found}) than its picture ({needed}); export it at that size")


def read_grey(path: Path) -> Grey:
    """A picture file, DICOM stills included, as uint8 (rows, columns). OSError where it cannot be read."""
    if not path.is_file():
        raise FileError(f"{path} is missing; copy it there, or take its line out of the list")
    if path.suffix.lower() in DICOM_SUFFIXES:
        return _dicom(path)
    try:
        with Image.open(path) as stored:
            image = ImageOps.exif_transpose(stored)  # a camera's or telephone's picture may be stored lying down
            if image.mode in {"L", "1"} or image.mode.startswith("I"):
                return Depth()(np.asarray(image.convert("L") if image.mode == "1" else image))
            # the same weights as in the stream
            return to_grey(np.ascontiguousarray(np.asarray(image.convert("RGB"))[..., ::-1]))
    except _UNREADABLE as error:
        raise FileError(
            f"{path} is no picture that can be read ({_told(error)}); copy it again, or take it out"
        ) from error


def _dicom(path: Path) -> Grey:
    from .dicom import Dicom  # pydicom takes a moment

    dicom = Dicom(path)
    if dicom.count != 1:
        raise InputError(f"{path} has {dicom.count} frames, but a mask belongs to one picture; export single frames")
    try:
        return to_grey(next(dicom.frames()))
    except RuntimeError as error:
        raise FileError(f"{path}: {error}") from error


def read_mask(path: Path) -> NDArray[np.uint8]:
    """A mask's own values, uint8 (rows, columns); of a palette PNG its indices, not its colours.

    Raises OSError where it is missing or no picture, ValueError where its values are no mask's.
    """
    if not path.is_file():
        raise FileError(f"{path} is missing; every picture needs a mask of the same name, empty where there is no tear")
    try:
        with Image.open(path) as image:
            if image.format == "JPEG":
                raise InputError(f"{path} is a JPEG, which blurs a mask's edges; export masks as PNG")
            marks = _marks(ImageOps.exif_transpose(image), path)
    except _UNREADABLE as error:
        raise FileError(f"{path} is no picture that can be read ({_told(error)}); give a PNG mask") from error
    values = int(np.count_nonzero(np.bincount(marks.ravel(), minlength=1)))
    if values > _MOST_VALUES:
        raise InputError(f"{path} has {values} grey values, as a photograph has; export a mask with one value a class")
    return marks


def _marks(image: Image.Image, path: Path) -> NDArray[np.uint8]:
    """The one channel that a mask has, in effect. ValueError where colours or transparency say more than it."""
    bands = image.getbands()
    if len(bands) > 1:
        channels = np.asarray(image)
        if bands[-1] in {"A", "a"}:
            if channels[..., -1].min() < 255:
                raise InputError(f"{path} is transparent in places; export a mask of one channel, 0 where no tear is")
            channels = channels[..., :-1]
        if (channels != channels[..., :1]).any():
            raise InputError(f"{path} has colours; export a mask of one channel, with one grey value a class")
        return np.array(channels[..., 0], np.uint8)
    if image.mode in {"P", "L"}:
        return np.array(image, np.uint8)
    if image.mode.startswith("I"):
        return np.clip(np.asarray(image), 0, 255).astype(np.uint8)
    return np.array(image.convert("L"), np.uint8)


# a picture so large is a mistake: one sentence, where Pillow would only warn
_TOO_LARGE = (Image.DecompressionBombWarning, Image.DecompressionBombError)
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
_UNREADABLE = (UnidentifiedImageError, OSError, SyntaxError, EOFError, *_TOO_LARGE)


def _told(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a picture"
    if isinstance(error, _TOO_LARGE):
        return f"it has more than {(Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels"
    return (getattr(error, "strerror", None) or str(error)).splitlines()[0][:80]
