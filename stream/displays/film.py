"""The film of a recording: drawn frames as H.264 in a fragmented MP4, which plays up to where it was cut off."""

from __future__ import annotations

import errno
import io
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ...errors import MissingFile, RunError

if TYPE_CHECKING:
    from typing_extensions import Buffer

TICKS = 90_000  # a second, in the film's time base
ENCODER = "libx264"
_X264 = {"preset": "ultrafast", "crf": "18", "tune": "zerolatency"}
_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}


class WholeFile(io.FileIO):
    """A new file, unbuffered: what is written is written whole or raises (a raw file may write a part).

    It remembers that it failed, as libraries that write through it may pass over an error.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "xb")
        self.path = path
        self.failed: OSError | None = None

    def write(self, content: Buffer, /) -> int:
        """See `io.RawIOBase.write`."""
        rest = memoryview(content)
        try:
            while rest.nbytes:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failed = error
            raise
        return memoryview(content).nbytes

    def check(self) -> None:
        """Raises OSError if something was not written, or what was written can no longer be found."""
        if self.failed is not None:
            raise self.failed
        if not self.path.exists() or os.fstat(self.fileno()).st_nlink == 0:
            raise MissingFile(errno.ENOENT, "it was moved or deleted meanwhile, or its folder was")

    def settle(self) -> None:
        """Have it on the disk: some disks tell only now that they are full. Raises OSError."""
        try:
            os.fsync(self.fileno())
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # not every file system can
                raise
        self.check()


class Film:
    """The MP4: opened with the first picture, whose size it keeps; pictures of other sizes are fitted into it."""

    def __init__(self, file: WholeFile, fps: float) -> None:
        self.file, self.fps = file, fps
        self.fitted = 0  # pictures of another size than the first
        self.pictures = self._packets = 0  # pictures added, packets that came of them
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._last = -1  # ticks of the picture before
        self._base: tuple[int, int] | None = None  # epoch, and ticks to add to its capture times

    def add(self, drawn: NDArray[np.uint8], live: bool, epoch: int, captured_ns: int) -> None:
        """Add one BGR picture. Raises OSError where it cannot be written, FFmpegError or ValueError if not encoded."""
        stream = self._stream or self._begin(drawn)
        size = (stream.height, stream.width)
        picture = _even(drawn)
        if picture.shape[:2] != size:
            picture = fitted(picture, size)
            self.fitted += 1
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        frame.pts, frame.time_base = self._ticks(live, epoch, captured_ns), Fraction(1, TICKS)
        self._mux(stream, frame)
        self.pictures += 1

    def end(self) -> None:
        """Write what the encoder still holds. Raises as `add`, and RunError if a picture is missing."""
        if self._stream is not None and self._container is not None:
            self._mux(self._stream, None)
            self._container.close()
        self._container = None
        if self._packets != self.pictures:
            raise RunError(f"the encoder gave back {self._packets} of {self.pictures} pictures")

    def abandon(self) -> None:
        """Let go after a failure; the same failure may come again."""
        if self._container is not None:
            with suppress(OSError, av.error.FFmpegError):
                self._container.close()

    def _mux(self, stream: VideoStream, picture: av.VideoFrame | None) -> None:
        assert self._container is not None
        for packet in stream.encode(picture):
            self._container.mux(packet)
            self._packets += 1
        if self.file.failed is not None:  # PyAV may pass over what its file raised
            raise self.file.failed

    def _begin(self, drawn: NDArray[np.uint8]) -> VideoStream:
        container = self._container = av.open(self.file, "w", format="mp4", options=_FRAGMENTED)
        rate = Fraction(self.fps).limit_denominator(1001)
        stream = self._stream = container.add_stream(ENCODER, rate=rate, options=_X264)
        rows, columns = drawn.shape[:2]
        stream.width, stream.height, stream.pix_fmt = columns + columns % 2, rows + rows % 2, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.gop_size = max(1, round(self.fps))
        stream.codec_context.time_base = Fraction(1, TICKS)
        return stream

    def _ticks(self, live: bool, epoch: int, captured_ns: int) -> int:
        """A live frame stands at its capture, a file's frame at its place; always after the one before."""
        if not live:
            self._last = max(self._last + 1, round(self.pictures * TICKS / self.fps))
            return self._last
        captured = captured_ns * TICKS // 1_000_000_000
        if self._base is None or self._base[0] != epoch:  # its clock has another zero than the one before
            start = 0 if self._last < 0 else self._last + round(TICKS / self.fps)
            self._base = (epoch, start - captured)
        self._last = max(self._last + 1, captured + self._base[1])
        return self._last


def fitted(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The BGR `image` as large as it fits into `size` (rows, columns), in the middle of black; its shape is kept."""
    rows, columns = size
    scale = min(rows / image.shape[0], columns / image.shape[1])
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (rows - height) // 2, (columns - width) // 2
    whole = np.zeros((rows, columns, 3), np.uint8)
    whole[top : top + height, left : left + width] = small
    return whole


def _even(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """H.264 halves the colours: an odd side gets its last row or column twice."""
    rows, columns = image.shape[:2]
    if rows % 2 or columns % 2:
        return np.pad(image, ((0, rows % 2), (0, columns % 2), (0, 0)), mode="edge")
    return image
