"""Where the ultrasound picture is inside the scanner's screen: asked of one picture, or of a feed."""

from __future__ import annotations

import threading
from copy import copy, deepcopy

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .pixels import Sector, to_grey, whole
from .screen.edges import fitted_edges
from .screen.found import Found
from .screen.letters import CRISP_ENOUGH, Letters, letters, lines
from .screen.pages import PAGE, covered, page_share, written_tiles
from .screen.planes import Planes, planes
from .screen.profiles import Profiles
from .screen.region import Evidence, Region, box, changing_pixels, evidence, picture_region, written
from .screen.watch import Alarm, Watch

_LARGEST = 0.97  # of the screen: more is the whole picture
_SAME = 0.9  # IoU of looks at one picture, whose edges are not told alike each time
_SLACK = 4  # pixels by which an echo's box may exceed the picture
_FULL = 0.90  # of its box: the picture is a rectangle
_DENSE = 0.25  # of the picture is speckle: it is one without doubt
_LETTERS = 0.15  # of what was taken for the picture: it is a page of text
_FIRST = (1, 2, 4, 8, 16, 32, 60)  # frames after the first that are looked at in any case
_NOW_AND_THEN, _UNSURE = 150, 5  # frames between looks after that; and while it is not sure
_SMALLER, _AGREE, _TIMES = 0.92, 0.95, 3  # a smaller picture: of the box; IoU of looks; how many
_SOON = 10  # frames between those


def parse_crop(text: str) -> Sector | None:
    """`x,y,width,height` in pixels as a sector; None for `auto`. ValueError otherwise."""
    if text == "auto":
        return None
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
        raise InputError(f"--crop {text} is not understood; give auto or x,y,width,height in pixels")
    return Sector(*(int(part) for part in parts))


def find_sector(pixels: NDArray[np.uint8]) -> Sector:
    """The bounding box of the ultrasound picture; the whole picture where none is convincing.

    Takes grey (rows, columns) or BGR (rows, columns, 3).
    """
    return SectorFinder(None).look(pixels).sector


