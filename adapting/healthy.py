"""Real pictures without a tear beside a clinic's frames: some are rehearsed, others find the operating points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..pictures.negatives import read_negatives, shrunk
from ..pictures.pixels import Grey
from ..train.study.pictures import StudyPicture, StudyPictures

KEPT_OUT = 4  # of so many pictures one is not learnt from, where no table says which


@dataclass(frozen=True)
class HealthyPictures:
    """To learn from and held out; both may be empty."""

    learn: list[Grey]
    held: list[Grey]


def read_healthy(folder: Path | None, longest: int) -> HealthyPictures:
    """The pictures of `folder` at `longest` pixels or less; none where no folder is given.

    With negatives.csv those of its splits train and val. Without it the last quarter is held out: neighbours in a
    folder are mostly of one patient. Raises ValueError or OSError for what cannot be used.
    """
    if folder is None:
        return HealthyPictures([], [])
    learn = read_negatives(folder, "train")
    if (folder / "negatives.csv").is_file():
        held = read_negatives(folder, "val")
    else:
        number = len(learn) // KEPT_OUT
        if not number:
            raise InputError(f"{folder} holds {len(learn)} pictures without a tear; give {KEPT_OUT} or more, or none")
        learn, held = learn[:-number], learn[-number:]
    return HealthyPictures(shrunk(learn, longest), shrunk(held, longest))


def as_samples(pictures: Sequence[Grey]) -> StudyPictures:
    """The pictures with empty masks."""
    items = [StudyPicture(picture, np.zeros(picture.shape, np.bool_)) for picture in pictures]
    return StudyPictures(items, [str(n) for n in range(len(items))])
