"""The gate: an engine of lower precision is let through only if it still outlines what fp32 outlines.

Both networks are asked about the same pictures, at the model's own operating point. Where the truth is known their
Dice and recall are compared; where it is not, fp32's own outlines are the measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from ...engine.contract import Answer, EngineError
from ...engine.operating_point import OperatingPoint
from ...engine.segmenter import without_spots
from ...pictures.pixels import Mask
from ...scores.counts import Counts
from .picture_choice import CalibrationPicture

GateScores = dict[str, float | int | bool | str | None]
FEW = 16  # pixels of the network's square: a frame's Dice of fewer is chance
CURE = "give --gate pictures that show what is to be outlined"
ROUNDING = 1e-9  # of floats: a loss of just the limit is no more than it


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be lost: pooled Dice, one frame's Dice, pooled recall, and agreement (Dice) with fp32's outlines.

    false_outlines: share of the frames without a tear that may carry an outline beyond those that do in fp32; one may.
    outlined_frames: the fewest frames with an outline worth the name that prove anything.
    """

    dice: float = 0.005
    worst: float = 0.05
    recall: float = 0.01
    agreement: float = 0.03
    false_outlines: float = 0.02
    outlined_frames: int = 3

    def to_choose_by(self) -> Limits:
        """For what is chosen by other frames: half the loss of Dice, to leave room for those of the gate.

        However few of them carry an outline: it is the gate that proves.
        """
        return replace(self, dice=self.dice / 2, outlined_frames=0)


class JudgedFrame(NamedTuple):
    """One frame's Dice against its truth (or None) in both precisions, and of their outlines with each other."""

    exact: float | None
    narrow: float | None
    agreement: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate found; `refusals` names every limit that is passed, in words."""

    scores: GateScores
    frames: list[JudgedFrame] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    @property
    def accepted(self) -> bool:
        """Whether the engine may be used."""
        return not self.refusals


def outlined(answer: Answer, point: OperatingPoint) -> Mask:
    """What the stream would outline, on the network's square; nothing where it would give no result."""
    q, threshold = answer.q, np.float32(point.raw_threshold)
    strange = point.strange_limit is not None and answer.strange > point.strange_limit
    if strange or answer.tear < point.tear_threshold:
        return np.zeros(q.shape, np.bool_)
    return without_spots(q, threshold, point.min_area) >= threshold


def require_outlines(exact: Sequence[Answer], point: OperatingPoint, limits: Limits, data: str) -> None:
    """Raises EngineError where fp32 outlines too few of the gate's pictures, which `data` names, to prove anything."""
    number = sum(int(outlined(answer, point).sum()) >= FEW for answer in exact)
    if number < limits.outlined_frames:
        raise EngineError(
            f"the gate cannot judge an INT8 engine by these pictures: of {len(exact)} frames of {data} fp32 outlines "
            f"something on {number or 'none'}, and {limits.outlined_frames} are needed; {CURE}"
        )


def judge(
    exact: Sequence[Answer],
    narrow: Sequence[Answer],
    frames: Sequence[CalibrationPicture],
    point: OperatingPoint,
    limits: Limits | None = None,
) -> Verdict:
    """Compare two networks' answers about the same `frames`, picture by picture."""
    limits = limits or Limits()
    masks = [(outlined(one, point), outlined(other, point)) for one, other in zip(exact, narrow, strict=True)]
    labelled = bool(frames) and all(frame.truth is not None for frame in frames)
    both, before, after, each = Counts(), Counts(), Counts(), []
    for (one, other), frame in zip(masks, frames, strict=True):
        both.add(other, one)
        truth = frame.truth if labelled else None
        if truth is not None:
            before.add(one, truth)
            after.add(other, truth)
        each.append(JudgedFrame(_dice(one, truth), _dice(other, truth), _dice(other, one)))
    scores: GateScores = {
        "frames": len(frames),
        "outlined_frames": sum(f.agreement is not None for f in each),  # in either precision
        "labelled": labelled,
        "agreement": both.dice_pooled,
        "agreement_worst": min((f.agreement for f in each if f.agreement is not None), default=None),
        "strange_fp32": float(np.mean([answer.strange for answer in exact])) if exact else None,
        "strange": float(np.mean([answer.strange for answer in narrow])) if narrow else None,
    }
    if labelled:
        scores |= _against_truth(before, after, each)
    refusals = _refusals(scores, limits)
    rounded = {name: round(value, 5) if isinstance(value, float) else value for name, value in scores.items()}
    return Verdict({"accepted": not refusals, **rounded}, each, refusals)


