"""Pixel counts and the scores made of them, in numpy: the same everywhere, and without torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..pictures.pixels import Mask


@dataclass(slots=True)
class Counts:
    """Pixels summed over frames (the paper pools its metrics so), and frames without a tear.

    `false_positive_frames` of the `negative_frames` (truth empty) carried an outline.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    false_positive_frames: int = 0
    negative_frames: int = 0

    def add(self, mask: Mask, truth: Mask) -> None:
        """Count one frame; both bool (rows, columns) of one shape, else ValueError."""
        if mask.shape != truth.shape:
            raise InputError(f"the mask is {mask.shape} but its truth is {truth.shape} (rows, columns)")
        tp = int(np.count_nonzero(mask & truth))
        marked, wanted = int(np.count_nonzero(mask)), int(np.count_nonzero(truth))
        self.tp += tp
        self.fp += marked - tp
        self.fn += wanted - tp
        self.negative_frames += wanted == 0
        self.false_positive_frames += wanted == 0 and marked > 0

    def merge(self, other: Counts) -> None:
        """Add another's counts to these."""
        self.tp += other.tp
        self.fp += other.fp
        self.fn += other.fn
        self.false_positive_frames += other.false_positive_frames
        self.negative_frames += other.negative_frames

    @property
    def dice_pooled(self) -> float | None:
        """2 TP / (2 TP + FP + FN) over all pixels; None where there is neither truth nor outline."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else None

    @property
    def iou(self) -> float | None:
        """TP / (TP + FP + FN) over all pixels; None where there is neither truth nor outline."""
        total = self.tp + self.fp + self.fn
        return self.tp / total if total else None

    @property
    def precision(self) -> float | None:
        """TP / (TP + FP); None where nothing was outlined."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else None

    @property
    def recall(self) -> float | None:
        """TP / (TP + FN); None where there is no tear."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else None

    def as_report(self) -> dict[str, int | float | None]:
        """The report's `truth` block."""
        return {
            "tp": self.tp,
            "fp": self.fp,
            "fn": self.fn,
            "precision": self.precision,
            "recall": self.recall,
            "dice_pooled": self.dice_pooled,
            "iou": self.iou,
            "false_positive_frames": self.false_positive_frames,
            "negative_frames": self.negative_frames,
        }


class PictureDice:
    """Each picture's own Dice, of pictures with a tear; one of them without an outline scores 0.

    A picture without a tear does not count here: with an outline it is one of `Counts.false_positive_frames`.
    """

    def __init__(self) -> None:
        self.each: list[float] = []

    def add(self, mask: Mask, truth: Mask) -> None:
        """Score one picture; both bool (rows, columns) of one shape, else ValueError."""
        counts = Counts()
        counts.add(mask, truth)
        if not counts.negative_frames:
            self.each.append(counts.dice_pooled or 0.0)

    @property
    def mean(self) -> float | None:
        """None where there is no picture with a tear."""
        return float(np.mean(self.each)) if self.each else None
