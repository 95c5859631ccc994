"""The three points of a model, and where 'unsure' begins at each, from the same answers as its usual point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from ..engine.operating_point import PointName, Reached
from ..engine.segmenter import spots_in
from ..pictures.pixels import Mask
from ..scores.counts import Counts
from ..scores.histograms import Histograms
from .threshold import Gates, Kept, ThresholdChoice, choose_gates, false_share, total, tried_gates

CAREFUL_SHARE = 0.01  # of the frames without a tear may carry an outline at 'careful' ...
SEARCHING_SHARE = 0.10  # ... and at 'searching'
CAREFUL_RECALL = 0.5  # 'careful' may cost up to half of the tear pixels that the usual point finds
SEARCHING_PRECISION = 0.25  # of all pixels put together: below, 'searching' does not look
UNSURE_RIGHT = 0.25  # one in four unsure regions must lie on a tear ...
UNSURE_SHARE = 0.10  # ... and so many of the frames without a tear may carry one
UNSURE_FROM = 0.02  # fitted q: below, nothing is ever unsure
ON_TEAR = 0.1  # of a region's pixels must be tear for it to lie on one
TRIED = 8  # thresholds, for each point and for each 'unsure'
FEW_REGIONS = 4  # of fewer no share is believed


class PointChoice(NamedTuple):
    """A point's gates, logit(q) from which a region is unsure (None: no such answer), and what that reaches."""

    gates: Gates
    unsure: float | None
    groups: dict[str, Counts]
    reached: Reached


class _Doubt(NamedTuple):
    """What 'unsure' from one logit(q) on means."""

    logit: float
    regions: int
    right: int  # of those lie on a tear
    empty: dict[str, Counts]  # of which only the frames without a tear are counted
    found: Sequence[bool]  # each frame with a tear: whether a part of it is outlined or unsure

    @property
    def good(self) -> bool:
        """Whether it may be shown; both shares as doubtful as few frames make them."""
        if self.regions < FEW_REGIONS:
            return False
        share = self.right / self.regions
        share -= float(np.sqrt(share * (1 - share) / self.regions))
        return share >= UNSURE_RIGHT and false_share(self.empty) <= UNSURE_SHARE


def choose_points(
    frames: Sequence[Kept], main: Histograms, fit: tuple[float, float], recall: float = 0.0
) -> dict[PointName, PointChoice]:
    """All three points from one pass over the frames; `fit` is Platt's slope and intercept.

    'balanced' is the point of `choose_gates`. 'careful' is that of most worth with outlines on 1 % of the frames
    without a tear or less; 'searching' that of the best F2 less the share of tears missed, with outlines on 10 % of
    them or less. Where a share cannot be had, the point with the fewest. What 'careful' outlines, 'balanced' outlines
    too, and what that outlines, 'searching' does.
    """
    usual = choose_gates(frames, main, recall)
    chosen: dict[PointName, ThresholdChoice] = {
        "careful": _careful(frames, main, usual),
        "balanced": usual,
        "searching": _searching(frames, main, usual),
    }
    least = (float(np.log(UNSURE_FROM / (1 - UNSURE_FROM))) - fit[1]) / fit[0]
    return {name: _with_unsure(frames, choice, least) for name, choice in chosen.items()}


def _careful(frames: Sequence[Kept], main: Histograms, usual: ThresholdChoice) -> ThresholdChoice:
    least = usual.gates
    reached = max((score.recall for score in main.scores() if score.logit >= least.logit), default=0.0)
    highest = max((s.logit for s in main.scores() if s.recall >= CAREFUL_RECALL * reached), default=least.logit)
    thresholds = np.unique(np.linspace(least.logit, max(least.logit, highest), TRIED)).tolist()

    def within(gates: Gates) -> bool:
        return gates.min_area >= least.min_area and gates.tear >= least.tear

    tried = [usual, *tried_gates(frames, thresholds, within)]
    good = [choice for choice in tried if false_share(choice.groups) <= CAREFUL_SHARE]
    if good:
        return max(good, key=lambda choice: choice.worth)
    return min(tried, key=lambda choice: (false_share(choice.groups), -choice.worth))


