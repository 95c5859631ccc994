"""Pixels in, mask out: a runner and its operating point behind one call. It never sees a frame header."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from ..errors import InputError
from ..pictures.pixels import Mask, Sector, as_sector, check_picture, whole
from .contract import FLAT, Answer, EngineError, Runner
from .letterbox import Letterbox, from_letterbox, letterbox, to_input
from .operating_point import USUAL, OperatingPoint, PointName

ECHO = 24  # grey that only an echo, and no noise, reaches
FLAT_ZEROS = 10  # answers of 0 everywhere: a sound network may be as sure of a few pictures, in half precision
DARK = "the picture is dark: is the probe on the skin, the feed the right one and --crop right?"
UNLIKE = "this picture is unlike the muscle and tendon learnt from: is it B-mode, and is --crop right?"
NO_PICTURE = (DARK, UNLIKE)  # why there is no result though the engine is sound
ECHO_SHARE = 0.10  # of the sector: tissue fills 15 % of it and more, a probe in the air 6 %


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The outline's inside (bool, the frame's rows x columns) and the mean fitted q in it (0 if none).

    unsure: the inside of regions that may be tear and are not outlined, bool of the same shape, which share no pixel
    with `mask`; None where there are none. point: at which operating point, or '' with a threshold of one's own.
    otherwise: see `Answer`.
    """

    mask: Mask
    confidence: float
    unsure: Mask | None = None
    point: PointName | Literal[""] = ""
    otherwise: bool = False

    @property
    def area(self) -> int:
        """Pixels inside the outline."""
        return int(np.count_nonzero(self.mask))


class NoPicture(InputError):
    """There is no ultrasound picture in the frame, so 'no tear outlined' would be a lie."""


class _Cut(NamedTuple):
    """A point as it is used: thresholds in the network's own q."""

    name: PointName | Literal[""]
    point: OperatingPoint
    threshold: np.float32
    unsure: np.float32 | None


class Segmenter:
    """Asks `runner` about one picture at a time and outlines at `stored`. Closing it closes the runner.

    name: which of the points of `stored` to begin with; '' for a point of one's own, which has no other beside it.
    otherwise: answers about pictures that are strange to `runner`, in its place; without it there is no result.
    It switches and closes with this one.
    """

    def __init__(
        self,
        runner: Runner,
        stored: OperatingPoint,
        name: PointName | Literal[""] = USUAL,
        otherwise: Segmenter | None = None,
    ) -> None:
        self.runner = runner
        self.stored = stored
        self.otherwise = otherwise
        self._asked: deque[tuple[NDArray[np.uint8], Sector]] = deque()  # not answered yet; kept for `otherwise` alone
        self._cut = _cut(stored, name)
        self._zeros: int | None = 0  # answers of one number so far; None once one was not
        self._one_at_a_time = threading.Lock()  # threads that share it take turns

    @property
    def point(self) -> OperatingPoint:
        """The operating point in use."""
        return self._cut.point

    @property
    def point_name(self) -> PointName | Literal[""]:
        """Its name; '' for a point of one's own."""
        return self._cut.name

    def switch(self, name: PointName) -> None:
        """Outline at another point from the next `outline` on. A point of one's own stays: there is no other."""
        if self._cut.name:
            self._cut = _cut(self.stored, name)
        if self.otherwise is not None:
            self.otherwise.switch(name)

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
        """Begin with a picture, which must stay as it is until `finish`, and return while the engine works on it.

        Raises InputError for an array that is no picture or a sector outside it, NoPicture where hardly any of the
        sector is more than dark, EngineError if the engine fails.
        """
        check_picture(pixels)
        sector = whole(pixels.shape) if sector is None else as_sector(sector).check(pixels.shape)
        square = letterbox(pixels, sector, self.runner.info.size)
        rows, columns = Letterbox(square.shape[0], sector.width, sector.height).inner
        if np.count_nonzero(square >= ECHO) < ECHO_SHARE * rows * columns:
            raise NoPicture(DARK)
        self.runner.start(to_input(square))
        if self.otherwise is not None:
            self._asked.append((pixels, sector))

    def finish(self) -> Answer:
        """Wait for what was started; of a picture unlike all that was learnt it is the answer of `otherwise`.

        Raises EngineError, also for an answer that is the same everywhere, and NoPicture for a picture unlike all that
        was learnt, also by `otherwise`.
        """
        asked = self._asked.popleft() if self._asked else None
        answer = self.runner.finish()
        self._refuse_flat(answer)
        limit = self.point.strange_limit
        if limit is None or answer.strange <= limit:
            return answer
        if self.otherwise is None or asked is None:
            raise NoPicture(UNLIKE)
        self.otherwise.start(*asked)
        return self.otherwise.finish()._replace(otherwise=True)

    def whose(self, answer: Answer) -> Segmenter:
        """The segmenter that gave the answer: this one or `otherwise`."""
        return self.otherwise if answer.otherwise and self.otherwise is not None else self

    def _refuse_flat(self, answer: Answer) -> None:
        """The pictures asked about are not dark, so no sound network says one number of all their pixels."""
        if self._zeros is None:
            return
        first = float(answer.q.flat[0])
        if not (answer.q == first).all():
            self._zeros = None  # it does tell pixels apart
            return
        self._zeros += 1
        if first > 0.0 or self._zeros >= FLAT_ZEROS:
            raise EngineError(FLAT)

    def outline(self, answer: Answer, shape: tuple[int, ...], sector: Sector | None = None) -> Segmentation:
        """From an answer on the network's square to the mask of a picture of `shape` (rows, columns, ...)."""
        if answer.otherwise and self.otherwise is not None:
            return replace(self.otherwise.outline(answer._replace(otherwise=False), shape, sector), otherwise=True)
        sector, cut = sector or whole(shape), self._cut  # another thread may switch meanwhile
        mask = np.zeros(shape[:2], np.bool_)
        least = cut.threshold if cut.unsure is None else cut.unsure
        if answer.tear < cut.point.tear_threshold or not (answer.q >= least).any():
            return Segmentation(mask, 0.0, None, cut.name)
        q = without_spots(answer.q, cut.threshold, cut.point.min_area)
        certain = q >= cut.threshold
        unsure = _unsure(answer.q, certain, cut, sector, shape)
        if not certain.any():
            return Segmentation(mask, 0.0, unsure, cut.name)
        large = from_letterbox(q, sector)
        inside = large >= cut.threshold
        sector.cut(mask)[...] = inside
        if unsure is not None:  # their borders never meet, but for rounding
            sector.cut(unsure)[inside] = False
        confidence = float(cut.point.fitted(large[inside]).mean()) if inside.any() else 0.0
        return Segmentation(mask, confidence, unsure, cut.name)

    def close(self) -> None:
        """Give the engine's device back."""
        self.runner.close()
        if self.otherwise is not None:
            self.otherwise.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def without_spots(q: NDArray[np.float32], threshold: np.float32, min_area: int) -> NDArray[np.float32]:
    """q with 8-connected spots of fewer than `min_area` pixels at or above `threshold` set to 0."""
    if min_area <= 1:
        return q
    kept = q
    for where, spot in spots_in(q >= threshold):
        if np.count_nonzero(spot) < min_area:
            kept = q.copy() if kept is q else kept
            kept[where][spot] = 0.0
    return kept


