"""What a network outlines on labelled pictures, before and after it was adapted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from ..calibration.calibrate import real_in_words, real_pictures
from ..calibration.int8.gate import outlined
from ..calibration.operating import Labelled, find_point
from ..engine import Answer, NoPicture, OperatingPoint, Segmenter
from ..engine.letterbox import letterbox, letterbox_mask, to_input
from ..pictures.datasets import Samples
from ..pictures.pixels import Grey, Mask, whole
from ..scores.counts import Counts
from ..scores.lesions import Lesions
from ..scores.reliability import CalibrationScores
from ..train.data.augment import gained
from ..train.export import answers, load_network
from ..train.study.pictures import StudyPicture, StudyPictures
from .beside import beside
from .usual_here import LIMIT
from .varied import jittered

Predict = Callable[[Grey], Answer]  # of uint8 (size, size)
Look = Callable[[Grey], "Looked"]
VARIED = 3  # times that each frame held out is varied, to find a threshold on more than a handful


class Looked(NamedTuple):
    """What is outlined on a square (size, size), the fitted q there, and whether another network answered.

    q: None where there is no result, or it is another network's of another size.
    """

    mask: Mask
    q: NDArray[np.float32] | None
    otherwise: bool = False


@dataclass(slots=True)
class Outcome:
    """Scores of some pictures, and each one's square, truth and outline (size, size); otherwise: how many of them
    another network answered.
    """

    counts: Counts = field(default_factory=Counts)
    lesions: Lesions = field(default_factory=Lesions)
    calibration: CalibrationScores = field(default_factory=CalibrationScores)
    squares: list[Grey] = field(default_factory=list)
    truths: list[Mask] = field(default_factory=list)
    masks: list[Mask] = field(default_factory=list)
    otherwise: int = 0

    @property
    def dice(self) -> float:
        """Pooled over pixels; 0 where nothing was outlined and nothing was there."""
        return self.counts.dice_pooled or 0.0


def judged(look: Look, samples: Samples, size: int) -> Outcome:
    """Outline every picture of `samples` on the network's square, as the stream would, and score it."""
    found = Outcome()
    for n in range(len(samples)):
        pixels, mask = samples[n]
        square, truth = letterbox(pixels, whole(pixels.shape), size), letterbox_mask(mask, whole(mask.shape), size)
        outline, q, otherwise = look(square)
        found.counts.add(outline, truth)
        found.lesions.add(outline, truth)
        if q is not None:
            found.calibration.add(q, truth)
        found.squares.append(square)
        found.truths.append(truth)
        found.masks.append(outline)
        found.otherwise += otherwise
    return found


def at_point(predict: Predict, point: OperatingPoint) -> Look:
    """What `predict` outlines at one point."""

    def look(square: Grey) -> Looked:
        answer = predict(square)
        return Looked(outlined(answer, point), point.fitted(answer.q))

    return look


def as_it_runs(segmenter: Segmenter) -> Look:
    """What a person would see: also by the network that answers about strange pictures."""

    def look(square: Grey) -> Looked:
        try:
            segmenter.start(square)
            answer = segmenter.finish()
        except NoPicture:
            return Looked(np.zeros(square.shape, np.bool_), None)
        q = segmenter.whose(answer).point.fitted(answer.q)
        found = segmenter.outline(answer, square.shape)
        return Looked(found.mask, q if q.shape == square.shape else None, answer.otherwise)

    return look


def by_checkpoint(checkpoint: Path) -> Predict:
    """Answers of a checkpoint's network, which was not exported."""
    network, settings = load_network(checkpoint)

    def predict(square: Grey) -> Answer:
        q, *picture = answers(network, settings.loss, to_input(square))
        return Answer(q[0, 0], *(picture[0][0].tolist() if picture else ()))

    return predict


@dataclass(frozen=True)
class FittingFrames:
    """What operating points are found on, none of it learnt from, and that in words.

    shipped: whether the shipped network is to answer about what is unlike the clinic's frames.
    """

    clinic: Sequence[Labelled]
    known: Sequence[Labelled]  # phantoms
    healthy: Sequence[Labelled]
    words: str
    shipped: bool = False

    def point(self, predict: Predict, size: int, digest: str) -> OperatingPoint:
        """All three points of `predict` on a square of `size`. Raises ValueError where the frames hold no tear."""
        others, words = [*self.known, *self.healthy], self.words
        if self.shipped:  # of what it will never be asked about nothing is to be learnt
            others = [one for one in others if predict(letterbox(one.pixels, one.sector, size)).strange <= LIMIT]
            words += f"; of all but the clinic's own only the {len(others)} that look like them"
        found = find_point(predict, [*self.clinic, *others], size=size, fitted_on=words, model_sha256=digest).point
        return replace(found, strange_limit=LIMIT, otherwise="shipped") if self.shipped else found

    @property
    def clinic_samples(self) -> StudyPictures:
        """The clinic's frames, as they are and varied."""
        items = [StudyPicture(one.pixels, one.mask) for one in self.clinic]
        return StudyPictures(items, [str(n) for n in range(len(items))])

    def points_apart(self, predict: Predict, size: int) -> list[OperatingPoint]:
        """For the clinic's frames, for phantoms and for healthy pictures the point that suits each best: the last two
        share theirs. One point for all would be unjust to weights that have never seen the clinic's frames.
        """
        clinic = find_point(predict, self.clinic, size=size).point
        known = find_point(predict, [*self.known, *self.healthy], size=size).point
        return [clinic, known, known]


def fitting_frames(
    held: StudyPictures, known: Samples, healthy: Sequence[Grey], seed: int, whose: str, shipped: bool = False
) -> FittingFrames:
    """Every frame held out as it is and three times varied a little; as many of the rehearsal's with a tear, and all
    without one, which say how often too much is outlined; and, as `real_pictures` makes them, real pictures without a
    tear and what lies beside the tears of the frames held out. `whose`: the clinic's folder, by name. shipped: see
    `FittingFrames`.
    """
    varied = list(_varied(held, seed))
    frames = [Labelled(*known[n], whole(known[n][0].shape)) for n in range(len(known))]
    torn, intact = ([one for one in frames if one.mask.any() == there] for there in (True, False))
    phantoms = [*(torn[place] for place in spread(len(torn), len(varied))), *intact]
    words = f"{len(held)} frames held out of {whose}, each {1 + VARIED} times, and {len(phantoms)} of phantoms"
    parts = beside(held, seed)
    if healthy or parts:
        words += f"; {real_in_words(len(healthy) + len(parts))}"
    if parts:
        words += f" ({len(parts)} of them are parts of the frames held out, beside their tears)"
    return FittingFrames(varied, phantoms, list(real_pictures([*healthy, *parts])), words, shipped)


def _varied(held: Samples, seed: int) -> Iterator[Labelled]:
    rng = np.random.default_rng((seed, 17))
    for n in range(len(held)):
        pixels, mask = held[n]
        yield Labelled(pixels, mask, whole(pixels.shape))
        for _ in range(VARIED):
            moved, truth = jittered(pixels, mask, rng)
            yield Labelled(gained(moved, rng), truth, whole(moved.shape))


def spread(number: int, most: int) -> list[int]:
    """`most` places of `number` at the most, evenly apart."""
    return np.unique(np.linspace(0, number - 1, min(number, most)).astype(int)).tolist() if number else []
