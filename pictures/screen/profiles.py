"""Where the picture was on screens of before, so that a scanner's second day begins with it.

One small file of numbers: a screen's size, a digest of how bright its corners are, and the sector. No pixels, no text.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_dir

from ...errors import UNDECODABLE
from ...files import write_whole
from ..pixels import Sector, to_grey

log = logging.getLogger(__name__)
OFF = "SMARTCA_FORGET_SCREENS"  # set to anything: nothing is read or kept
_MOST = 32  # screens; the one used least recently is forgotten first
_LARGEST = 1 << 16  # bytes of a file that is ours
_CORNER, _LEVELS = 12, 16  # of the screen's sides; grey levels that count as one


class Profile(msgspec.Struct, frozen=True):
    """One screen: size and look, and its picture's box (x, y, width, height)."""

    rows: int
    columns: int
    look: str
    sector: tuple[int, int, int, int]


class Profiles:
    """The screens that are remembered in a file; where it cannot be read or written, none are."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Path(user_cache_dir("smartca")) / "screens.json"

    def recall(self, pixels: NDArray[np.uint8]) -> Sector | None:
        """The sector of this screen, if it was remembered and fits."""
        rows, columns = pixels.shape[:2]
        seen = look_of(pixels)
        for one in self._read():
            if (one.rows, one.columns, one.look) == (rows, columns, seen):
                x, y, width, height = one.sector
                fits = min(x, y) >= 0 and min(width, height) >= 8 and x + width <= columns and y + height <= rows
                return Sector(x, y, width, height) if fits else None
        return None

    def remember(self, pixels: NDArray[np.uint8], sector: Sector) -> None:
        """Keep this screen's sector."""
        rows, columns = pixels.shape[:2]
        new = Profile(rows, columns, look_of(pixels), (sector.x, sector.y, sector.width, sector.height))
        known = self._read()
        if known and known[-1] == new:
            return
        others = [one for one in known if (one.rows, one.columns, one.look) != (rows, columns, new.look)]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, msgspec.json.encode([*others, new][-_MOST:]))
        except OSError as error:
            log.info("screens cannot be remembered", extra={"reason": error.strerror})

    def _read(self) -> list[Profile]:
        try:
            if self.path.stat().st_size > _LARGEST:
                return []
            return msgspec.json.decode(self.path.read_bytes(), type=list[Profile])
        except (OSError, *UNDECODABLE):
            return []


def usual_profiles() -> Profiles | None:
    """Those of this user; None where they are switched off."""
    return None if os.environ.get(OFF) else Profiles()


def look_of(pixels: NDArray[np.uint8]) -> str:
    """A digest of how bright a screen's corners are, coarsely: another scanner's are otherwise."""
    grey = to_grey(pixels)
    down, across = max(1, grey.shape[0] // _CORNER), max(1, grey.shape[1] // _CORNER)
    corners = grey[:down, :across], grey[:down, -across:], grey[-down:, :across], grey[-down:, -across:]
    levels = bytes(round(float(np.median(corner)) / _LEVELS) for corner in corners)
    return hashlib.sha256(levels).hexdigest()[:12]
