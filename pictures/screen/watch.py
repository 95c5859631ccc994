"""Has a screen changed where it should not? A quick glance at every frame, so that looks can be few."""

from __future__ import annotations

from enum import Enum, auto

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pixels import Grey, Sector
from .letters import LETTER_CONTRAST

_STEP = 4  # pixels: every one of these is glanced at
_UNSURE_STEP = 2
_HITS, _JUMP = 3, 40  # places in the picture that must have changed by so many grey levels
_LAYOUT = 0.2  # of the chrome: another layout
_OFTEN = 3  # times a place may have raised an alarm for nothing; then it is a clock, a running curve, an echo
_PLAINER = 0.05  # of the picture: as much has become plain since the last look; a window has been opened over it
_AROUND = 32  # pixels about what has changed


class Alarm(Enum):
    """What a glance says."""

    NONE = auto()
    INSIDE = auto()  # something new in the picture, where it was plain
    OUTSIDE = auto()  # something new in the chrome
    LOOK = auto()  # while it is not sure: something new anywhere; or the picture has become plainer
    LAYOUT = auto()  # another screen


class Watch:
    """Compares each frame with what was looked at last.

    textured: uint8 (rows, columns) of the screen, not 0 where the picture has been speckled: all else stands still, or
    is looked at again. kept: not 0 in the picture. sure: while it is not, any change calls for a look.
    """

    def __init__(self, pixels: NDArray[np.uint8], textured: Grey, kept: Grey, sure: bool) -> None:
        self._sure = sure
        self._step = _STEP if sure else _UNSURE_STEP
        grid = np.s_[:: self._step, :: self._step]
        self._textured = textured[grid] > 0
        self._chrome = kept[grid] == 0
        self._least = np.where(self._chrome | (not sure), np.uint8(LETTER_CONTRAST), np.uint8(_JUMP))
        self._idle = np.zeros(self._chrome.shape, np.uint8)  # alarms for nothing, by place
        self._hits = np.zeros(self._chrome.shape, np.bool_)
        self._shape = pixels.shape
        self.looked(pixels)

    def looked(self, pixels: NDArray[np.uint8]) -> None:
        """All of this frame has been looked at: what had changed in the chrome was nothing new."""
        usual = self._hits & self._chrome
        self._idle[usual] += self._idle[usual] < _OFTEN
        self._hits = np.zeros_like(self._hits)
        self._last = self._glance(pixels)
        self._plain = self._plain_share(pixels)

    def idle(self, pixels: NDArray[np.uint8]) -> None:
        """The last alarm was for nothing: no letters are where it changed."""
        self._last[self._hits] = self._glance(pixels)[self._hits]
        about = cv2.dilate(self._hits.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        self._idle[about] += self._idle[about] < _OFTEN

    def alarm(self, pixels: NDArray[np.uint8]) -> Alarm:
        """Must this frame be looked at?"""
        if pixels.shape != self._shape:
            return Alarm.LAYOUT
        difference = cv2.absdiff(self._glance(pixels), self._last)
        changed = (difference >= self._least) & ~self._textured
        if changed.any():
            if self._sure:
                changed &= self._idle < _OFTEN
            self._hits = changed
            outside = np.count_nonzero(changed & self._chrome)
            if outside >= max(_HITS, _LAYOUT * np.count_nonzero(self._chrome)):
                return Alarm.LAYOUT
            if not self._sure or self._plainer(pixels):  # a window over the picture, whatever else is new
                return Alarm.LOOK
            if np.count_nonzero(changed) - outside >= _HITS:
                self._hits = changed & ~self._chrome
                return Alarm.INSIDE
            if outside >= _HITS:
                return Alarm.OUTSIDE
        return Alarm.LOOK if self._plainer(pixels) else Alarm.NONE

    def changed(self) -> Sector:
        """What has changed at the last alarm, and a little about it, in the screen's pixels."""
        rows, columns = np.flatnonzero(self._hits.any(axis=1)), np.flatnonzero(self._hits.any(axis=0))
        x, y = max(0, int(columns[0]) * self._step - _AROUND), max(0, int(rows[0]) * self._step - _AROUND)
        right = min(self._shape[1], int(columns[-1]) * self._step + _AROUND)
        bottom = min(self._shape[0], int(rows[-1]) * self._step + _AROUND)
        return Sector(x, y, right - x, bottom - y)

    def _plainer(self, pixels: NDArray[np.uint8]) -> bool:
        return self._plain_share(pixels) >= self._plain + _PLAINER

    def _glance(self, pixels: NDArray[np.uint8]) -> Grey:
        step = self._step
        return np.ascontiguousarray(pixels[::step, ::step] if pixels.ndim == 2 else pixels[::step, ::step, 1])

    def _plain_share(self, pixels: NDArray[np.uint8]) -> float:
        """Of the speckled part: how many pixels do not differ from their right neighbour."""
        one = pixels if pixels.ndim == 2 else pixels[:, :, 1]
        here, beside = one[::_STEP, :-1:_STEP], one[::_STEP, 1::_STEP]
        inside = self._textured[:: _STEP // self._step, :: _STEP // self._step]
        columns = min(here.shape[1], beside.shape[1], inside.shape[1])
        same = (here[:, :columns] == beside[:, :columns]) & inside[:, :columns]
        return np.count_nonzero(same) / max(1, np.count_nonzero(inside))
