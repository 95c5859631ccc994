"""Every form of labelled pictures that training takes, opened and checked before anything is learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...engine.labelled import LabelledFolder
from .annotations import Annotated, find_annotations
from .samples import Samples

FORMS = (
    "a folder with images/ and masks/ (split.csv where pictures belong to patients), a COCO .json, "
    "a CVAT .xml or the folder of its export, or a folder of LabelMe .json files"
)


def open_data(data: str | Path, split: str, mask_value: int | None = None, label: str | None = None) -> Samples:
    """The pictures and masks of `data` that belong to `split` (train, validate or test).

    `data` is one of FORMS. Without split.csv a picture's split follows from a hash of its name (70/15/15), so it
    never changes; the same patient can then be on both sides. `mask_value` picks one class of masks, `label` one
    label of annotations; a label must be named where there are several. Raises ValueError or OSError with one
    sentence.
    """
    root = Path(data)
    if not root.exists():
        raise FileNotFoundError(f"there is no file or folder {data}; give {FORMS}")
    if root.is_dir() and (root / "masks").is_dir():
        if label is not None:
            raise ValueError(f"{root} has masks, which have values and no labels; give a mask value instead of {label}")
        return LabelledFolder(root, split, mask_value)
    found = find_annotations(root, split)
    if found is None:
        raise ValueError(f"{root} holds no masks and no annotations; give {FORMS}")
    if mask_value is not None:
        raise ValueError(f"{root} has labels and no mask values; give a label instead of {mask_value}")
    return Annotated(found, split, label)


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` has seen."""

    pictures: int
    with_tear: int
    share: float  # of all pixels


def check(samples: Samples, progress: Callable[[int, int], None] | None = None) -> Checked:
    """Read every picture and mask once, so that a bad file is found now and not hours later.

    `progress` hears (done, of). Raises the reader's ValueError or OSError, which names the file, and ValueError
    where not one picture has a tear.
    """
    tears, marked, pixels = 0, 0, 0
    for number in range(len(samples)):
        _, mask = samples[number]
        inside = int(np.count_nonzero(mask))
        tears, marked, pixels = tears + (inside > 0), marked + inside, pixels + mask.size
        if progress is not None:
            progress(number + 1, len(samples))
    if not tears:
        where = getattr(samples, "root", "this data")
        value = getattr(samples, "mask_value", None)
        cure = "mark some, or give the right mask value" if value is None else f"is {value} the tear's mask value?"
        raise ValueError(f"not one of the {len(samples)} pictures of {where} has a tear; {cure}")
    return Checked(len(samples), tears, marked / max(pixels, 1))
