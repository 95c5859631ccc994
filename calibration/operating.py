"""Calibrate a model: fit its confidence, choose threshold and smallest spot, and say what they reach."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..engine.counts import Counts
from ..engine.operating_point import OperatingPoint
from ..engine.pixels import Grey, Mask, Sector, letterbox, letterbox_mask
from ..train.scores import Histograms, logit
from .confidence import Platt, fit_platt
from .threshold import counted, smallest_area, spots

Predict = Callable[[Grey], NDArray[np.float32]]  # uint8 (size, size) -> q (size, size)
Labelled = tuple[NDArray[np.uint8], Mask, Sector]  # pixels and mask of a frame, and its sector


class Calibrated(NamedTuple):
    """An operating point, and the evidence for it on the frames it was chosen on."""

    point: OperatingPoint
    counts: Counts
    histograms: Histograms


def calibrate(
    predict: Predict,
    frames: Iterable[Labelled],
    recall: float = 0.9,
    size: int = 256,
    fitted_on: str = "frames given",
    model_sha256: str = "",
) -> Calibrated:
    """The operating point of the model behind `predict`, from frames with their truth, held out of training.

    The threshold is the one of best pooled Dice among those that reach the pixel `recall`, where any does; a
    tie of both wishes goes to recall. Spots below `min_area` pixels of the network's square are left out.
    Raises ValueError where the frames hold no tear, or `recall` is not between 0 and 1.
    """
    if not 0.0 < recall < 1.0:
        raise ValueError(f"the recall wanted is {recall}; give a number between 0 and 1, for instance 0.9")
    counts, kept = Histograms(), []
    for pixels, mask, sector in frames:
        logits = logit(predict(letterbox(pixels, sector, size)))
        truth = letterbox_mask(mask, sector, size)
        counts.add(logits, truth)
        kept.append((logits.astype(np.float16), truth))
    platt = fit_platt(counts)
    best = counts.best(recall)
    outlines = [spots(logits >= best.logit, truth) for logits, truth in kept]
    min_area = smallest_area(outlines)
    scored = counted(outlines, min_area)
    point = OperatingPoint(
        model_sha256=model_sha256,
        threshold=_fitted_threshold(best.logit, platt),
        slope=platt.slope,
        intercept=platt.intercept,
        min_area=min_area,
        recall_wanted=recall,
        recall_found=round(scored.recall or 0.0, 4),
        fitted_on=fitted_on,
    )
    return Calibrated(point, scored, counts)


def _fitted_threshold(logit_q: float, platt: Platt) -> float:
    """A threshold on the network's logit(q) as one on the fitted q, held inside the numbers that can be
    stored.
    """
    fitted = 1 / (1 + np.exp(-(platt.slope * logit_q + platt.intercept)))
    return float(np.clip(fitted, 1e-6, 1 - 1e-6))