class SectorFinder:
    """The sector of a feed: the given one, or the one found in what all its frames have shown so far.

    The first pictures of a feed are often dark (the probe comes down, the gain goes up) and show less of the picture
    than there is. Every frame is glanced at (`screen.watch`) and looked at where something is new; what was seen
    adds up until the screen's size or layout changes, or a smaller picture has been seen for a while.
    profiles: a screen that is remembered there is believed until its own picture has been found.
    aside: once the sector is sure, looks that only time calls for go on beside the feed, in a thread: a look takes as
    long as a frame or two, and a live feed must not wait for it. What calls for one at once still gets it at once.
    """

    def __init__(
        self,
        given: Sector | None,
        unrelated: bool = False,
        profiles: Profiles | None = None,
        aside: bool = False,
    ) -> None:
        self._given, self._aside = given, aside
        self._later: _Later | None = None
        self._profiles = None if unrelated else profiles
        self._unrelated = unrelated
        self._begin()

    def sector(self, pixels: NDArray[np.uint8]) -> Sector:
        """The sector for this picture. Raises ValueError if the given one does not fit it."""
        return self.look(pixels).sector

    def look(self, pixels: NDArray[np.uint8]) -> Found:
        """Sector, sureness and what is kept of this picture. Raises ValueError if the given sector does not fit it."""
        if self._given is not None:
            return Found(self._given.check(pixels.shape))
        if self._later is not None and not self._later.is_alive():
            self._take_over(self._later)
        alarm = self._glance(pixels)
        if self._later is not None and alarm not in (Alarm.NONE, Alarm.OUTSIDE):  # what was seen before decides
            self._take_over(self._later)
            alarm = self._glance(pixels)
        if alarm is Alarm.LAYOUT:
            self._begin()
        if self._must_look(alarm, pixels):
            self._look(pixels)
        self._frames += 1
        assert self._found is not None
        return self._found

    def _glance(self, pixels: NDArray[np.uint8]) -> Alarm:
        return Alarm.LAYOUT if self._watch is None or self._unrelated else self._watch.alarm(pixels)

    def _must_look(self, alarm: Alarm, pixels: NDArray[np.uint8]) -> bool:
        """Must it be looked at before it is shown? What only time calls for is looked at beside the feed."""
        if alarm in (Alarm.LAYOUT, Alarm.LOOK):
            return True
        if not self._due(alarm):
            return alarm is Alarm.INSIDE and self._letters_in(pixels)
        if not self._aside or alarm is Alarm.INSIDE or self._found is None or not self._found.sure:
            return True
        if self._later is None:
            self._later = _Later(self._copy(), pixels)
            self._later.start()
        return False

    def _copy(self) -> SectorFinder:
        """What looks at a picture in another thread: it shares nothing with this one that either changes."""
        other = copy(self)
        other._evidence, other._watch, other._smaller = copy(self._evidence), deepcopy(self._watch), [*self._smaller]
        return other

    def _take_over(self, later: _Later) -> None:
        """Go on with what a look beside the feed has found. Raises what went wrong there."""
        seen = later.finder_after()
        self._frames = seen._frames + self._frames - later.began
        self._found, self._watch, self._last = seen._found, seen._watch, seen._last
        self._evidence, self._smaller, self._recalled = seen._evidence, seen._smaller, seen._recalled
        self._later = None

    def _letters_in(self, pixels: NDArray[np.uint8]) -> bool:
        """Have letters come where the picture was plain?"""
        assert self._watch is not None
        seen = planes(np.ascontiguousarray(self._watch.changed().cut(pixels), np.uint8))
        if len(lines(seen, letters(seen)).boxes):
            return True
        self._watch.idle(pixels)
        return False

    def _begin(self) -> None:
        """Nothing is known of the screen."""
        self._frames = self._last = 0
        self._found: Found | None = None
        self._watch: Watch | None = None
        self._evidence: Evidence | None = None
        self._smaller: list[tuple[Sector, Evidence]] = []
        self._recalled: Sector | None = None

    def _due(self, alarm: Alarm) -> bool:
        """Is it time for a look? What is new in the chrome is black in any case, and may wait a little."""
        if self._found is None or self._frames in _FIRST:
            return True
        if alarm is Alarm.OUTSIDE and self._frames - self._last >= _SOON:
            assert self._watch is not None
            return True
        often = _UNSURE if not self._found.sure else _SOON if self._smaller else _NOW_AND_THEN
        return self._frames % often == 0

    def _look(self, pixels: NDArray[np.uint8]) -> None:
        self._last = self._frames
        seen = planes(pixels)
        marks = letters(seen)
        text = lines(seen, marks)
        change = changing_pixels(seen)
        drawn = written(seen, change, marks, text)
        fresh = evidence(seen, change, drawn)
        if self._evidence is None:
            self._evidence = fresh
        else:
            self._shrink(fresh, seen.shape)
            self._evidence.add(fresh)
        found = picture_region(self._evidence)
        if found.found and _is_page(found, seen):
            found = Region(np.zeros_like(found.cells), found.dense)
        sure = found.found and _convincing(found, seen, text)
        before = self._found
        self._found = _shown(found, seen, (marks, text, drawn), sure, before)
        self._remembered(pixels, seen, marks)
        same = before is not None and before.sure == sure and before.sector == self._found.sector
        if same and self._watch is not None:
            self._watch.looked(pixels)
        else:
            self._watch = _watch(pixels, found, self._evidence, sure)

    def _remembered(self, pixels: NDArray[np.uint8], seen: Planes, marks: Letters) -> None:
        """Begin with what was found on such a screen before; keep what has been sure for a while."""
        assert self._found is not None
        if self._profiles is None:
            return
        if self._found.sure and self._frames >= _FIRST[-1]:
            self._profiles.remember(pixels, self._found.sector)
        if not self._found.sure and self._frames == 0:
            self._recalled = self._profiles.recall(pixels)
        known = self._recalled
        if self._found.sure or known is None or _sticks_out(self._found.sector, known, seen.shape):
            return
        if page_share(np.ascontiguousarray(known.cut(to_grey(pixels)), np.uint8)) >= PAGE:
            return
        keep = np.zeros(seen.shape, np.uint8)
        known.cut(keep)[...] = 255
        self._found = Found(known, True, _without(keep, marks.of(~_echoes(marks, known, seen.scale)), seen))

    def _shrink(self, fresh: Evidence, shape: tuple[int, int]) -> None:
        """Forget what was seen before if a smaller picture has been seen several times: another depth, another probe.

        One that only ends earlier is not smaller: its deep field may be dark for a while.
        """
        now, before = picture_region(fresh), self._found
        if before is None or not now.found or not now.dense.any():
            self._smaller = []
            return
        here = box(now.cells, shape)
        narrower = here.width < _SMALLER * before.sector.width
        if not narrower or (self._smaller and _overlap(here, self._smaller[-1][0]) < _AGREE):
            self._smaller = []
        if narrower:
            self._smaller.append((here, fresh))
        if len(self._smaller) >= _TIMES:
            looks = self._smaller
            self._begin()
            self._evidence = looks[0][1]
            for _, one in looks[1:]:
                self._evidence.add(one)


class _Later(threading.Thread):
    """A look at `pixels` by a copy of a finder, beside the feed."""

    def __init__(self, finder: SectorFinder, pixels: NDArray[np.uint8]) -> None:
        super().__init__(name="look", daemon=True)
        self.began = finder._frames
        self._finder, self._pixels = finder, pixels
        self._bug: Exception | None = None

    def run(self) -> None:
        """See `threading.Thread.run`."""
        try:
            self._finder._look(self._pixels)
        except Exception as bug:  # raised where it is waited for
            self._bug = bug

    def finder_after(self) -> SectorFinder:
        """The finder once it has looked; waits for that."""
        self.join()
        if self._bug is not None:
            raise self._bug
        return self._finder


