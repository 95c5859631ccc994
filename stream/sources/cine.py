"""Phantom cines drawn beforehand: H.264 film, exact masks and context, so that drawing never competes.

A cine is three files: `<stem>.mp4` (the screens), `<stem>.masks.npz` (one packed mask a frame) and
`<stem>.json` (who, where, how large). The film comes last: where it is, the other two are whole.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import av
import cv2
import msgspec
import numpy as np
import platformdirs
from av.error import FFmpegError
from numpy.typing import NDArray

from ...errors import UNDECODABLE, FileError, InputError, MissingFile, RunError, mendable
from ...files import whole_file, write_json, write_whole
from ...pictures.filetypes import UNFINISHED, is_hidden
from ...pictures.pixels import Grey, Mask, Sector
from ...version import __version__
from .contract import OnFrame

SHIPPED_SEED = 90001
SHIPPED_CINE = Path(__file__).parents[2] / "phantom" / "cines" / f"demo_{SHIPPED_SEED}.mp4"
QUALITY = "15"  # x264's constant rate factor: speckle off by 2 greys, under 4 MB for 240 frames


class About(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `<stem>.json` says."""

    seed: int
    kind: str
    frames: int
    fps: int
    shape: tuple[int, int]  # rows, columns
    sector: tuple[int, int, int, int]  # x, y, width, height
    mm_per_pixel: tuple[float, float]  # row, column
    smartca: str
    recipe: int


def masks_of(path: Path) -> Path:
    """Where the masks of the film `path` stand."""
    return path.with_suffix(".masks.npz")


def about_of(path: Path) -> Path:
    """Where the context of the film `path` stands."""
    return path.with_suffix(".json")


def write_cine(path: Path, seed: int, frames: int, fps: int = 30, progress: OnFrame | None = None) -> Path:
    """Draw `frames` frames of Phantom(seed) on a simulated screen and store them; `path` ends in .mp4.

    Raises ValueError for a name or number that cannot be, OSError where nothing can be written.
    """
    if path.suffix != ".mp4" or frames < 1 or fps < 1:
        raise InputError(f"a cine needs a name in .mp4, a frame and a frame a second, not {path}, {frames}, {fps}")
    path.parent.mkdir(parents=True, exist_ok=True)
    from ...phantom import PHANTOM_VERSION, Phantom, Screen  # here, as scipy takes a second to import

    phantom = Phantom(seed)
    screen = Screen(focus_mm=phantom.scanner.focus_mm)
    first = screen(phantom.frame(0))
    about = About(
        seed, phantom.kind, frames, fps, (screen.height, screen.width),
        first.sector, first.mm_per_pixel, __version__, PHANTOM_VERSION,
    )  # fmt: skip
    partial = _partial(path)
    try:
        masks = []
        with _Film(partial, about) as film:
            for number in range(frames):
                shot = screen(phantom.frame(number))
                film.add(shot.pixels)
                masks.append(np.packbits(shot.mask, axis=1))
                if progress is not None:
                    progress(number + 1, frames)
        with whole_file(masks_of(path)) as file:
            np.savez_compressed(file, masks=np.stack(masks))
        write_json(about_of(path), about)
        partial.replace(path)
    except FFmpegError as error:
        if mendable(error):  # a full disk has words of its own
            raise
        raise FileError(f"{path} cannot be written ({error.strerror}); choose another place") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


class _Film:
    """H.264 with one thread, grey in and grey out."""

    def __init__(self, path: Path, about: About) -> None:
        self._container = av.open(f"file:{path}", "w", format="mp4")
        options = {"crf": QUALITY, "preset": "medium", "threads": "1"}
        self._stream = self._container.add_stream("libx264", rate=about.fps, options=options)
        (self._stream.height, self._stream.width), self._stream.pix_fmt = about.shape, "yuv420p"

    def add(self, pixels: Grey) -> None:
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(pixels, format="gray")))

    def __enter__(self) -> _Film:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._container.mux(self._stream.encode())
        finally:
            self._container.close()


def _partial(path: Path) -> Path:
    """The name of a file that is not whole yet."""
    return path.with_name(f"{path.name}.{os.getpid()}.partial")


@dataclass(frozen=True)
class Cine:
    """A stored cine: its context, and its frames as often as wanted."""

    path: Path
    about: About
    masks: NDArray[np.uint8]  # (frames, rows, columns / 8), packed

    @property
    def sector(self) -> Sector:
        return Sector(*self.about.sector)

    @property
    def mm_per_pixel(self) -> tuple[float, float]:
        """(row, column)."""
        return self.about.mm_per_pixel

    @property
    def count(self) -> int:
        return self.about.frames

    @property
    def fps(self) -> float:
        return float(self.about.fps)

    @property
    def kind(self) -> str:
        return self.about.kind

    @property
    def seed(self) -> int:
        return self.about.seed

    def frames(self, loop: bool = False) -> Iterator[tuple[Grey, Mask]]:
        """Pixels uint8 and mask bool, each (rows, columns), in order; for ever if `loop`.

        Raises RuntimeError where the film is damaged.
        """
        while True:
            number = -1
            for number, pixels in enumerate(self._decode()):
                yield pixels, self._mask(number)
            if number + 1 != self.count:
                raise RunError(f"{self.path} ends after {number + 1} of {self.count} frames; delete it to draw it anew")
            if not loop:
                return

    def _decode(self) -> Iterator[Grey]:
        try:
            with av.open(f"file:{self.path}", metadata_errors="replace") as film:
                stream = film.streams.video[0]
                stream.codec_context.thread_count = 1
                for picture in film.decode(stream):
                    yield picture.to_ndarray(format="gray")
        except (FFmpegError, IndexError) as error:
            raise RunError(f"{self.path} is damaged ({error}); delete it and it will be drawn anew") from error

    def _mask(self, number: int) -> Mask:
        if number >= self.count:
            raise RunError(f"{self.path} has more than its {self.count} frames; delete it to draw it anew")
        return np.unpackbits(self.masks[number], axis=1, count=self.about.shape[1]).astype(np.bool_)