def _searching(frames: Sequence[Kept], main: Histograms, usual: ThresholdChoice) -> ThresholdChoice:
    most = usual.gates
    lowest = min((s.logit for s in main.scores() if s.precision >= SEARCHING_PRECISION), default=most.logit)
    thresholds = np.unique(np.linspace(min(most.logit, lowest), most.logit, TRIED)).tolist()

    def within(gates: Gates) -> bool:
        return gates.min_area <= most.min_area and gates.tear <= most.tear

    tried = [usual, *tried_gates(frames, thresholds, within)]
    good = [choice for choice in tried if false_share(choice.groups) <= SEARCHING_SHARE]
    return max(good or [usual], key=lambda choice: _f2(total(choice.groups)) - choice.missed)


def _f2(counts: Counts) -> float:
    """F2 of all pixels put together: recall weighs twice as much as precision (van Rijsbergen 1979)."""
    all_ = 5 * counts.tp + 4 * counts.fn + counts.fp
    return 5 * counts.tp / all_ if all_ else 0.0


def _with_unsure(frames: Sequence[Kept], choice: ThresholdChoice, least: float) -> PointChoice:
    """The point with the lowest threshold below its own from which a region may be called unsure."""
    gates, counts = choice.gates, total(choice.groups)
    certain = [_certain(frame, gates) for frame in frames]
    good = None
    for lower in np.linspace(gates.logit, min(least, gates.logit), TRIED + 1)[1:].tolist():
        if lower < gates.logit:
            doubt = _doubt(frames, certain, gates, lower)
            good = doubt if doubt.good else good
    reached = Reached(
        counts.recall,
        counts.precision,
        1 - choice.missed if any(frame.truth.any() for frame in frames) else None,
        counts.false_positive_frames / counts.negative_frames if counts.negative_frames else None,
    )
    if good is not None:
        empty = total(good.empty)
        reached = replace(
            reached,
            empty_unsure=empty.false_positive_frames / empty.negative_frames if empty.negative_frames else None,
            unsure_right=good.right / good.regions,
            tears_found_or_unsure=sum(good.found) / len(good.found) if good.found else None,
        )
    return PointChoice(gates, None if good is None else good.logit, choice.groups, reached)


def _certain(frame: Kept, gates: Gates) -> Mask:
    """What is outlined of a frame, on the network's square."""
    mask = np.zeros(frame.truth.shape, np.bool_)
    if frame.tear >= gates.tear:
        for where, spot in spots_in(frame.logits >= gates.logit):
            if np.count_nonzero(spot) >= gates.min_area:
                mask[where] |= spot
    return mask


def _doubt(frames: Sequence[Kept], certain: Sequence[Mask], gates: Gates, logit: float) -> _Doubt:
    regions, right, empty, found = 0, 0, dict[str, Counts](), list[bool]()
    for frame, outlined in zip(frames, certain, strict=True):
        hits = _hits(frame, outlined, gates, logit)
        regions += len(hits)
        right += sum(share >= ON_TEAR for share in hits)
        if frame.truth.any():
            found.append(any(hits) or bool((outlined & frame.truth).any()))
        else:
            counts = empty.setdefault(frame.group, Counts())
            counts.negative_frames += 1
            counts.false_positive_frames += bool(hits)
    return _Doubt(logit, regions, right, empty, found)


def _hits(frame: Kept, certain: Mask, gates: Gates, logit: float) -> list[float]:
    """The share of tear in each unsure region of a frame."""
    if frame.tear < gates.tear:
        return []
    hits = []
    for where, spot in spots_in(frame.logits >= logit):
        area = int(np.count_nonzero(spot))
        if area >= max(gates.min_area, 1) and not (certain[where] & spot).any():
            hits.append(int(np.count_nonzero(frame.truth[where] & spot)) / area)
    return hits
