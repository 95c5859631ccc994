"""`smartca evaluate`: every frame of some data through the segmenter the stream uses, and its score."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..engine import Answer, EngineError, Mask, NoPicture, Sector, Segmentation, Segmenter
from ..engine.letterbox import Letterbox, letterbox_mask
from ..errors import InputError
from ..pictures.pixels import to_grey
from ..scores.counts import Counts, PictureDice
from ..scores.lesions import Lesions
from ..scores.reliability import CalibrationScores
from ..scores.surface import SurfaceScores
from ..stream.frame import State
from .samples import EvaluationSet, Sample

MOST_REASONS = 8  # why there is no result, in a report
OnPicture = Callable[[int, int | None], None]


@dataclass(slots=True)
class Scores:
    """Everything that is scored against truth, over all pictures: counts and histograms, no picture is kept."""

    counts: Counts = field(default_factory=Counts)
    dices: PictureDice = field(default_factory=PictureDice)
    lesions: Lesions = field(default_factory=Lesions)
    lesions_or_unsure: Lesions = field(default_factory=Lesions)  # as if an unsure region were an outline
    unsure_negative_frames: int = 0  # without a tear and without an outline
    surfaces: SurfaceScores = field(default_factory=SurfaceScores)
    calibration: CalibrationScores = field(default_factory=CalibrationScores)
    pictures: int = 0

    def add(self, sample: Sample, mask: Mask | None, q: NDArray[np.float32] | None, unsure: Mask | None = None) -> None:
        """Score one picture by its outline; an unsure region claims nothing, and is counted beside it.

        Without a result its tear is unmarked; its state tells that from 'no tear outlined'.

        `q` is the fitted confidence on the network's square, as calibration fits it: whether the classifier let
        an outline through does not matter to it.
        """
        truth, sector, spacing = sample.truth, sample.sector, sample.mm_per_pixel
        if truth is None:
            return
        self.pictures += 1
        mask = np.zeros_like(truth) if mask is None else mask
        self.counts.add(mask, truth)
        self.dices.add(mask, truth)
        self.lesions.add(mask, truth)
        self.lesions_or_unsure.add(mask if unsure is None else mask | unsure, truth)
        self.unsure_negative_frames += unsure is not None and not mask.any() and not truth.any()
        self.surfaces.add(mask, truth, spacing or (1.0, 1.0))
        if q is None:
            return
        inner, marked = on_square(q, truth, sector)
        rows, columns = inner.shape
        scaled = spacing and (spacing[0] * sector.height / rows, spacing[1] * sector.width / columns)
        self.calibration.add(inner, marked, scaled)

    def as_report(self, unit: str) -> dict[str, object]:
        """The report's `truth`; `unit` is that of hd95 and surface_distance."""
        return {
            **self.counts.as_report(),
            "dice_per_image": self.dices.mean,
            **self.lesions.as_report(),
            "tears_found_or_unsure": self.lesions_or_unsure.found,
            "lesion_sensitivity_or_unsure": self.lesions_or_unsure.sensitivity,
            "unsure_negative_frames": self.unsure_negative_frames,
            **self.surfaces.as_report(),
            "unit": unit,
            **self.calibration.as_report(),
        }


