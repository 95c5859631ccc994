"""The one reader of films: whatever shows, scores or learns from a clip sees the same pictures of it.

FFmpeg decodes, on one thread. Pictures come as players show them: turned and mirrored as the film says (a telephone
stores them lying down), with square pixels, and whole where a camera took every other line at another time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import av
import av.error
import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, RunError
from .unreadable import cause_of, content_of, film_of, still_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.filter import Graph
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Pixels = NDArray[np.uint8]
_TEXT = "tty"  # FFmpeg plays any .txt file as an animation of letters
_FEWEST, _FASTEST = 0.01, 1000.0  # frames a second of a header that may be believed
_SQUARE = 0.01  # so far from 1 a pixel's width to height is rounding of whoever wrote the film
_DEFAULT, _COVERS = 1, 0x400 | 0x800  # FFmpeg's bits: the stream to be played; a cover, or thumbnails
_WIDEST = 8.0  # times its height: a header that says more is damaged


class FilmPicture(NamedTuple):
    """One picture: uint8 grey (rows, columns) or BGR (rows, columns, 3), and when it is to be seen."""

    pixels: Pixels
    media_ns: int | None  # from the film's first picture on; None where the film does not say


@dataclass(frozen=True, slots=True)
class FilmHead:
    """What a film says of itself before it is read; `shape` is that of its first picture, as it is shown."""

    fps: float | None
    count: int | None  # what is decoded decides
    shape: tuple[int, ...] | None


def film_head(path: Path) -> FilmHead:
    """Raises OSError where there is no such file, ValueError where it is no film; both name it."""
    with open_film(path) as container:
        stream = played_stream(container)
        assert stream is not None
        fps = float(stream.average_rate) if stream.average_rate else 0.0
        first, width = next(_decode(container, stream, []), None), pixel_width_of(stream)
        shape = None if first is None else shown_pixels(first, width).shape
        return FilmHead(fps if _FEWEST <= fps <= _FASTEST else None, stream.frames or None, shape)


def read_film(path: Path, start: int = 0, every: int = 1) -> Iterator[FilmPicture]:
    """Every n-th picture from number `start` on, counted by decoding: seeking by time is not exact in all films.

    Raises as `film_head`; and RuntimeError, after all that could be read, where a film is damaged or cut off.
    """
    read, errors = 0, list[av.error.FFmpegError]()
    with open_film(path) as container:
        stream = played_stream(container)
        assert stream is not None
        width, count, zero = pixel_width_of(stream), stream.frames, None
        for frame in _whole_pictures(_decode(container, stream, errors)):
            now = None if frame.time is None else round(frame.time * 1e9)
            zero = now if zero is None else zero
            if read >= start and (read - start) % every == 0:
                since = None if now is None or zero is None or now < zero else now - zero
                yield FilmPicture(shown_pixels(frame, width), since)
            read += 1
    if errors or not read:
        why = (errors[0].strerror or str(errors[0])) if errors else "no frame decodes"
        wanted = f" of {count}" if count else ""
        raise RunError(
            f"{path.name} is damaged or cut off ({why}): "
            f"only {read}{wanted} frames could be read; copy it again from the scanner"
        )


def open_film(path: Path) -> InputContainer:
    """A film of at least one stream of pictures, to be decoded on one thread.

    Raises OSError where the file cannot be read, ValueError where it is no film; each cause has its own sentence.
    """
    cause = cause_of(path)
    if cause is not None:
        raise cause
    other = content_of(path)
    if other is not None:
        raise InputError(f"{path} is not a video that can be read ({other[0]}); {other[1]}")
    try:
        # without `file:` what stands before a colon would be a protocol, and with patterns % would be a number
        container = av.open(f"file:{path}", options={"pattern_type": "none"}, metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise _no_film(path, error) from error
    if film_of(path) and not (container.streams.video or container.streams.audio):
        container.close()
        raise InputError(_cut_off(path))
    stream = played_stream(container)
    if stream is None or container.format.name == _TEXT:
        container.close()
        raise InputError(f"{path} holds no video ({container.format.name}); give a video file, e.g. an .mp4")
    if stream.codec_context is None:
        container.close()
        raise InputError(f"{path} is of a kind that FFmpeg cannot decode here; convert it, e.g. to an .mp4")
    stream.codec_context.thread_count = 1  # nothing else may compute beside the engine
    return container


def played_stream(container: InputContainer) -> VideoStream | None:
    """The stream of pictures that players choose, which is no cover; None where there is none."""
    told = [(int(getattr(stream, "disposition", 0)), stream) for stream in container.streams.video]
    films = [(said, stream) for said, stream in told if not said & _COVERS]
    return next((stream for said, stream in films if said & _DEFAULT), films[0][1] if films else None)


def _cut_off(path: Path) -> str:
    return (
        f"{path} is not a video that can be read (it begins as {film_of(path)} film, and was cut off before its end "
        "was written); copy it again, or record it again"
    )


def _no_film(path: Path, error: av.error.FFmpegError) -> InputError:
    still = still_of(path)
    if film_of(path):
        return InputError(_cut_off(path))
    if still:
        return InputError(f"{path} is not a video that can be read (it is {still} picture); end its name as those do")
    return InputError(
        f"{path} is not a video that can be read ({error.strerror}); if it is one, copy it again, or convert it to .mp4"
    )


def _decode(container: InputContainer, stream: VideoStream, errors: list[av.error.FFmpegError]) -> Iterator[VideoFrame]:
    """All frames that decode; what went wrong between them is added to `errors`."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            errors.append(error)
            packet = None
        try:
            yield from stream.codec_context.decode(packet)
        except av.error.EOFError:
            pass
        except av.error.FFmpegError as error:
            errors.append(error)
        if packet is None:
            return


