"""A capture card or camera: live, so its pictures are taken as they come."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from ....errors import FileError
from ..contract import Picture, Source

_SILENT = 0


class Camera(Source):
    """What `capture` sees; `number` is the one that people gave."""

    live = True
    endless = True

    def __init__(self, capture: cv2.VideoCapture, number: int) -> None:
        self.name = f"camera {number}"
        self.capture = capture
        self.fps = capture.get(cv2.CAP_PROP_FPS) or None

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """Pictures from now on: what a camera saw before cannot be had, so `start` means nothing."""
        while True:
            got, image = self.capture.read()
            if not got or image is None:
                raise FileError(f"{self.name} gives no more pictures; check its cable, then start again")
            yield Picture(np.asarray(image, np.uint8))

    def close(self) -> None:
        self.capture.release()


def open_camera(number: int) -> Camera:
    """Open camera `number`. OSError where there is none or where another program holds it."""
    cv2.utils.logging.setLogLevel(_SILENT)  # what has to be said is said in the exceptions
    capture = cv2.VideoCapture(number)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest picture, not one of four frames ago
    if not capture.isOpened():
        capture.release()
        raise FileError(f"camera {number} cannot be opened; plug it in, or close other programs that use it")
    return Camera(capture, number)
