"""Record what was shown: the drawn frames as H.264, and beside them the masks and times, loss-free.

`shoulder.mp4` is a fragmented MP4: a process that is killed leaves all but its last second playable.
`shoulder.frames.jsonl` is written out after every frame; `recording` says what it holds.
"""

from __future__ import annotations

import io
import logging
import queue
import threading
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import av
import av.error
import msgspec
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ...errors import FileError, InputError, MissingFile, RunError
from ..frame import Frame, Result
from .recording import FORMAT, RecordedFrame, frame_line, frame_log_path

if TYPE_CHECKING:
    from typing_extensions import Buffer

log = logging.getLogger(__name__)
_WAITING = 64  # frames between the view and the encoder; then the view waits, as nothing may be lost
_TICKS = 90_000  # a second, in the film's time base
_X264 = {"preset": "ultrafast", "crf": "18", "tune": "zerolatency"}


class _Job(NamedTuple):
    drawn: NDArray[np.uint8]
    line: RecordedFrame
    live: bool


class _File(io.FileIO):
    """Unbuffered, and what is written is written whole or raises (a raw file may write a part)."""

    def write(self, content: Buffer, /) -> int:
        rest = memoryview(content)
        while rest.nbytes:
            rest = rest[super().write(rest) :]
        return memoryview(content).nbytes


