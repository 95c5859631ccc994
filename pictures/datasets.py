"""Every form of labelled pictures, opened in one place for every command, and checked before anything is learned."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import InputError, MissingFile
from .filetypes import ANNOTATION_SUFFIXES
from .labelled import ALL, LabelledFolder, spoken
from .outlines.annotated import Annotated
from .outlines.finding import coco_of_splits, common_file, find_annotations, labelme_files, looks_like_labelme
from .pixels import Grey, Mask

FORMS = (
    "a folder with images/ and masks/ (split.csv where pictures belong to patients), a COCO .json, "
    "a CVAT .xml or the folder of its export, or a folder of LabelMe .json files"
)


Labels = str | Sequence[str] | None  # one name, or several that are the tear together


class FilesOfSplits:
    """The pictures of several annotation files, one after the other."""

    def __init__(self, parts: Sequence[Annotated], root: Path, split: str) -> None:
        self.parts, self.root, self.split, self.source = parts, root, split, root
        self.labels = parts[0].labels
        self._place = [(part, number) for part in parts for number in range(len(part))]

    @property
    def files(self) -> list[str]:
        """The pictures' names, in order."""
        return [part.files[number] for part, number in self._place]

    def __len__(self) -> int:
        return len(self._place)

    def __getitem__(self, index: int) -> tuple[Grey, Mask]:
        part, number = self._place[index]
        return part[number]

    def picture(self, index: int) -> Path:
        """See `Annotated.picture`."""
        part, number = self._place[index]
        return part.picture(number)

    def truth(self, index: int, shape: tuple[int, ...]) -> Mask:
        """See `Annotated.truth`."""
        part, number = self._place[index]
        return part.truth(number, shape)


Outlined = Annotated | FilesOfSplits
Data = LabelledFolder | Outlined


def form_of(data: str | Path) -> str | None:
    """'masks' or 'outlines' where `data` is one of FORMS, told without reading it; None where it is something else.

    A folder is none where its .json files beside the pictures are not LabelMe's.
    """
    root = Path(data)
    if root.is_file():
        return "outlines" if root.suffix.lower() in ANNOTATION_SUFFIXES else None
    if (root / "images").is_dir() and (root / "masks").is_dir():
        return "masks"
    if coco_of_splits(root, ALL) or common_file(root) or any(map(looks_like_labelme, labelme_files(root))):
        return "outlines"
    return "masks" if (root / "images").is_dir() and (root / "split.csv").is_file() else None


def open_data(data: str | Path, split: str, mask_value: int | None = None, label: Labels = None) -> Data:
    """The pictures and masks of `data` that belong to `split` (train, validate or val, test, all).

    `data` is one of FORMS. Without split.csv a picture's split follows from a hash of its name (70/15/15), so it
    never changes; the same patient can then be on both sides. `mask_value` picks one class of masks, `label` one
    label of annotations, or several that are one tear together; a label must be named where there are several.
    Raises ValueError or OSError with one sentence.
    """
    root, labels = Path(data), (label,) if isinstance(label, str) else tuple(label or ())
    if not root.exists():
        raise MissingFile(f"there is no file or folder {data}; give {FORMS}")
    if root.is_dir() and (root / "masks").is_dir():
        if labels:
            named = ", ".join(labels)
            raise InputError(f"{root} has masks, which have values and no labels; give a mask value instead of {named}")
        return LabelledFolder(root, split, mask_value)
    found = find_annotations(root, split)
    if not found:
        raise InputError(f"{root} holds no masks and no annotations of the split {spoken(split)}; give {FORMS}")
    if mask_value is not None:
        raise InputError(f"{root} has labels and no mask values; give a label instead of {mask_value}")
    if len(found) == 1:
        return Annotated(found[0], split, labels)
    known = tuple(sorted({label for part in found for label in part.labels}))
    return FilesOfSplits([Annotated(replace(part, labels=known), split, labels) for part in found], root, split)


def refuse_choice(data: str, mask_value: int | None, label: Labels) -> None:
    """ValueError where a class is picked of `data` that has none, or for a phantom, which has tears only."""
    if mask_value is None and not label:
        return
    if data == "phantom" or data.startswith("phantom:"):
        raise InputError("phantoms have tears only; leave --mask-value and --label out, or give --data")
    raise InputError(f"{data} has neither masks nor labels; leave --mask-value and --label out, or give {FORMS}")


def truth_by_picture(data: Outlined) -> Callable[[Path, tuple[int, ...]], Mask | None]:
    """(a picture's file, its rows and columns) -> where its tear is; None where nothing is known of the picture."""
    known = {data.picture(number).resolve(): number for number in range(len(data))}

    def truth(path: Path, shape: tuple[int, ...]) -> Mask | None:
        number = known.get(path.resolve())
        return None if number is None else data.truth(number, shape)

    return truth


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
    if isinstance(samples, Outlined):
        where, cure = samples.source, f"is {' or '.join(samples.labels)} the tear's label?"
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