def unsure_only(
    q: NDArray[np.float32], certain: Mask, threshold: np.float32, min_area: int
) -> NDArray[np.float32] | None:
    """q with the spots at or above `threshold` set to 0 that are too small or hold a `certain` pixel.

    None where no spot is left.
    """
    left, gone = False, []
    for where, spot in spots_in(q >= threshold):
        if np.count_nonzero(spot) >= max(min_area, 1) and not (certain[where] & spot).any():
            left = True
        else:
            gone.append((where, spot))
    if not left:
        return None
    kept = q.copy() if gone else q
    for where, spot in gone:
        kept[where][spot] = 0.0
    return kept


def spots_in(above: Mask) -> Iterator[tuple[tuple[slice, slice], Mask]]:
    """Each 8-connected spot: the rectangle around it, and its pixels in there.

    By contours, since there are few: labelling all 65,536 pixels would take forty times as long.
    """
    pixels = above.view(np.uint8)
    contours, tree = cv2.findContours(pixels, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for number, contour in enumerate(contours):
        if tree[0, number, 3] >= 0:  # the border of a hole
            continue
        x, y, width, height = cv2.boundingRect(contour)
        where = (slice(y, y + height), slice(x, x + width))
        if tree[0, number, 2] >= 0:  # another spot may stand in its hole
            _, labels = cv2.connectedComponents(pixels[where], connectivity=8)
            column, row = contour[0, 0]
            yield where, labels == labels[row - y, column - x]
            continue
        spot = np.zeros((height, width), np.uint8)
        cv2.drawContours(spot, [contour], 0, 1, cv2.FILLED, offset=(-x, -y))
        yield where, spot.view(np.bool_)


def _unsure(q: NDArray[np.float32], certain: Mask, cut: _Cut, sector: Sector, shape: tuple[int, ...]) -> Mask | None:
    """The unsure regions on the picture. None where there is not one pixel of any."""
    if cut.unsure is None:
        return None
    kept = unsure_only(q, certain, cut.unsure, cut.point.min_area)
    if kept is None:
        return None
    inside = from_letterbox(kept, sector) >= cut.unsure
    if not inside.any():
        return None
    mask = np.zeros(shape[:2], np.bool_)
    sector.cut(mask)[...] = inside
    return mask


def _cut(stored: OperatingPoint, name: PointName | Literal[""]) -> _Cut:
    point = stored.at(name) if name else stored
    unsure = None if point.unsure is None else np.float32(point.raw(point.unsure))
    return _Cut(name, point, np.float32(point.raw_threshold), unsure)
