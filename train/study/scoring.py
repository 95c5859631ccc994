"""What a trained network is worth on test pictures at every level of speckle, at one threshold chosen beforehand."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence

import cv2
import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...engine.letterbox import letterbox, letterbox_mask, to_input
from ...pictures.pixels import Grey, Mask, whole
from ...scores.counts import Counts, PictureDice
from ...scores.histograms import Histograms, Score
from ...scores.lesions import Lesions
from ...scores.reliability import CalibrationScores
from ...scores.surface import SurfaceScores
from .pictures import DataSet, StudyPictures, under

Posterior = Callable[[Tensor], Tensor]
EXAMPLES = 3  # test pictures whose outlines are kept for the figure


class Level(msgspec.Struct, frozen=True):
    """Scores at one level of speckle. Distances in pixels of the network's square; see engine's own pages.

    `counts` holds TP, FP and FN of every test picture; `curve` precision and recall by falling threshold.
    """

    precision: float | None
    recall: float | None
    dice: float | None
    iou: float | None
    dice_per_image: float | None
    hd95: float | None
    hd95_left_out: int
    lesion_sensitivity: float | None
    lesions: int
    false_positive_pictures: int
    negative_pictures: int
    ece: float | None
    counts: tuple[tuple[int, int, int], ...]
    tear: tuple[int, ...]  # pixels by logit(q), as `Histograms` has them
    other: tuple[int, ...]
    outlines: dict[str, str]  # example picture -> PNG of its outlines' mask, base64


@torch.no_grad()
def maps(network: nn.Module, posterior: Posterior, squares: Sequence[Grey], batch: int) -> Iterator[NDArray]:
    """logit(q), float32 (size, size), of each uint8 square (size, size)."""
    network.eval()
    device = next(network.parameters()).device
    for first in range(0, len(squares), batch):
        images = torch.from_numpy(np.concatenate([to_input(square) for square in squares[first : first + batch]]))
        logits = network(images.to(device, memory_format=torch.channels_last))
        yield from posterior(logits).float().cpu().numpy()[:, 0]


def choose_threshold(network: nn.Module, posterior: Posterior, held: StudyPictures, size: int, batch: int) -> Score:
    """The best pooled Dice on the validation pictures, without added speckle."""
    squares = [letterbox(pixels, whole(pixels.shape), size) for pixels, _ in held.items]
    counted = Histograms()
    for logits, (_, mask) in zip(maps(network, posterior, squares, batch), held.items, strict=True):
        counted.add(logits, letterbox_mask(mask, whole(mask.shape), size))
    return counted.best()


def score(
    network: nn.Module, posterior: Posterior, data: DataSet, level: str, threshold: float, size: int, batch: int
) -> Level:
    """Scores on the test pictures, outlined where logit(q) >= `threshold`."""
    squares, truths = squares_under(data, level, size)
    tally, kept = LevelTally(), examples(data)
    for n, (logits, truth) in enumerate(zip(maps(network, posterior, squares, batch), truths, strict=True)):
        mask = logits >= threshold
        tally.add(logits, mask, truth)
        if n in kept:
            tally.outlines[data.test.names[n]] = packed(mask)
    return tally.level()


class LevelTally:
    """Everything that is counted over the pictures of one level."""

    def __init__(self) -> None:
        self.counts, self.dice, self.lesions = Counts(), PictureDice(), Lesions()
        self.surfaces, self.calibration, self.pixels = SurfaceScores(), CalibrationScores(), Histograms()
        self.each: list[tuple[int, int, int]] = []
        self.outlines: dict[str, str] = {}

    def add(self, logits: NDArray[np.float32], mask: Mask, truth: Mask) -> None:
        """Count one picture: logit(q), its outlines and the truth, each (size, size)."""
        one = Counts()
        one.add(mask, truth)
        self.each.append((one.tp, one.fp, one.fn))
        self.counts.merge(one)
        for part in (self.dice, self.lesions, self.surfaces):
            part.add(mask, truth)
        self.calibration.add((1 / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32), truth)
        self.pixels.add(logits, truth)

    def level(self) -> Level:
        """The scores of all pictures together."""
        surface = self.surfaces.as_report()
        return Level(
            precision=self.counts.precision,
            recall=self.counts.recall,
            dice=self.counts.dice_pooled,
            iou=self.counts.iou,
            dice_per_image=self.dice.mean,
            hd95=surface["hd95"],
            hd95_left_out=int(surface["surface_pictures_left_out"] or 0),
            lesion_sensitivity=self.lesions.sensitivity,
            lesions=self.lesions.tears,
            false_positive_pictures=self.counts.false_positive_frames,
            negative_pictures=self.counts.negative_frames,
            ece=self.calibration.as_report()["ece"],
            counts=tuple(self.each),
            tear=tuple(self.pixels.tear.tolist()),
            other=tuple(self.pixels.other.tolist()),
            outlines=self.outlines,
        )


_kept: dict[tuple[str, str, int], tuple[list[Grey], list[Mask]]] = {}


def squares_under(data: DataSet, level: str, size: int) -> tuple[list[Grey], list[Mask]]:
    """Test pictures under a level's speckle, put on at their own size, and truths, on the network's square.

    Every network sees the very same noise; it is drawn once and kept.
    """
    key = data.digest, level, size
    if key not in _kept:
        named = zip(data.test.names, data.test.items, strict=True)
        speckled = [(under(pixels, name, level), mask) for name, (pixels, mask) in named]
        _kept[key] = (
            [letterbox(pixels, whole(pixels.shape), size) for pixels, _ in speckled],
            [letterbox_mask(mask, whole(mask.shape), size) for _, mask in speckled],
        )
    return _kept[key]


def examples(data: DataSet) -> tuple[int, ...]:
    """Test pictures for the figure, by the size of what is to be found: the smallest, a middle one, the largest."""
    areas = [int(np.count_nonzero(mask)) for _, mask in data.test.items]
    torn = sorted((area, n) for n, area in enumerate(areas) if area)
    places = np.linspace(0, len(torn) - 1, min(EXAMPLES, len(torn))).round().astype(int)
    return tuple(torn[place][1] for place in places.tolist())


def packed(mask: Mask) -> str:
    """A mask as PNG, base64."""
    return base64.b64encode(cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes()).decode()


def unpacked(text: str) -> Mask:
    """The mask again, bool (rows, columns)."""
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_GRAYSCALE)
    return np.greater(picture, 127)  # type: ignore[arg-type]