def _sticks_out(found: Sector, known: Sector, shape: tuple[int, int]) -> bool:
    """Has something been found beyond the remembered sector? The whole screen stands for nothing."""
    if found == whole(shape):
        return False
    union = _union(found, known)
    return union.width * union.height > known.width * known.height / _SAME


def _convincing(found: Region, seen: Planes, text: Letters) -> bool:
    """Is it speckle, and no page of text?"""
    if np.count_nonzero(found.dense & found.cells) < _DENSE * np.count_nonzero(found.cells):
        return False
    (letters_,) = seen.coarse(text.covered(seen.grey.shape) > 0)
    inside = letters_[found.cells > 0]
    return bool(inside.mean() < _LETTERS * 255)


def _is_page(found: Region, seen: Planes) -> bool:
    """Is what was found a page of text?"""
    part = box(found.cells, (seen.grey.shape[0], seen.grey.shape[1])).cut(seen.grey)
    return page_share(np.ascontiguousarray(part, np.uint8)) >= PAGE


def _shown(
    found: Region, seen: Planes, letters_: tuple[Letters, Letters, Letters], sure: bool, before: Found | None
) -> Found:
    """What is kept: the picture's parts without lines of letters; all but letters while it is not sure."""
    marks, text, drawn = letters_
    sector, full = _box(found, seen, drawn)
    if before is not None and before.sure and _overlap(before.sector, sector) > _SAME:
        sector = _union(before.sector, sector)
    if not sure:
        hidden = marks.of(~_echoes(marks, sector, seen.scale)) if found.found else marks
        keep = _without(np.full(seen.shape, 255, np.uint8), hidden, seen)
        if found.found:
            return Found(sector, False, keep)
        pages = covered(written_tiles(seen.grey), (seen.grey.shape[0], seen.grey.shape[1]))
        keep[cv2.resize(pages, keep.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0] = 0
        return Found(sector, False, keep)
    keep = np.zeros(seen.shape, np.uint8)
    sector.cut(keep)[...] = 255
    if not full:
        keep &= _fine(cv2.dilate(found.cells, np.ones((3, 3), np.uint8)), seen.shape)
    keep = _without(keep, text, seen)
    return Found(sector, True, None if np.count_nonzero(keep) == sector.width * sector.height else keep)


def _box(found: Region, seen: Planes, drawn: Letters) -> tuple[Sector, bool]:
    """The picture's box, the whole screen where there is none; and whether the picture fills it."""
    everything = whole(seen.shape)
    if not found.found:
        return everything, True
    sector = box(found.cells, seen.shape)
    filled = np.count_nonzero(found.cells) / found.cells.size * everything.width * everything.height
    full = bool(filled >= _FULL * sector.width * sector.height)
    sector = fitted_edges(sector, seen, drawn, full)
    return (everything if sector.width * sector.height > _LARGEST * seen.shape[0] * seen.shape[1] else sector), full


def _echoes(marks: Letters, sector: Sector, scale: float) -> NDArray[np.bool_]:
    """Which marks inside the sector are not drawn: bright echoes in the dark."""
    x, y, width, height = (marks.boxes[:, column] / scale for column in range(4))
    inside = (x >= sector.x - _SLACK) & (y >= sector.y - _SLACK) & (x + width <= sector.x + sector.width + _SLACK)
    inside &= y + height <= sector.y + sector.height + _SLACK
    return inside & (marks.crisp < CRISP_ENOUGH)


def _without(keep: NDArray[np.uint8], hidden: Letters, seen: Planes) -> NDArray[np.uint8]:
    """`keep` with the letters' places 0."""
    places = hidden.covered(seen.grey.shape)
    keep[cv2.resize(places, keep.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0] = 0
    return keep


def _fine(cells: cv2.typing.MatLike, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Cells of 0 and 1 as 0 and 255 in the screen's own pixels."""
    return np.asarray(cv2.resize(cells, shape[::-1], interpolation=cv2.INTER_NEAREST), np.uint8) * np.uint8(255)


def _watch(pixels: NDArray[np.uint8], found: Region, shown: Evidence, sure: bool) -> Watch:
    cells = cv2.dilate(found.cells, np.ones((5, 5), np.uint8))
    textured = ((cv2.blur(shown.changing, (3, 3)) > 40) & (found.cells > 0)).astype(np.uint8)
    shape = (pixels.shape[0], pixels.shape[1])
    return Watch(pixels, _fine(textured, shape), _fine(cells, shape), sure)


def _union(one: Sector, other: Sector) -> Sector:
    """The smallest sector that holds both."""
    x, y = min(one.x, other.x), min(one.y, other.y)
    right = max(one.x + one.width, other.x + other.width)
    return Sector(x, y, right - x, max(one.y + one.height, other.y + other.height) - y)


def _overlap(one: Sector, other: Sector) -> float:
    """Intersection over union."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    common = max(0, width) * max(0, height)
    return common / (one.width * one.height + other.width * other.height - common)
