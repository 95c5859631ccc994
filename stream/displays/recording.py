"""A recording read back: the masks and times beside the film, as `recorder` wrote them. Nothing here decodes the film.

`shoulder.frames.jsonl` is text, one JSON object a line. The first line tells of the recording; every further line
belongs to one frame of the film, in its order, and holds a `RecordedFrame`, its masks as null or COCO's uncompressed
run lengths `{"size": [rows, columns], "counts": [...]}`, down the columns, beginning with the run outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from ...errors import InputError, MissingFile
from ...pictures.pixels import Mask
from ..frame import State

FORMAT = "smartca recording 2"
READABLE = ("smartca recording 1", FORMAT)  # the first had no unsure regions and no points


class RecordedFrame(msgspec.Struct, frozen=True, eq=False):
    """One frame of a recording.

    index: its place in the film. epoch, seq: of the attaching process, and its number there. captured_ns: on the
    attaching machine's monotonic clock. reason: why there is no result. confidence: mean fitted q inside the outline.
    engine: first 12 hex digits of the model's sha256. latency_ms: from capture until it was drawn. inference_ms: at the
    engine. mask: bool (rows, columns); None where there was no result. unsure: regions that may be tear and are not
    outlined, of the same shape; None where there are none. point: the operating point; '' for a threshold of one's own.
    source: the feed's name. sector: x, y, width, height in pixels of the frame. mm_per_pixel: (row, column), None where
    unknown. size: (rows, columns) of the frame and its masks; the film keeps the size of its first. The last four are
    empty in recordings of before.
    """

    index: int
    epoch: int
    seq: int
    captured_ns: int
    state: State
    reason: str
    confidence: float
    engine: str
    latency_ms: float
    inference_ms: float
    mask: Mask | None = None
    unsure: Mask | None = None
    point: str = ""
    source: str = ""
    sector: tuple[int, ...] = ()
    mm_per_pixel: tuple[float, float] | None = None
    size: tuple[int, int] | None = None


class FilmRecord(msgspec.Struct, frozen=True):
    """What became of one recording: frames in film and frame log, how many of them were fitted into the film's size."""

    film: str
    frames: int = 0
    fitted: int = 0
    problem: str = ""  # why it ended before the view did

    @property
    def note(self) -> str:
        """What a person should know of a film that is whole."""
        if not self.fitted:
            return ""
        return (
            f"{self.fitted} of {self.frames} pictures in {self.film} are of another size than its first, and were "
            "fitted in; the frame log has their masks in full"
        )


def shortfall(recordings: Sequence[FilmRecord], shown: int) -> list[str]:
    """Why `recordings` do not hold every one of the frames `shown`, in sentences; [] if they do."""
    told = [recorded.problem for recorded in recordings if recorded.problem]
    missing = shown - sum(recorded.frames for recorded in recordings)
    return [*told, f"{missing} of {shown} frames shown are not in the recording"] if missing > 0 else told


class _Head(msgspec.Struct, frozen=True):
    format: str = ""


def frame_log_path(film: str | Path) -> Path:
    """Where the masks and times of `film` stand: x.mp4 -> x.frames.jsonl."""
    return Path(film).with_suffix(".frames.jsonl")


def read_recording(film: str | Path) -> Iterator[RecordedFrame]:
    """Each frame of the recording `film` (an .mp4 that --record wrote), in order.

    A line cut off by a crash is left out. Raises OSError where there is no recording, ValueError where it is none of
    ours or damaged.
    """
    path = frame_log_path(film)
    try:
        head, *lines = path.read_bytes().split(b"\n")[:-1] or [b""]
    except FileNotFoundError as error:
        raise MissingFile(f"there is no {path}, which holds the masks and times of {Path(film).name}") from error
    try:
        known = msgspec.json.decode(head, type=_Head).format in READABLE
    except msgspec.DecodeError:
        known = False
    if not known:
        raise InputError(f"{path} is no recording of this version; make it again with --record")
    for number, text in enumerate(lines, 2):
        try:
            yield _decode(text)
        except (msgspec.DecodeError, ValueError) as error:
            raise InputError(
                f"{path} is damaged in line {number} ({error}); the lines before it can be used"
            ) from error


def frame_line(frame: RecordedFrame) -> bytes:
    """Its line in the file."""
    return _encode(frame) + b"\n"


def runs(mask: Mask) -> dict[str, list[int]]:
    """COCO's uncompressed run lengths of `mask` (bool (rows, columns)): column by column, outside first."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate(([0], changes, [flat.size]))).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def decoded_mask(coded: dict[str, list[int]]) -> Mask:
    """The mask whose `runs` these are. ValueError if they do not fill it."""
    rows, columns = (int(side) for side in coded.get("size", ()))
    counts = np.asarray(coded.get("counts", ()), np.int64)
    if min(rows, columns) < 1 or (counts < 0).any() or counts.sum() != rows * columns:
        raise InputError(f"runs that do not fill {columns} x {rows} pixels")
    flat = np.repeat(np.arange(counts.size) % 2 == 1, counts)
    return flat.reshape(coded["size"], order="F")


_encode = msgspec.json.Encoder(enc_hook=runs).encode
_decode = msgspec.json.Decoder(RecordedFrame, dec_hook=lambda _, coded: decoded_mask(coded)).decode
