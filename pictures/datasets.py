"""Every form of labelled pictures that training takes, opened and checked before anything is learned."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import InputError, MissingFile
from .annotation_files import find_annotations
from .annotations import Annotated
from .labelled import LabelledFolder, spoken
from .pixels import Grey, Mask

FORMS = (
    "a folder with images/ and masks/ (split.csv where pictures belong to patients), a COCO .json, "
    "a CVAT .xml or the folder of its export, or a folder of LabelMe .json files"
)


def open_data(
    data: str | Path, split: str, mask_value: int | None = None, label: str | None = None
) -> LabelledFolder | Annotated:
    """The pictures and masks of `data` that belong to `split` (train, validate or test).

    `data` is one of FORMS. Without split.csv a picture's split follows from a hash of its name (70/15/15), so it
    never changes; the same patient can then be on both sides. `mask_value` picks one class of masks, `label` one
    label of annotations; a label must be named where there are several. Raises ValueError or OSError with one
    sentence.
    """
    root = Path(data)
    if not root.exists():
        raise MissingFile(f"there is no file or folder {data}; give {FORMS}")
    if root.is_dir() and (root / "masks").is_dir():
        if label is not None:
            raise InputError(f"{root} has masks, which have values and no labels; give a mask value instead of {label}")
        return LabelledFolder(root, split, mask_value)
    found = find_annotations(root, split)
    if found is None:
        raise InputError(f"{root} holds no masks and no annotations of the split {spoken(split)}; give {FORMS}")
    if mask_value is not None:
        raise InputError(f"{root} has labels and no mask values; give a label instead of {mask_value}")
    return Annotated(found, split, label)


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` has seen."""

    pictures: int
    with_tear: int
    share: float  # of all pixels
    digest: str  # changes with any pixel of any picture or mask, and with their order


def check_samples(samples: Samples, progress: Callable[[int, int], None] | None = None) -> Checked:
    """Read every picture and mask once, so that a bad file is found now and not hours later.

    `progress` hears (done, of). Raises the reader's ValueError or OSError, which names the file, and ValueError
    where not one picture has a tear.
    """
    tears, marked, pixels = 0, 0, 0
    total = hashlib.blake2b(digest_size=16)
    for number in range(len(samples)):
        picture, mask = samples[number]
        _add(total, picture, mask)
        inside = int(np.count_nonzero(mask))
        tears, marked, pixels = tears + (inside > 0), marked + inside, pixels + mask.size
        if progress is not None:
            progress(number + 1, len(samples))
    if not tears:
        raise _without_tear(samples)
    return Checked(len(samples), tears, marked / max(pixels, 1), total.hexdigest())


def _add(total: hashlib.blake2b, picture: Grey, mask: Mask | None = None) -> None:
    total.update(f"{picture.shape};".encode())
    total.update(picture.tobytes())
    if mask is not None:
        total.update(np.packbits(mask).tobytes())


def _without_tear(samples: Samples) -> ValueError:
    """What to say where there is nothing to learn."""
    if isinstance(samples, Annotated):
        where, cure = samples.source, f"is {samples.label} the tear's label?"
    elif isinstance(samples, LabelledFolder):
        value = samples.mask_value
        where, cure = samples.root, "mark some" if value is None else f"is {value} the tear's mask value?"
    else:
        return InputError(f"not one of {len(samples)} pictures has a tear; give more, or more seeds of phantoms")
    return InputError(
        f"not one of the {len(samples)} pictures of {where} in the split {spoken(samples.split)} has a tear; {cure}"
    )


def needs_tear(samples: Samples) -> None:
    """ValueError where not one picture has a tear; reads no further than to the first that has."""
    if not any(samples[number][1].any() for number in range(len(samples))):
        raise _without_tear(samples)


def digest_of(parts: Iterable[str], negatives: Sequence[Grey] = ()) -> str:
    """One digest of several, and of pictures without a tear: what a training has learnt from."""
    total = hashlib.blake2b("/".join(parts).encode(), digest_size=16)
    for picture in negatives:
        _add(total, picture)
    return total.hexdigest()


class Samples(Protocol):
    """Numbered pictures with their truth: uint8 and bool, each (rows, columns), with square pixels."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Grey, Mask]: ...