def _dice(mask: Mask, truth: Mask | None) -> float | None:
    """Of one frame; None where there is no truth or nothing worth the name in either."""
    if truth is None or max(mask.sum(), truth.sum()) < FEW:
        return None
    return float(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))


def _against_truth(before: Counts, after: Counts, frames: Sequence[JudgedFrame]) -> GateScores:
    changes = [f.narrow - f.exact for f in frames if f.narrow is not None and f.exact is not None]
    return {
        "dice_fp32": before.dice_pooled,
        "dice": after.dice_pooled,
        "dice_change": (after.dice_pooled or 0.0) - (before.dice_pooled or 0.0),
        "worst_change": min(changes, default=None),
        "recall_fp32": before.recall,
        "recall": after.recall,
        "recall_change": (after.recall or 0.0) - (before.recall or 0.0),
        "false_positive_frames_fp32": before.false_positive_frames,
        "false_positive_frames": after.false_positive_frames,
        "negative_frames": after.negative_frames,
    }


def _refusals(scores: GateScores, limits: Limits) -> list[str]:
    """In words, every limit that is passed."""
    agreement = scores["agreement"]
    if not isinstance(agreement, float):
        return [f"neither precision outlines anything on the frames of the gate, so nothing can be told: {CURE}"]
    told = _agreement("agreement with fp32's outlines (Dice) is only", agreement, limits.agreement)
    lost: list[tuple[str, float, float]] = []
    if scores["labelled"]:
        for name, words, limit in (
            ("dice_change", "pooled Dice falls by", limits.dice),
            ("worst_change", "one frame's Dice falls by", limits.worst),
            ("recall_change", "recall falls by", limits.recall),
        ):
            change = scores[name]
            lost.append((words, -change if isinstance(change, float) else 0.0, limit))
    else:
        worst = scores["agreement_worst"]
        told += _agreement("on one frame that agreement is only", worst, 2 * limits.worst)
    told += [f"{words} {loss:.4f} (at most {limit:g})" for words, loss, limit in lost if loss > limit + ROUNDING]
    return _too_few(scores, limits) + told + (_false_outlines(scores, limits) if scores["labelled"] else [])


def _agreement(words: str, dice: float | int | str | None, most_lost: float) -> list[str]:
    """In words, if outlines share too little."""
    if not isinstance(dice, float) or 1.0 - dice <= most_lost + ROUNDING:
        return []
    return [f"{words} {dice:.4f} (at least {1.0 - most_lost:.4g})"]


def _too_few(scores: GateScores, limits: Limits) -> list[str]:
    number = int(scores["outlined_frames"] or 0)
    if number >= limits.outlined_frames:
        return []
    return [
        f"only {number} of the frames {'carries' if number == 1 else 'carry'} an outline in either precision "
        f"(at least {limits.outlined_frames}): {CURE}"
    ]


def _false_outlines(scores: GateScores, limits: Limits) -> list[str]:
    """In words, if more frames without a tear are outlined than may be."""
    before, after, empty = (
        int(scores[name] or 0) for name in ("false_positive_frames_fp32", "false_positive_frames", "negative_frames")
    )
    most = max(1, int(limits.false_outlines * empty))
    return (
        [f"{after - before} more frames without a tear are outlined (at most {most})"] if after - before > most else []
    )
