"""A capture card or camera: live, so its pictures are taken as they come."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote

import cv2
import numpy as np

from ....errors import FileError, InputError
from ..contract import Picture, Source
from .devices import device_named, is_interlaced
from .fields import one_field

log = logging.getLogger(__name__)
_SILENT = 0
_HELD = 8  # pictures that a driver may have kept since it was opened
_AT_ONCE_S = 0.004  # a picture that comes sooner was kept
_FORM = "camera:0?size=1920x1080&fps=60&format=MJPG"


class CameraMode(NamedTuple):
    """What a camera is asked for; None: as it is."""

    size: tuple[int, int] | None = None  # columns, rows
    fps: float | None = None
    format: str | None = None  # four letters, as `smartca sources` lists them


class Camera(Source):
    """What `capture` sees; `number` is the one that people gave. Of the first `held` pictures old ones are left out."""

    live = True
    endless = True

    def __init__(self, capture: cv2.VideoCapture, number: int, held: int = 0, interlaced: bool = False) -> None:
        self.name = f"camera {number}"
        self.capture = capture
        self.fps = capture.get(cv2.CAP_PROP_FPS) or None
        self._held, self._interlaced = held, interlaced

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """Pictures from now on: what a camera saw before cannot be had, so `start` means nothing."""
        self._empty()
        while True:
            got, image = self.capture.read()
            if not got or image is None:
                raise FileError(f"{self.name} gives no more pictures; check its cable, then start again")
            pixels = np.asarray(image, np.uint8)
            yield Picture(one_field(pixels) if self._interlaced else pixels)

    def _empty(self) -> None:
        """Let go what the driver kept while nobody looked: the first picture that had to be waited for is new."""
        for _ in range(self._held):
            begun = time.monotonic()
            if not self.capture.grab() or time.monotonic() - begun > _AT_ONCE_S:
                return

    def close(self) -> None:
        self.capture.release()


def parse_camera(rest: str) -> tuple[int, CameraMode]:
    """NUMBER or NAME, and behind a question mark size, fps and format. Raises InputError."""
    which, _, asked = rest.partition("?")
    given: dict[str, str] = {}
    for part in filter(None, asked.split("&")):
        key, _, value = part.partition("=")
        if key not in CameraMode._fields or key in given:
            raise InputError(f"'{part[:40]}' in 'camera:{rest[:80]}' is not understood; write {_FORM}")
        given[key] = value
    size = re.fullmatch(r"(\d{2,5})x(\d{2,5})", given.get("size", "16x16"))
    fps = re.fullmatch(r"\d{1,3}(\.\d+)?", given.get("fps", "1"))
    form = re.fullmatch(r"[ -~]{4}", given.get("format", "MJPG"))
    if not size or not fps or not form or float(fps[0]) == 0 or not which:
        raise InputError(f"'camera:{rest[:80]}' is not understood; write {_FORM}")
    mode = CameraMode(
        (int(size[1]), int(size[2])) if "size" in given else None,
        float(fps[0]) if "fps" in given else None,
        form[0] if "format" in given else None,
    )
    return int(which) if which.isdecimal() and len(which) < 6 else device_named(unquote(which)), mode


def open_camera(number: int, mode: CameraMode = CameraMode()) -> Camera:  # noqa: B008 (it is a tuple)
    """Open camera `number`. OSError where there is none or where another program holds it.

    What of `mode` the camera does not take is told as a warning; it goes on with what it gives.
    """
    cv2.utils.logging.setLogLevel(_SILENT)  # what has to be said is said in the exceptions
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        capture.release()
        raise FileError(f"camera {number} cannot be opened; plug it in, or close other programs that use it")
    for told in set_mode(capture, mode):
        log.warning("camera %d did not take %s; `smartca sources` lists its modes", number, told)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest picture, not one of four frames ago
    return Camera(capture, number, _HELD, is_interlaced(number))


def set_mode(capture: cv2.VideoCapture, mode: CameraMode) -> list[str]:
    """Ask for `mode`; gives what was not taken, each with what comes in its place."""
    if mode.format is not None:  # first: a size may be there in one format only
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*mode.format))
    if mode.size is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, mode.size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, mode.size[1])
    if mode.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, mode.fps)
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    form = code.to_bytes(4, "little").decode("latin-1")
    size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    fps = capture.get(cv2.CAP_PROP_FPS)
    refused = []
    if mode.format is not None and form.upper() != mode.format.upper():
        refused.append(f"format={mode.format} (it gives {form if form.isprintable() else 'another'})")
    if mode.size is not None and size != mode.size:
        refused.append(f"size={mode.size[0]}x{mode.size[1]} (it gives {size[0]}x{size[1]})")
    if mode.fps is not None and abs(fps - mode.fps) > 0.02 * mode.fps:
        refused.append(f"fps={mode.fps:g} (it gives {fps:g})")
    return refused
