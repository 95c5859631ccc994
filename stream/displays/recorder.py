"""Record what was shown: the drawn frames as H.264, and beside them the masks and times, loss-free.

`shoulder.mp4` is a fragmented MP4: a process that is killed leaves all but its last second playable.
`shoulder.frames.jsonl` is written out after every frame; `recording` says what it holds.
"""

from __future__ import annotations

import logging
import queue
import threading
from pathlib import Path
from typing import Any, NamedTuple

import av.error
import msgspec
import numpy as np
from numpy.typing import NDArray

from ...errors import FileError, InputError, MissingFile, RunError
from ..frame import Frame, Result
from .film import Film, WholeFile
from .recording import FORMAT, FilmRecord, RecordedFrame, frame_line, frame_log_path

log = logging.getLogger(__name__)
_WAITING = 64  # frames between the view and the encoder; then the view waits, as nothing may be lost


class _Job(NamedTuple):
    drawn: NDArray[np.uint8]
    line: RecordedFrame
    live: bool


class Recorder:
    """Writes on a thread of its own; use it with `with`, or call `close`.

    `meta` goes into the head of the frame log. `replace` an earlier recording, or else take `<stem>-2.mp4` and so on
    where `path` exists: `path` says which. A picture of another size than the first is fitted into the film; its masks
    in the log keep their size. Raises OSError if the file cannot be made. What fails later (a full disk, a folder that
    is gone) is told by `recorded`, one sentence, and ends the recording, not the view: what was written stays playable.
    """

    def __init__(self, path: Path, fps: float | None, meta: dict[str, Any], replace: bool = False) -> None:
        if replace:
            for old in (path, frame_log_path(path)):
                old.unlink(missing_ok=True)
        self.path, self._file = _create(Path(path))
        self.problem = ""
        self._bug: Exception | None = None  # that ended the thread
        self.count = 0  # frames taken
        self._written = 0  # of them, in film and log
        self._fps = fps or 30.0
        self._film = Film(self._file, self._fps)
        self._ended = False  # nothing more comes
        self._lines = WholeFile(frame_log_path(self.path))
        head = {"format": FORMAT, "film": self.path.name, "fps": self._fps, **meta}
        self._lines.write(msgspec.json.encode(head) + b"\n")
        log.info("recording opened", extra={"fps": self._fps})
        self._jobs: queue.Queue[_Job | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def add(self, drawn: NDArray[np.uint8], frame: Frame, result: Result, latency_ms: float) -> None:
        """Take one drawn frame, BGR (rows, columns, 3); waits only while the encoder is 64 frames behind."""
        if self._bug is not None:
            raise self._bug
        if self.problem or not self._thread.is_alive():
            return
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
            frame.source,
            tuple(frame.sector),
            frame.mm_per_pixel,
            (drawn.shape[0], drawn.shape[1]),
        )
        self._jobs.put(_Job(drawn, line, frame.live))
        self.count += 1

    def recorded(self) -> FilmRecord:
        """What it holds so far; once closed, what it holds."""
        return FilmRecord(self.path.name, self._written, self._film.fitted, self.problem)

    def close(self) -> None:
        """Write what waits and end the film; may be called twice. Look at `recorded` afterwards."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()
            log.info("recording closed", extra={"frames": self.count, "failed": bool(self.problem)})
        if self._bug is not None:
            raise self._bug

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self) -> None:
        try:
            with self._file, self._lines:
                self._write()
        except FileNotFoundError as error:
            self._give_up(f"cannot be kept ({error.strerror}); leave it in its place and record again")
        except OSError as error:
            self._give_up(
                f"can no longer be written ({error.strerror}); what it holds is kept: make room, or record elsewhere"
            )
        except (av.error.FFmpegError, RunError, ValueError) as error:
            self._give_up(f"could not be encoded ({error}); what it holds is kept")
        except Exception as error:
            self._bug = error
            self._give_up("met a bug; what it holds is kept")

    def _give_up(self, why: str) -> None:
        self.problem = f"the recording {self.path.name} {why}"
        while not self._ended:  # nobody may wait for room
            self._ended = self._jobs.get() is None

    def _write(self) -> None:
        film, often = self._film, max(1, round(self._fps))
        try:
            while (job := self._jobs.get()) is not None:
                film.add(job.drawn, job.live, job.line.epoch, job.line.captured_ns)
                self._lines.write(frame_line(job.line))
                self._written += 1
                if self._written % often == 0:
                    self._check()
            self._ended = True
            film.end()
            for file in (self._file, self._lines):
                file.settle()
        finally:
            film.abandon()

    def _check(self) -> None:
        for file in (self._file, self._lines):
            file.check()


def _create(path: Path) -> tuple[Path, WholeFile]:
    """A new file at `path`, or at the first free name after it."""
    if path.suffix.lower() != ".mp4":
        raise InputError(f"{path} does not end in .mp4; recordings are MP4 films")
    wanted, number = path, 1
    while True:
        try:
            if frame_log_path(path).exists():
                raise FileExistsError
            return path, WholeFile(path)
        except FileExistsError:
            number += 1
            path = wanted.with_stem(f"{wanted.stem}-{number}")
        except FileNotFoundError as error:
            raise MissingFile(f"there is no folder {path.parent}; make it before recording") from error
        except OSError as error:
            raise FileError(f"{path} cannot be written ({error.strerror}); record elsewhere") from error