class Recorder:
    """Writes on a thread of its own; use it with `with`, or call `close`.

    `replace` an earlier recording, or else take `<stem>-2.mp4` and so on where `path` exists: `path` says
    which. Raises OSError if the file cannot be made. What fails later (a full disk) is told by
    `problem`, one sentence, and ends the recording, not the view: what was written stays playable.
    """

    def __init__(self, path: Path, fps: float | None, meta: dict[str, Any], replace: bool = False) -> None:
        if replace:
            for old in (path, frame_log_path(path)):
                old.unlink(missing_ok=True)
        self.path, self._film = _create(Path(path))
        self.problem: str | None = None
        self._bug: Exception | None = None  # that ended the thread
        self.count = 0  # frames taken
        self._fps = fps or 30.0
        self._shape: tuple[int, ...] | None = None
        self._ended = False  # nothing more comes
        self._lines = _File(frame_log_path(self.path), "xb")
        head = {"format": FORMAT, "film": self.path.name, "fps": self._fps, **meta}
        self._lines.write(msgspec.json.encode(head) + b"\n")
        log.info("recording opened", extra={"fps": self._fps})
        self._jobs: queue.Queue[_Job | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def add(self, drawn: NDArray[np.uint8], frame: Frame, result: Result, latency_ms: float) -> None:
        """Take one drawn frame, BGR (rows, columns, 3); waits only while the encoder is 64 frames behind.

        Raises RuntimeError if its size is not that of the first.
        """
        if self._bug is not None:
            raise self._bug
        if self.problem or not self._thread.is_alive():
            return
        self._shape = self._shape or drawn.shape
        if drawn.shape != self._shape:
            raise RunError(
                f"{self.path.name} was begun with pictures of {_size(self._shape)} pixels and now gets "
                f"{_size(drawn.shape)}; start a new recording after changing the scanner's picture"
            )
        line = RecordedFrame(
            self.count,
            frame.epoch,
            frame.seq,
            frame.captured_ns,
            result.state,
            result.reason,
            float(result.confidence),
            result.engine,
            float(latency_ms),
            result.inference_ns / 1e6,
            result.mask,
            result.unsure,
            result.point,
        )
        self._jobs.put(_Job(drawn, line, frame.live))
        self.count += 1

    def close(self) -> None:
        """Write what waits and end the film; may be called twice. Look at `problem` afterwards."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()
            log.info("recording closed", extra={"frames": self.count, "failed": self.problem is not None})
        if self._bug is not None:
            raise self._bug

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self) -> None:
        try:
            with self._film, self._lines:
                self._write()
        except OSError as error:
            self._give_up(f"can no longer be written ({error.strerror})")
        except av.error.FFmpegError as error:
            self._give_up(f"could not be encoded ({error})")
        except Exception as error:
            self._bug = error
            self._give_up("met a bug")

    def _give_up(self, why: str) -> None:
        self.problem = f"the recording {self.path.name} {why}; what it holds is kept"
        while not self._ended:  # nobody may wait for room
            self._ended = self._jobs.get() is None

    def _write(self) -> None:
        film = _Film(self._film, self._fps)
        try:
            while (job := self._jobs.get()) is not None:
                film.add(job)
                self._lines.write(frame_line(job.line))
            self._ended = True
            film.end()
        finally:
            film.abandon()


class _Film:
    """The MP4: opened with the first frame, as its size must be known."""

    def __init__(self, file: _File, fps: float) -> None:
        self.file, self.fps = file, fps
        self.container: OutputContainer | None = None
        self.stream: VideoStream | None = None
        self.last = -1  # ticks of the frame before
        self.base: tuple[int, int] | None = None  # epoch, and ticks to add to its capture times

    def add(self, job: _Job) -> None:
        stream = self.stream or self._begin(job.drawn)
        picture = av.VideoFrame.from_ndarray(_even(job.drawn), format="bgr24")
        picture.pts, picture.time_base = self._ticks(job), Fraction(1, _TICKS)
        self._mux(stream, picture)

    def end(self) -> None:
        if self.stream is not None and self.container is not None:
            self._mux(self.stream, None)
            self.container.close()
        self.container = None

    def abandon(self) -> None:
        """Let go after a failure; the same failure may come again."""
        if self.container is not None:
            with suppress(OSError, av.error.FFmpegError):
                self.container.close()

    def _mux(self, stream: VideoStream, picture: av.VideoFrame | None) -> None:
        assert self.container is not None
        for packet in stream.encode(picture):
            self.container.mux(packet)

    def _begin(self, drawn: NDArray[np.uint8]) -> VideoStream:
        options = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
        container = self.container = av.open(self.file, "w", format="mp4", options=options)
        rate = Fraction(self.fps).limit_denominator(1001)
        stream = self.stream = container.add_stream("libx264", rate=rate, options=_X264)
        rows, columns = drawn.shape[:2]
        stream.width, stream.height, stream.pix_fmt = columns + columns % 2, rows + rows % 2, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.gop_size = max(1, round(self.fps))
        stream.codec_context.time_base = Fraction(1, _TICKS)
        return stream

    def _ticks(self, job: _Job) -> int:
        """A live frame stands at its capture, a file's frame at its place; always after the one before."""
        if not job.live:
            self.last = max(self.last + 1, round(job.line.index * _TICKS / self.fps))
            return self.last
        epoch, captured = job.line.epoch, job.line.captured_ns * _TICKS // 1_000_000_000
        if self.base is None or self.base[0] != epoch:  # its clock has another zero than the one before
            start = 0 if self.last < 0 else self.last + round(_TICKS / self.fps)
            self.base = (epoch, start - captured)
        self.last = max(self.last + 1, captured + self.base[1])
        return self.last


def _create(path: Path) -> tuple[Path, _File]:
    """A new file at `path`, or at the first free name after it."""
    if path.suffix.lower() != ".mp4":
        raise InputError(f"{path} does not end in .mp4; recordings are MP4 films")
    wanted, number = path, 1
    while True:
        try:
            if frame_log_path(path).exists():
                raise FileExistsError
            return path, _File(path, "xb")
        except FileExistsError:
            number += 1
            path = wanted.with_stem(f"{wanted.stem}-{number}")
        except FileNotFoundError as error:
            raise MissingFile(f"there is no folder {path.parent}; make it before recording") from error
        except OSError as error:
            raise FileError(f"{path} cannot be written ({error.strerror}); record elsewhere") from error


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"


def _even(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """H.264 halves the colours: an odd side gets its last row or column twice."""
    rows, columns = image.shape[:2]
    if rows % 2 or columns % 2:
        return np.pad(image, ((0, rows % 2), (0, columns % 2), (0, 0)), mode="edge")
    return image
