"""A video file, decoded on one thread: every frame once, in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from ...errors import FileError, InputError, MissingFile, RunError
from .contract import Picture, Source

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_TEXT = "tty"  # FFmpeg plays any .txt file as an animation of letters


class VideoFile(Source):
    """Any video file that FFmpeg reads; grey where the stream is grey, BGR otherwise.

    Raises OSError where there is no such file, ValueError where it is no video.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        with _open(path) as container:
            stream = container.streams.video[0]
            self.fps = float(stream.average_rate) if stream.average_rate else None
            self.count = stream.frames or None  # what the file says; what is decoded decides

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """Frames from number `start`, counted by decoding: seeking by time is not exact in all files."""
        read, problem = 0, ""
        with _open(self.path) as container:
            stream = container.streams.video[0]
            try:
                for frame in _decode(container, stream):
                    read += 1
                    if read > start:
                        yield Picture(_pixels(frame))
            except av.error.FFmpegError as error:
                problem = error.strerror or str(error)
        if problem or read == 0:
            wanted = f" of {self.count}" if self.count else ""
            raise RunError(
                f"{self.name} is damaged or cut off ({problem or 'no frame decodes'}): "
                f"only {read}{wanted} frames could be read; copy it again from the scanner"
            )


def _decode(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """All frames that decode; then the first error, if there was one."""
    first: av.error.FFmpegError | None = None
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            first, packet = first or error, None
        try:
            yield from stream.codec_context.decode(packet)
        except av.error.EOFError:
            pass
        except av.error.FFmpegError as error:
            first = first or error
        if packet is None:
            break
    if first is not None:
        raise first


def _open(path: Path) -> InputContainer:
    if path.is_dir():
        raise FileError(f"{path} is a folder, not a video; end it with the name of a file in it")
    try:
        container = av.open(str(path), metadata_errors="replace")  # its words may be of any encoding
    except FileNotFoundError as error:
        raise MissingFile(f"there is no file {path}; check the path") from error
    except PermissionError as error:
        raise FileError(f"{path} may not be read; check its permissions") from error
    except av.error.FFmpegError as error:
        raise InputError(
            f"{path} is not a video that can be read ({error.strerror}); "
            "if it is one, it was cut off before its end was written: copy it again"
        ) from error
    if not container.streams.video or container.format.name == _TEXT:
        container.close()
        raise InputError(f"{path} holds no video ({container.format.name}); give a video file, e.g. an .mp4")
    if container.streams.video[0].codec_context is None:
        container.close()
        raise InputError(f"{path} is of a kind that FFmpeg cannot decode here; convert it, e.g. to an .mp4")
    container.streams.video[0].codec_context.thread_count = 1  # nothing else may compute beside the engine
    return container


def _pixels(frame: VideoFrame) -> NDArray[np.uint8]:
    grey = frame.format.name.startswith("gray")
    return frame.to_ndarray(format="gray" if grey else "bgr24")  # type: ignore[return-value]
