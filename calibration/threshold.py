"""The operating point: which confidence is outlined, how small a spot is left out, when the classifier forbids it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pictures.pixels import Mask
from ..scores.counts import Counts
from ..scores.histograms import Histograms, Score

AREAS = (0, 8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 400, 512)  # network pixels
TEARS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)  # the classifier's probability of a tear
STEPS = 8  # thresholds tried
EMPTY_SHARE = 0.03  # of the frames without a tear may carry an outline, in each group of frames: of 'balanced'
DICE_LOSS = 0.01  # that caution may cost
FEW = 40  # frames: of fewer no threshold for the classifier is chosen, which one picture could decide


class Kept(NamedTuple):
    """One frame's answer: logit(q) float16 and truth (size, size), the classifier's probability, and its group."""

    logits: NDArray[np.float16]
    truth: Mask
    tear: float
    group: str


class Gates(NamedTuple):
    """What decides an outline: a threshold on logit(q), a smallest area in pixels, a classifier's threshold."""

    logit: float
    min_area: int = 0
    tear: float = 0.0


class Spots(NamedTuple):
    """All frames' outlined spots at one threshold, one after another, and each frame's own numbers."""

    frame: NDArray[np.int64]  # (spots,) which frame a spot is in
    areas: NDArray[np.int64]
    hits: NDArray[np.int64]  # tear pixels in it
    wanted: NDArray[np.int64]  # (frames,) tear pixels in each
    tear: NDArray[np.float64]
    group: NDArray[np.str_]

    def counts(self, gates: Gates) -> dict[str, Counts]:
        """What is scored in each group of frames with these gates."""
        kept = (self.areas >= gates.min_area) & (self.tear[self.frame] >= gates.tear)
        frames = len(self.wanted)
        marked = np.bincount(self.frame[kept], self.areas[kept], frames).astype(np.int64)
        tp = np.bincount(self.frame[kept], self.hits[kept], frames).astype(np.int64)
        found = {}
        for group in np.unique(self.group):
            here = self.group == group
            empty = here & (self.wanted == 0)
            found[str(group)] = Counts(
                int(tp[here].sum()),
                int((marked - tp)[here].sum()),
                int((self.wanted - tp)[here].sum()),
                int((marked[empty] > 0).sum()),
                int(empty.sum()),
            )
        return found

    def missed(self, gates: Gates) -> float:
        """Share of the frames with a tear of which no part is outlined; 0 where there are none."""
        kept = (self.areas >= gates.min_area) & (self.tear[self.frame] >= gates.tear)
        tp = np.bincount(self.frame[kept], self.hits[kept], len(self.wanted))
        torn = self.wanted > 0
        return float((tp[torn] == 0).mean()) if torn.any() else 0.0


class ThresholdChoice(NamedTuple):
    """Gates, and what they reach."""

    gates: Gates
    groups: dict[str, Counts]
    missed: float

    @property
    def dice(self) -> float:
        """Pooled over all groups of frames."""
        return total(self.groups).dice_pooled or 0.0

    @property
    def worth(self) -> float:
        """Pooled Dice less the share of tears missed, in which a small one weighs as much as any."""
        return self.dice - self.missed


def spots(frames: Sequence[Kept], logit: float) -> Spots:
    """The 8-connected spots of every frame at or above a threshold, against their truth."""
    where, areas, hits = [], [], []
    for number, frame in enumerate(frames):
        above = (frame.logits >= logit).astype(np.uint8)
        count, labels = cv2.connectedComponents(above, connectivity=8)
        where.append(np.full(count - 1, number))
        areas.append(np.bincount(labels.ravel(), minlength=count)[1:])
        hits.append(np.bincount(labels[frame.truth], minlength=count)[1:])
    wanted = np.array([int(frame.truth.sum()) for frame in frames])
    own = wanted, np.array([f.tear for f in frames]), np.array([f.group for f in frames])
    return Spots(_flat(where), _flat(areas), _flat(hits), *own)


def _flat(parts: Sequence[NDArray[np.integer]]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.int64)


def total(groups: dict[str, Counts]) -> Counts:
    """All groups together."""
    everything = Counts()
    for counts in groups.values():
        everything.merge(counts)
    return everything


def false_share(groups: dict[str, Counts]) -> float:
    """The worst group's share of frames without a tear that carry an outline, its standard error added.

    Few such frames make the share unsure: that counts against it.
    """
    shares = [0.0]
    for counts in groups.values():
        if counts.negative_frames:
            share = counts.false_positive_frames / counts.negative_frames
            shares.append(share + float(np.sqrt(share * (1 - share) / counts.negative_frames)))
    return max(shares)


def choose_gates(frames: Sequence[Kept], main: Histograms, recall: float = 0.0) -> ThresholdChoice:
    """The gates of most worth that keep outlines off all but 3 % of the empty frames of every group.

    The threshold starts where `main`, the pixels calibrated for, has its best Dice (of all pixels pooled, F1) among
    those that reach `recall`; caution may cost 0.01 of Dice and may not take recall below what was wanted. Where 3 %
    cannot be had so, the gates with the fewest outlines on empty frames. The classifier decides too where there are
    40 frames to see whether that helps.
    """
    first = main.best(recall)
    tried = list(tried_gates(frames, _thresholds(main, first, recall)))
    least = max(choice.dice for choice in tried) - DICE_LOSS
    allowed = [choice for choice in tried if choice.dice >= least]
    good = [choice for choice in allowed if false_share(choice.groups) <= EMPTY_SHARE]
    if good:
        return max(good, key=lambda choice: choice.worth)
    return min(allowed, key=lambda choice: (false_share(choice.groups), -choice.worth))


def _thresholds(main: Histograms, first: Score, recall: float) -> list[float]:
    """The first threshold, and some between it and the highest that still reaches the recall at about its Dice."""
    reaching = [s.logit for s in main.scores() if s.recall >= recall and s.dice >= first.dice - DICE_LOSS]
    return np.unique(np.linspace(first.logit, max([first.logit, *reaching]), STEPS)).tolist()


def tried_gates(
    frames: Sequence[Kept], thresholds: Sequence[float], within: Callable[[Gates], bool] = lambda gates: True
) -> Iterator[ThresholdChoice]:
    """Every combination of a threshold with the areas and classifier's thresholds that is `within` what is wanted."""
    for threshold in thresholds:
        found = spots(frames, threshold)
        for area, tear in product(AREAS, TEARS if len(frames) >= FEW else TEARS[:1]):
            gates = Gates(threshold, area, tear)
            if not within(gates):
                continue
            yield ThresholdChoice(gates, found.counts(gates), found.missed(gates))
