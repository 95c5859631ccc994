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

from ...engine.labelled import read_grey
from ...engine.pixels import Grey, Mask, Sector
from .augment import augment, gained
from .composite import composite, decoy

COMPOSITES = 0.5  # of the real pictures in a batch get a simulated tear
DECOYS = 0.15  # of them get a patch that is none
PLAIN = 500  # samples that say what is usual
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}


class Samples(Protocol):
    """Numbered pictures with their truth: uint8 and bool, each (rows, columns), with square pixels."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Grey, Mask]: ...


def read_negatives(root: Path, split: str = "train") -> list[Grey]:
    """Pictures without any tear, as uint8 (rows, columns).

    With `negatives.csv` (file,x,y,width,height,every,split) each file of that `split`, picture or clip, is cut to
    its rectangle, which leaves the scanner's screen out, and of a clip every n-th frame is taken; lines without a
    split are 'train'. Without the table all pictures are taken whole.
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
            if (row.get("split") or "train") != split:
                continue
            path = root / row["file"]
            sector = Sector(*(int(row[name]) for name in ("x", "y", "width", "height")))
            frames = [read_grey(path)] if path.suffix.lower() in PICTURES else _clip(path, int(row.get("every") or 10))
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
        raise OSError(f"{path} cannot be read as a clip ({error}); correct its line in negatives.csv") from error


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
    """The samples at `places`, augmented; about `share` of them are replaced by real pictures without a tear.

    Half of those get a simulated tear set in (else 'looks real' alone would come to mean 'no tear'), some a patch
    that is none; the sample's own tear, if it has one, lends the outline.
    """
    return [_one(*samples[int(place)], negatives, share, rng) for place in places]


def _one(
    pixels: Grey, mask: Mask, negatives: Sequence[Grey], share: float, rng: np.random.Generator
) -> tuple[Grey, Mask]:
    if negatives and rng.random() < share:
        pixels, mask = real(negatives[int(rng.integers(len(negatives)))], mask, rng)
    return augment(pixels, mask, rng)


def plain_views(samples: Samples, negatives: Sequence[Grey], seed: int) -> list[Grey]:
    """Training pictures as a scanner shows them, at its usual gains: up to 500 samples, evenly spaced, and the real
    pictures as they are and with a simulated tear; each as it is, and once more with the gain turned a little.
    """
    rng = np.random.default_rng((seed, PLAIN))
    chosen = [samples[int(n)] for n in np.unique(np.linspace(0, len(samples) - 1, PLAIN).astype(int))]
    views = [pixels for pixels, _ in chosen] + list(negatives) * 2
    views += [real(picture, chosen[n % len(chosen)][1], rng)[0] for n, picture in enumerate(negatives)]
    return views + [gained(view, rng) for view in views]


def real(picture: Grey, outline: Mask, rng: np.random.Generator) -> tuple[Grey, Mask]:
    """A real picture without a tear: as it is, with a simulated tear of that outline set in, or with a decoy."""
    kind = rng.random()
    if outline.any() and kind < COMPOSITES:
        return composite(picture, outline, rng)
    if outline.any() and kind < COMPOSITES + DECOYS:
        picture = decoy(picture, outline, rng)
    return picture, np.zeros(picture.shape, np.bool_)
