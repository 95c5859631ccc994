"""Confidence of tear and other pixels as two histograms, and what any threshold would score on them. Numpy
only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..pictures.pixels import Mask

EDGES = np.linspace(-12.0, 12.0, 481)  # of logit(q)


class Score(NamedTuple):
    """Pooled over pixels, for outlines drawn where logit(q) >= `logit`."""

    logit: float
    dice: float
    precision: float
    recall: float


def logit(q: NDArray[np.floating]) -> NDArray[np.float64]:
    """ln(q / (1 - q)), held inside the histograms' range; any shape."""
    q = np.clip(q.astype(np.float64), 1e-9, 1 - 1e-9)
    return np.log(q) - np.log1p(-q)


@dataclass
class Histograms:
    """Pixels by logit(q), tear and not, summed over frames."""

    tear: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(EDGES) - 1, np.int64))
    other: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(EDGES) - 1, np.int64))

    def add(self, logits: NDArray[np.floating], truth: Mask) -> None:
        """Count pixels of logit(q) and truth, both of one shape."""
        place = np.clip(np.searchsorted(EDGES, logits, side="right") - 1, 0, len(EDGES) - 2)
        self.tear += np.bincount(place[truth], minlength=len(EDGES) - 1)
        self.other += np.bincount(place[~truth], minlength=len(EDGES) - 1)

    def scores(self) -> list[Score]:
        """One score for every lower edge, from the lowest threshold to the highest."""
        tp = np.cumsum(self.tear[::-1])[::-1].astype(np.float64)
        fp = np.cumsum(self.other[::-1])[::-1].astype(np.float64)
        tears = max(float(self.tear.sum()), 1.0)
        dice = 2 * tp / np.maximum(tp + fp + tears, 1.0)
        precision, recall = tp / np.maximum(tp + fp, 1.0), tp / tears
        return [Score(*map(float, row)) for row in zip(EDGES[:-1], dice, precision, recall, strict=True)]

    def best(self, recall: float = 0.0) -> Score:
        """The best pooled Dice among thresholds that reach `recall`; where none does, the best of all."""
        scores = self.scores()
        reaching = [score for score in scores if score.recall >= recall]
        return max(reaching or scores, key=lambda score: score.dice)
