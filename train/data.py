"""What training learns from: phantom frames, folders of pictures with masks, pictures without a tear."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from ..engine.pixels import Grey, Mask, Sector
from .augment import augment, with_pasted_tear

PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
SPLITS = {"train": ("train",), "validate": ("val", "validate", "valid"), "test": ("test",)}


class Samples(Protocol):
    """Numbered pictures with their truth: uint8 and bool, each (rows, columns), with square pixels."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Grey, Mask]: ...


class Folder:
    """`images/` and `masks/` with the same file names, and `split.csv` with at least the columns file,split.

    The tear is where the mask is not zero, or where it equals `mask_value` if that is given.
    """

    def __init__(self, root: Path, split: str, mask_value: int | None = None) -> None:
        table = root / "split.csv"
        if not table.is_file():
            raise ValueError(f"{table} is missing; list every picture there in the columns file,split")
        with table.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        if not rows or not {"file", "split"} <= rows[0].keys():
            raise ValueError(
                f"{table} needs a first line with the columns file,split and a line for every picture"
            )
        self.root, self.mask_value = root, mask_value
        self.files = [row["file"] for row in rows if row["split"] in SPLITS[split]]
        if not self.files:
            raise ValueError(
                f"{table} gives no picture to the split {' or '.join(SPLITS[split])}; assign some to it"
            )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Grey, Mask]:
        name = self.files[index]
        pixels, marks = read_grey(self.root / "images" / name), _read_mask(self.root / "masks" / name)
        if pixels.shape != marks.shape:
            raise ValueError(
                f"{self.root / 'masks' / name} has another size than its picture; export it at that size"
            )
        return pixels, marks != 0 if self.mask_value is None else marks == self.mask_value


def read_grey(path: Path) -> Grey:
    """A picture file as uint8 (rows, columns). Raises OSError where it cannot be read."""
    pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
    if pixels is None:
        raise OSError(f"{path} is missing or is no picture; give PNG or JPEG files")
    return pixels.astype(np.uint8, copy=False)


def _read_mask(path: Path) -> NDArray[np.uint8]:
    """A mask's own values: PNG with a palette keeps its indices, which a picture reader would turn to
    colours.
    """
    if not path.is_file():
        raise OSError(
            f"{path} is missing; every picture needs a mask of the same name, empty where there is no tear"
        )
    try:
        from PIL import Image

        with Image.open(path) as image:
            return np.array(image if image.mode in {"P", "L"} else image.convert("L"), np.uint8)
    except ImportError:
        return read_grey(path)


def read_negatives(root: Path) -> list[Grey]:
    """Pictures without any tear, as uint8 (rows, columns).

    With `negatives.csv` (file,x,y,width,height,every) each file, picture or clip, is cut to its rectangle,
    which leaves the scanner's screen out, and of a clip every n-th frame is taken; without it all pictures
    are taken whole.
    """
    table = root / "negatives.csv"
    if not table.is_file():
        found = [read_grey(path) for path in sorted(root.rglob("*")) if path.suffix.lower() in PICTURES]
        if not found:
            raise ValueError(
                f"{root} holds neither pictures nor negatives.csv; give a folder of pictures without a tear"
            )
        return found
    pictures: list[Grey] = []
    with table.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            path = root / row["file"]
            sector = Sector(*(int(row[name]) for name in ("x", "y", "width", "height")))
            frames = (
                [read_grey(path)]
                if path.suffix.lower() in PICTURES
                else _clip(path, int(row.get("every") or 10))
            )
            pictures += [np.array(sector.check(frame.shape).cut(frame)) for frame in frames]  # type: ignore[misc]
    return pictures


def _clip(path: Path, every: int) -> Iterator[Grey]:
    """Every n-th frame of a clip, grey."""
    try:
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number % every == 0:
                    yield frame.to_ndarray(format="gray")
    except (FFmpegError, OSError) as error:
        raise OSError(
            f"{path} cannot be read as a clip ({error}); correct its line in negatives.csv"
        ) from error


def shrunk(pictures: Sequence[Grey], longest: int) -> list[Grey]:
    """The pictures at `longest` pixels or less, to hold many of them."""
    small = []
    for picture in pictures:
        scale = min(1.0, longest / max(picture.shape))
        size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
        small.append(cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False))
    return small


def order(count: int, epoch: int, seed: int) -> NDArray[np.int64]:
    """The order of `count` samples in one epoch."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def training_batch(
    samples: Samples,
    places: Sequence[int],
    negatives: Sequence[Grey],
    share: float,
    rng: np.random.Generator,
) -> list[tuple[Grey, Mask]]:
    """The samples at `places`, augmented; about `share` of them are replaced by pictures without a tear.

    Of those replaced, three in ten get a tear's shape pasted in: else 'looks real' alone would come to mean
    'no tear'.
    """
    pairs = []
    for place in places:
        pixels, mask = samples[int(place)]
        if negatives and rng.random() < share:
            picture = negatives[int(rng.integers(len(negatives)))]
            shape, mask = mask, np.zeros(picture.shape, np.bool_)
            pixels = picture
            if rng.random() < 0.3 and shape.any():
                pixels, mask = with_pasted_tear(picture, shape, rng)
        pairs.append(augment(pixels, mask, rng))
    return pairs
