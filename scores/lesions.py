"""Tears counted one by one, as an examiner would: how many are found, and how many outlines mean nothing."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..errors import InputError
from ..pictures.pixels import Mask

COVERED = 0.1  # of a tear's pixels must be outlined for it to be found


@dataclass(slots=True)
class Lesions:
    """Summed over pictures. A tear is an 8-connected part of the truth, an outline one of the mask.

    A tear is found where outlines cover a tenth of it or more; an outline is false where it holds no pixel
    of any tear.
    """

    tears: int = 0
    found: int = 0
    outlines: int = 0
    false_outlines: int = 0

    def add(self, mask: Mask, truth: Mask) -> None:
        """Count one picture; both bool (rows, columns) of one shape, else ValueError."""
        if mask.shape != truth.shape:
            raise InputError(f"the mask is {mask.shape} but its truth is {truth.shape} (rows, columns)")
        covered = _shares(truth, mask)
        touched = _shares(mask, truth)
        self.tears += len(covered)
        self.found += int(np.count_nonzero(covered >= COVERED))
        self.outlines += len(touched)
        self.false_outlines += int(np.count_nonzero(touched == 0))

    @property
    def sensitivity(self) -> float | None:
        """Tears found of all tears; None where there is none."""
        return self.found / self.tears if self.tears else None

    def as_report(self) -> dict[str, int | float | None]:
        """The counts and the lesion-wise sensitivity."""
        return {
            "tears": self.tears,
            "tears_found": self.found,
            "outlines": self.outlines,
            "false_outlines": self.false_outlines,
            "lesion_sensitivity": self.sensitivity,
        }


def is_found(mask: Mask, truth: Mask) -> bool:
    """Whether outlines cover a tenth of the one tear in `truth` or more, however many parts it has.

    Both are bool (rows, columns) of one shape.
    """
    return bool(np.count_nonzero(mask & truth) >= COVERED * np.count_nonzero(truth))


def _shares(parts: Mask, other: Mask) -> np.ndarray:
    """For each 8-connected part of `parts`, the share of its pixels that are in `other` too."""
    if not parts.any():
        return np.zeros(0)
    count, labels = cv2.connectedComponents(parts.astype(np.uint8), connectivity=8)
    areas = np.bincount(labels.ravel(), minlength=count)[1:]
    return np.bincount(labels[other], minlength=count)[1:] / areas