def _whole_pictures(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """The same frames, without combs: from the first interlaced one on through FFmpeg's filter, which looks at both
    neighbours and leaves whole frames as they are.
    """
    filtered: Graph | None = None
    form: tuple[int, int, str] | None = None
    for frame in frames:
        now = frame.width, frame.height, frame.format.name
        if filtered is not None and now != form:
            yield from _drained(filtered)
            filtered = None
        if filtered is None and frame.interlaced_frame:
            filtered, form = _deinterlacer(frame), now
        if filtered is None:
            yield frame
            continue
        filtered.vpush(frame)
        yield from _ready(filtered)
    if filtered is not None:
        yield from _drained(filtered)


def _deinterlacer(frame: VideoFrame) -> Graph:
    from av.filter import Graph

    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink"))
    graph.configure()
    return graph


def _ready(graph: Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _drained(graph: Graph) -> Iterator[VideoFrame]:
    graph.vpush(None)
    yield from _ready(graph)


def pixel_width_of(stream: VideoStream) -> float:
    """How wide a stored pixel is to its height; 1 where that is not said, not to be believed, or next to nothing."""
    said = stream.sample_aspect_ratio
    width = float(said) if said else 1.0
    return width if 1 / _WIDEST <= width <= _WIDEST and abs(width - 1) >= _SQUARE else 1.0


def shown_pixels(frame: VideoFrame, pixel_width: float) -> Pixels:
    """The picture as a player shows it. Sides are only ever made longer, so that nothing is lost."""
    grey = frame.format.name.startswith("gray")
    pixels = np.asarray(frame.to_ndarray(format="gray" if grey else "bgr24"), np.uint8)
    if pixel_width != 1.0:
        rows, columns = pixels.shape[:2]
        wide, high = round(columns * max(1.0, pixel_width)), round(rows * max(1.0, 1 / pixel_width))
        pixels = np.asarray(cv2.resize(pixels, (wide, high), interpolation=cv2.INTER_LINEAR), np.uint8)
    return _turned(frame)(pixels)


def _turned(frame: VideoFrame) -> Callable[[Pixels], Pixels]:
    """What turns and mirrors a stored picture as its display matrix says, to the nearest quarter."""
    from av.sidedata.sidedata import Type

    try:
        held: Any = frame.side_data  # which its types say is asked by words
    except ValueError:  # beside it stands what this PyAV does not know, such as EXIF
        quarters = round(getattr(frame, "rotation", 0) / 90)
        return lambda stored: np.ascontiguousarray(np.rot90(stored, quarters))
    data = held.get(Type.DISPLAYMATRIX)
    if data is None:
        return lambda stored: stored
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].astype(int)
    if abs(a) + abs(d) >= abs(b) + abs(c):  # x stays x
        across, down, swapped = a < 0, d < 0, False
    else:
        across, down, swapped = c < 0, b < 0, True

    def turn(stored: Pixels) -> Pixels:
        lying = stored.swapaxes(0, 1) if swapped else stored
        lying = lying[:, ::-1] if across else lying
        return np.ascontiguousarray(lying[::-1] if down else lying)

    return turn