def evaluate(
    segmenter: Segmenter, samples: EvaluationSet, progress: OnPicture, speckle: str = "none"
) -> dict[str, object]:
    """The report's `frames`, `states` and `truth` over all `samples`, and the engine that made them.

    In `truth`, over the pictures whose truth is known:

    - precision, recall, dice_pooled, iou: of all pixels put together (the paper's way).
    - dice_per_image: mean over pictures with a tear; one without a tear but with an outline counts among
      false_positive_frames instead, one with neither not at all.
    - lesion_sensitivity: the share of tears of which a tenth or more is outlined (`scores.lesions`).
    - lesion_sensitivity_or_unsure: the same if an unsure region counted as an outline, which it does nowhere else;
      unsure_negative_frames: frames without a tear and without an outline that are unsure.
    - hd95 (mean, and median) and surface_distance: symmetric, over pictures with both tear and outline, in `unit`;
      surface_pictures_left_out have only one of them (`scores.surface`).
    - ece: expected calibration error of the fitted confidence over the ece_pixels of the network's square with
      0.05 or more, or within 3 mm (3 % of the picture's height where mm are not known) of a tear.

    `speckle`, one of phantom.corruption's levels, is put on the sector of every picture first. Raises ValueError
    where there is no picture, or no such level.
    """
    scores, states, reasons, done, others = Scores(), Counter[str](), Counter[str](), 0, 0
    for number, sample in enumerate(samples.each):
        noisy = sample.pixels if speckle == "none" else speckled_sample(sample, speckle, samples.name, number)
        state, found, q = ask(segmenter, noisy, sample.sector, reasons)
        states[state.name.lower()] += 1
        others += found is not None and found.otherwise
        scores.add(sample, None if found is None else found.mask, q, None if found is None else found.unsure)
        done += 1
        progress(done, samples.count)
    if not done:
        raise InputError("there is not one picture in this data; check --data and --split")
    report: dict[str, object] = {
        "speckle": speckle,
        "frames": {"evaluated": done, "inferred": done - states["no_result"], "with_truth": scores.pictures},
        "states": {state.name.lower(): states[state.name.lower()] for state in State},
        "no_result": dict(reasons.most_common(MOST_REASONS)),
        # None where not one frame has a result: nothing can then be said of outlines
        "outlined_share": round(states["tear_outlined"] / done, 4) if states["no_result"] < done else None,
        "engine": segmenter.runner.info.as_report(),
        "threshold": segmenter.point.threshold,
        "point": segmenter.point_name,
    }
    if segmenter.otherwise is not None:
        report["answered_otherwise"] = others  # frames, by the network that `OperatingPoint.otherwise` names
    if scores.pictures:
        report["truth"] = scores.as_report(samples.unit)
    return report


def speckled_sample(sample: Sample, level: str, name: str, number: int) -> NDArray[np.uint8]:
    """The picture in grey with speckle in its sector: always the same for the same data and picture number.

    So that two models are asked about the same pixels.
    """
    from ..phantom.corruption import corrupt

    seed = int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big")
    grey = to_grey(sample.pixels).copy()
    inside = sample.sector.cut(grey)
    inside[...] = corrupt(inside.astype(np.uint8), level, np.random.default_rng((seed, number)), sample.mm_per_pixel)
    return grey


def on_square(q: NDArray[np.float32], truth: Mask, sector: Sector) -> tuple[NDArray[np.float32], Mask]:
    """The sector's part of q, (size, size) on the network's square, and of `truth`, the picture's, as it lies there."""
    box = Letterbox(q.shape[0], sector.width, sector.height)
    (rows, columns), (top, left) = box.inner, box.corner
    inner = (slice(top, top + rows), slice(left, left + columns))
    return q[inner], letterbox_mask(truth, sector, q.shape[0])[inner]


def ask(
    segmenter: Segmenter, pixels: NDArray[np.uint8], sector: Sector, reasons: Counter[str] | None = None
) -> tuple[State, Segmentation | None, NDArray[np.float32] | None]:
    """What may be said of a picture, its masks, and the fitted q on the network's square; None without a result.

    reasons: counts why there is none.
    """
    try:
        segmenter.start(pixels, sector)
        answer: Answer = segmenter.finish()
    except (EngineError, NoPicture) as error:
        if reasons is not None:
            reasons[str(error)] += 1
        return State.NO_RESULT, None, None
    found = segmenter.outline(answer, pixels.shape, sector)
    return State.of(found.mask, found.unsure), found, segmenter.whose(answer).point.fitted(answer.q)


def ask_outline(
    segmenter: Segmenter, pixels: NDArray[np.uint8], sector: Sector
) -> tuple[Mask | None, NDArray[np.float32] | None]:
    """The outlined pixels and the fitted q of a picture, as `ask` has them; None without a result."""
    _, found, q = ask(segmenter, pixels, sector)
    return None if found is None else found.mask, q