def open_cine(path: Path) -> Cine:
    """The cine stored at `path` (.mp4). Raises OSError if a file is missing, ValueError if one is damaged."""
    for part in (path, about_of(path), masks_of(path)):
        if not part.is_file():
            raise MissingFile(f"{part} is missing; a cine is an .mp4 with .masks.npz and .json beside it")
    try:
        about = msgspec.json.decode(about_of(path).read_bytes(), type=About)
    except UNDECODABLE as error:
        raise InputError(f"{about_of(path)} is damaged ({error}); delete the cine to draw it anew") from error
    rows, columns = about.shape
    try:
        with masks_of(path).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            masks = stored["masks"]
    except Exception as error:  # zip, zlib and numpy's own parser raise many kinds
        raise InputError(f"{masks_of(path)} is damaged ({error}); delete the cine to draw it anew") from error
    if masks.shape != (about.frames, rows, (columns + 7) // 8) or masks.dtype != np.uint8:
        raise InputError(
            f"{masks_of(path)} is damaged (shape {masks.shape}, {masks.dtype}); delete the cine to draw it anew"
        )
    Sector(*about.sector).check(about.shape)
    return Cine(path, about, masks)


def _whole(path: Path) -> bool:
    """Whether all three files are there."""
    return path.is_file() and masks_of(path).is_file() and about_of(path).is_file()


def cine_for(seed: int = SHIPPED_SEED, frames: int | None = None, progress: OnFrame | None = None) -> Path:
    """The cine of `seed` with `frames` frames or a full period, which loops without a seam.

    The shipped one where it will do; else drawn once, into the user's cache.
    """
    if frames is not None and frames < 1:
        raise InputError(f"a cine of {frames} frames cannot be; ask for 1 or more")
    if seed == SHIPPED_SEED and _whole(SHIPPED_CINE):
        return SHIPPED_CINE
    from ...phantom import PHANTOM_VERSION, Phantom

    wanted = Phantom.period if frames is None else min(frames, Phantom.period)
    folder = Path(platformdirs.user_cache_dir("smartca")) / "cines"
    known = [folder / f"{seed}_{n}_recipe{PHANTOM_VERSION}.mp4" for n in (Phantom.period, wanted)]
    for path in known:
        if _whole(path):
            return path
    try:
        return write_cine(known[-1], seed, wanted, progress=progress)
    except OSError as error:
        raise FileError(
            f"the phantom cannot be kept in {folder} ({error.strerror or error}); "
            "free some space, or set XDG_CACHE_HOME to a folder you may write"
        ) from error


def _refuse_others(folder: Path) -> None:
    """Somebody's own pictures and their split.csv must not be mixed with simulated ones."""
    found = [path for part in (folder, folder / "images") if part.is_dir() for path in part.iterdir()]
    usual = {"images", "masks", "split.csv"}
    others = [path for path in found if path.name not in usual and not re.fullmatch(r"\d+_\d{4}\.png", path.name)]
    others = [path for path in others if not is_hidden(Path(path.name))]
    if others:
        raise InputError(f"{folder} holds other files, such as {others[0].name}; give --out a folder of its own")


def write_folder(folder: Path, seed: int, frames: int, progress: OnFrame | None = None) -> Path:
    """images/, masks/ (0 and 255) and split.csv of one phantom, spread over its period; square pixels.

    All frames of one person belong to one split: train, val or test by the seed's range. Called with
    other seeds, it adds to the folder. Raises ValueError for a folder that holds anything else, OSError where a file
    cannot be written.
    """
    if frames < 1:
        raise InputError(f"a folder of {frames} frames cannot be; ask for 1 or more")
    from ...phantom import HELD_OUT_FROM, VALIDATE, Phantom, isotropic

    _refuse_others(folder)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    mark = folder / UNFINISHED
    write_whole(mark, f"{frames} frames of seed {seed}".encode())
    split = "test" if seed >= HELD_OUT_FROM else "val" if seed in VALIDATE else "train"
    phantom, table, names = Phantom(seed), folder / "split.csv", []
    for number in range(frames):
        pixels, mask, _ = isotropic(phantom.frame(number * phantom.period / frames), 512)
        names.append(f"{seed}_{number:04d}.png")
        _write_png(folder / "images" / names[-1], pixels)
        _write_png(folder / "masks" / names[-1], mask.astype(np.uint8) * 255)
        if progress is not None:
            progress(number + 1, frames)
    listed: dict[str, str] = {}
    if table.is_file():
        with table.open(newline="", encoding="utf-8") as lines:
            listed = {row["file"]: row["split"] for row in csv.DictReader(lines)}
    listed |= dict.fromkeys(names, split)
    lines = io.StringIO(newline="")
    csv.writer(lines).writerows([("file", "split"), *sorted(listed.items())])
    write_whole(table, lines.getvalue().encode())
    mark.unlink(missing_ok=True)
    return folder


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    if not cv2.imwrite(str(path), pixels):
        raise FileError(f"{path} cannot be written; check the folder's rights and the space left")
