"""Calibrate a model: fit its confidence, choose what it outlines, and say what that reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..engine.contract import Answer
from ..engine.letterbox import letterbox, letterbox_mask
from ..engine.operating_point import OperatingPoint, Setting
from ..errors import InputError
from ..pictures.pixels import Grey, Mask, Sector
from ..scores.counts import Counts
from ..scores.histograms import Histograms, logit
from ..scores.reliability import near
from .confidence import Platt, fit_platt
from .points import PointChoice, choose_points
from .threshold import Kept, total

Predict = Callable[[Grey], Answer]  # of uint8 (size, size)
MAIN, REAL = "data", "real"
STRANGE_SHARE = 0.995  # of the frames calibrated on are familiar by definition ...
# ... and so is another scanner's picture: with each of five sources of real pictures left out in turn, its own lay at
# 1.4 to 2.3 times the limit of the others (95th percentile), so only what is stranger than that is refused
STRANGE_MARGIN = 2.3


class Labelled(NamedTuple):
    """Pixels and mask of a frame (rows, columns), its sector, and whether it is a real picture beside the data."""

    pixels: NDArray[np.uint8]
    mask: Mask
    sector: Sector
    group: str = MAIN


class Calibrated(NamedTuple):
    """An operating point, and the evidence for it on the frames it was chosen on."""

    point: OperatingPoint
    groups: dict[str, Counts]
    histograms: Histograms
    near: Histograms  # of those pixels within 3 mm (3 % of the picture's height) of a tear
    tears: int  # frames of the data with a tear in them, those with a simulated one set in not counted

    @property
    def counts(self) -> Counts:
        """All groups of frames together."""
        return total(self.groups)


def find_point(
    predict: Predict,
    frames: Iterable[Labelled],
    recall: float | None = None,
    size: int = 256,
    fitted_on: str = "frames given",
    model_sha256: str = "",
) -> Calibrated:
    """The operating point of the model behind `predict`, from frames with their truth, held out of training.

    All three points come from one pass over the frames: see `points.choose_points`. The threshold of 'balanced' is the
    one of best pooled Dice (F1 of all pixels); where a pixel `recall` is wanted, among those that reach it, where any
    does, and a tie of both wishes goes to recall. Then `threshold.choose_gates`. Raises ValueError where the frames
    hold no tear, or `recall` is not between 0 and 1.
    """
    if recall is not None and not 0.0 < recall < 1.0:
        raise InputError(f"the recall wanted is {recall}; give a number between 0 and 1, for instance 0.9")
    counts, main, close = Histograms(), Histograms(), Histograms()
    kept, strange, tears = [], [], 0
    for frame in frames:
        answer = predict(letterbox(frame.pixels, frame.sector, size))
        logits, truth = logit(answer.q), letterbox_mask(frame.mask, frame.sector, size)
        counts.add(logits, truth)
        around = near(truth)
        close.add(logits[around], truth[around])
        if frame.group == MAIN:
            main.add(logits, truth)
            tears += bool(truth.any())
        kept.append(Kept(logits.astype(np.float16), truth, answer.tear, frame.group))
        strange.append(answer.strange)
    platt = fit_platt(counts)
    chosen = choose_points(kept, main, platt, recall or 0.0)
    usual, groups = _setting(chosen["balanced"], platt), chosen["balanced"].groups
    point = OperatingPoint(
        model_sha256=model_sha256,
        threshold=usual.threshold,
        slope=platt.slope,
        intercept=platt.intercept,
        min_area=usual.min_area,
        tear_threshold=usual.tear_threshold,
        strange_limit=strangest(strange),
        recall_wanted=recall,
        recall_found=round(groups[MAIN].recall or 0.0, 4) if MAIN in groups else 0.0,
        fitted_on=fitted_on,
        unsure=usual.unsure,
        reached=usual.reached,
        points={
            "careful": _setting(chosen["careful"], platt),
            "searching": _setting(chosen["searching"], platt),
        },
    )
    return Calibrated(point, groups, counts, close, tears)


def strangest(strange: list[float]) -> float | None:
    """The limit beyond which a picture gets no result; None where the network cannot tell."""
    limit = float(np.quantile(strange, STRANGE_SHARE)) * STRANGE_MARGIN
    return float(f"{limit:.5g}") if limit > 0 else None


def _setting(choice: PointChoice, platt: Platt) -> Setting:
    """A point as it is stored."""
    threshold = _fitted_threshold(choice.gates.logit, platt)
    unsure = None if choice.unsure is None else _fitted_threshold(choice.unsure, platt)
    if unsure is not None and unsure >= threshold:  # both at the edge of the numbers that can be stored
        unsure = None
    return Setting(threshold, choice.gates.min_area, choice.gates.tear, unsure, choice.reached)


def _fitted_threshold(logit_q: float, platt: Platt) -> float:
    """A threshold on the network's logit(q) as one on the fitted q, held inside the numbers that can be
    stored.
    """
    fitted = 1 / (1 + np.exp(-(platt.slope * logit_q + platt.intercept)))
    return float(np.clip(fitted, 1e-6, 1 - 1e-6))
