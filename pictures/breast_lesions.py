"""Real lesions with real edges, cut out of labelled pictures, and which of them training may see."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from .labelled import read_table
from .masks import mask_path, read_truth
from .pixels import Grey, Mask
from .stills import read_grey

HALVES = {"train": ("train",), "test": ("val", "test")}
MARGIN = 0.35  # of the lesion's box that comes along on each side
MARKED = frozenset({  # calipers or words are burnt into them
    "benign_2.png", "benign_6.png", "benign_11.png", "benign_22.png",
    "malignant_10.png", "malignant_12.png", "malignant_13.png", "malignant_26.png",
})  # fmt: skip
OTHER_SIDE = frozenset({"malignant_3.png"})  # looks like malignant_4 to 9, which stand on the other side
SMALLEST, LARGEST = 0.004, 0.22  # share of its picture: smaller has no texture, larger no surroundings


class Lesion(NamedTuple):
    """A lesion and what surrounds it: grey and mask are (rows, columns) of one shape."""

    grey: Grey
    mask: Mask
    name: str


def lesions_for(split: str, folder: Path) -> list[Lesion]:
    """The lesions of BUSI (`folder` holds images/, masks/ and split.csv) that `split`, train or test, may use.

    **The rule**: what its split.csv calls train is for training, all else (val, test) for tests. That table keeps
    near-duplicates on one side; a hash of the file's name would not. Lesions that touch the picture's border, are
    very small or very large, or are MARKED or OTHER_SIDE, are left out. Raises ValueError or OSError in one sentence.
    """
    if split not in HALVES:
        raise InputError(f"{split} is no half of the lesions; give train or test")
    table = read_table(folder / "split.csv")
    found = [
        _cut_out(folder, name) for name, word in table if word in HALVES[split] and name not in MARKED | OTHER_SIDE
    ]
    lesions = [lesion for lesion in found if lesion is not None]
    if not lesions:
        raise InputError(f"{folder} holds no lesion for {split}; its split.csv names none, or all touch the border")
    return lesions


def _cut_out(folder: Path, name: str) -> Lesion | None:
    grey = read_grey(folder / "images" / name)
    mask = read_truth(mask_path(folder / "masks", name), grey.shape, None)
    if not SMALLEST <= mask.mean() <= LARGEST:
        return None
    spans = []
    for axis, size in enumerate(mask.shape):
        hit = np.flatnonzero(mask.any(axis=1 - axis))
        margin = int(MARGIN * (hit[-1] - hit[0] + 1)) + 4
        if hit[0] < 4 or hit[-1] >= size - 4:
            return None
        spans.append(slice(max(int(hit[0]) - margin, 0), int(hit[-1]) + margin + 1))
    part = (spans[0], spans[1])
    return Lesion(grey[part].copy(), mask[part].copy(), name)
