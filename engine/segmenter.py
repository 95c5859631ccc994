"""Pixels in, mask out: a runner and its operating point behind one call. It never sees a frame header."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from ..errors import InputError
from ..pictures.pixels import Mask, Sector, as_sector, check_picture, whole
from .contract import Answer, Runner
from .letterbox import Letterbox, from_letterbox, letterbox, to_input
from .operating_point import OperatingPoint

ECHO = 24  # grey that only an echo, and no noise, reaches
ECHO_SHARE = 0.10  # of the sector: tissue fills 15 % of it and more, a probe in the air 6 %


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The outline's inside (bool, the frame's rows x columns) and the mean fitted q in it (0 if none)."""

    mask: Mask
    confidence: float

    @property
    def area(self) -> int:
        """Pixels inside the outline."""
        return int(np.count_nonzero(self.mask))


class NoPicture(InputError):
    """There is no ultrasound picture in the frame, so 'no tear outlined' would be a lie."""


class Segmenter:
    """Asks `runner` about one picture at a time and outlines at `point`. Closing it closes the runner."""

    def __init__(self, runner: Runner, point: OperatingPoint) -> None:
        self.runner = runner
        self.point = point
        self._threshold = np.float32(point.raw_threshold)
        self._one_at_a_time = threading.Lock()  # threads that share it take turns

    def __call__(self, pixels: NDArray[np.uint8], sector: Sector | None = None) -> Segmentation:
        """uint8 grey (rows, columns) or BGR (rows, columns, 3) picture -> Segmentation.

        sector: the ultrasound picture inside the scanner's screen; None: all of `pixels`. It is `start`, `finish` and
        `outline`, and raises what they raise.
        """
        sector = None if sector is None else as_sector(sector)
        with self._one_at_a_time:
            self.start(pixels, sector)
            answer = self.finish()
        return self.outline(answer, pixels.shape, sector)

    def start(self, pixels: NDArray[np.uint8], sector: Sector | None = None) -> None:
        """Begin with a picture and return while the engine works on it.

        Raises InputError for an array that is no picture or a sector outside it, NoPicture where hardly any of the
        sector is more than dark, EngineError if the engine fails.
        """
        check_picture(pixels)
        sector = whole(pixels.shape) if sector is None else as_sector(sector).check(pixels.shape)
        square = letterbox(pixels, sector, self.runner.info.size)
        rows, columns = Letterbox(square.shape[0], sector.width, sector.height).inner
        if np.count_nonzero(square >= ECHO) < ECHO_SHARE * rows * columns:
            raise NoPicture("the picture is dark: is the probe on the skin, the feed the right one and --crop right?")
        self.runner.start(to_input(square))

    def finish(self) -> Answer:
        """Wait for what was started. Raises EngineError, and NoPicture for a picture unlike all that was learnt."""
        answer = self.runner.finish()
        limit = self.point.strange_limit
        if limit is not None and answer.strange > limit:
            raise NoPicture(
                "this picture is unlike the muscle and tendon learnt from: is it B-mode, and is --crop right?"
            )
        return answer

    def outline(self, answer: Answer, shape: tuple[int, ...], sector: Sector | None = None) -> Segmentation:
        """From an answer on the network's square to the mask of a picture of `shape` (rows, columns, ...)."""
        sector = sector or whole(shape)
        mask = np.zeros(shape[:2], np.bool_)
        if answer.tear < self.point.tear_threshold:
            return Segmentation(mask, 0.0)
        q = without_spots(answer.q, self._threshold, self.point.min_area)
        if not (q >= self._threshold).any():
            return Segmentation(mask, 0.0)
        large = from_letterbox(q, sector)
        inside = large >= self._threshold
        sector.cut(mask)[...] = inside
        confidence = float(self.point.fitted(large[inside]).mean()) if inside.any() else 0.0
        return Segmentation(mask, confidence)

    def close(self) -> None:
        """Give the engine's device back."""
        self.runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def without_spots(q: NDArray[np.float32], threshold: np.float32, min_area: int) -> NDArray[np.float32]:
    """q with 8-connected spots of fewer than `min_area` pixels at or above `threshold` set to 0.

    By contours, since there are few: labelling all 65,536 pixels would take forty times as long.
    """
    above = (q >= threshold).astype(np.uint8)
    if min_area <= 1:
        return q
    kept = q
    contours, tree = cv2.findContours(above, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for number, contour in enumerate(contours):
        if tree[0, number, 3] >= 0:  # the border of a hole
            continue
        x, y, width, height = cv2.boundingRect(contour)
        spot = np.zeros((height, width), np.uint8)
        cv2.drawContours(spot, [contour], 0, 1, cv2.FILLED, offset=(-x, -y))
        spot &= above[y : y + height, x : x + width]
        if np.count_nonzero(spot) < min_area:
            kept = q.copy() if kept is q else kept
            kept[y : y + height, x : x + width][spot > 0] = 0.0
    return kept
