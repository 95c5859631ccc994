"""What a person should hear of labelled pictures before the first step is learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...engine.letterbox import letterbox_mask
from ...pictures.labelled import LabelledFolder
from ...pictures.masks import mask_path, read_mask
from ...pictures.pixels import whole
from ...pictures.tables import read_rows


def doubts(train: LabelledFolder, validate: LabelledFolder, size: int) -> list[str]:
    """Sentences: patients on both sides, classes that are merged, tears that vanish on a square of `size` pixels."""
    told = _patients(train, validate)
    values: set[int] = set()
    gone: list[str] = []
    for name in train.files:
        mask = read_mask(mask_path(train.root / "masks", name))
        held = set(np.unique(mask).tolist()) - {0}
        values |= held
        tear = mask > 0 if train.mask_value is None else mask == train.mask_value
        if tear.any() and not letterbox_mask(tear, whole(mask.shape), size).any():
            gone.append(name)
    if train.mask_value is None and 1 < len(values) <= 16:  # more are the greys of a soft edge
        listed = ", ".join(map(str, sorted(values)))
        told.append(f"the masks have the values {listed}, and all of them count as tear; --mask-value picks one")
    if gone:
        told.append(
            f"the tear of {len(gone)} of {len(train.files)} pictures, such as {gone[0]}, is too small to be seen at "
            f"{size} x {size} pixels; a larger --size keeps it"
        )
    return told


def _patients(train: LabelledFolder, validate: LabelledFolder) -> list[str]:
    known = _known(train.root)
    sides = [{known.get(name) or _folder(name) for name in part.files} - {""} for part in (train, validate)]
    both = sorted(sides[0] & sides[1])
    if not both:
        return []
    return [
        f"{len(both)} patients, such as {both[0]}, have pictures in both train and val, so the validation is too good; "
        "give each one split in split.csv"
    ]


def _known(root: Path) -> dict[str, str]:
    """Whose each file is, by the column patient of split.csv or patients.csv."""
    found: dict[str, str] = {}
    for table in (root / "split.csv", root / "patients.csv"):
        if table.is_file():
            columns, rows = read_rows(table)
            if {"file", "patient"} <= columns:
                found |= {(row["file"] or "").strip(): (row["patient"] or "").strip() for _, row in rows}
    return found


def _folder(name: str) -> str:
    """A picture in a folder of its own kind, p7/03.png, is its patient's."""
    return name.rpartition("/")[0]
