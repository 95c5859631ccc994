"""Phantom frames rendered once and kept on disk as memory-mapped arrays, for training and calibration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import platformdirs
from numpy.lib.format import open_memmap

from ...errors import InputError, RunError
from ...phantom import HELD_OUT_FROM, PHANTOM_VERSION, Close, Phantom, isotropic
from ...pictures.pixels import Grey, Mask

LONGEST = 320  # pixels along a cached picture's longer side: room to crop before it becomes 256
SEEDS_AT_ONCE = 8
LAYOUT = 2  # of the files below
OnDone = Callable[[int, int], None]  # (frames rendered, frames in all)


@dataclass(frozen=True)
class Recipe:
    """Which phantom frames are wanted: `frames` of each seed, spread over its period."""

    seeds: tuple[int, ...]
    frames: int = 3
    longest: int = LONGEST

    def __post_init__(self) -> None:
        held_out = [seed for seed in self.seeds if seed >= HELD_OUT_FROM]
        if held_out:
            raise InputError(
                f"seed {held_out[0]} is held out for evaluation (all from {HELD_OUT_FROM} on are); "
                f"train and calibrate on seeds below it"
            )
        if not self.seeds or self.frames < 1:
            raise InputError("a cache needs at least one seed and one frame of each; raise --seeds or --frames")

    @property
    def key(self) -> str:
        """Name of this cache: it changes with what is wanted and with the phantom's own recipe."""
        wanted = json.dumps([PHANTOM_VERSION, LAYOUT, self.seeds, self.frames, self.longest])
        return hashlib.sha256(wanted.encode()).hexdigest()[:16]

    def close(self, frame: int) -> Close | None:
        """Of a seed's frames the first and every third after it shows the whole sector, the others a window."""
        return Close(draw=frame) if frame % 3 else None

    def times(self, seed: int) -> list[int]:
        """The frames' times, evenly apart, starting somewhere else for each seed."""
        step = Phantom.period / self.frames
        return [int(seed * 37 % step + k * step) for k in range(self.frames)]


@dataclass(frozen=True)
class Cached:
    """Frames of a finished cache; item i is (pixels uint8, mask bool), each (rows, columns) with square
    pixels.
    """

    pixels: np.memmap
    masks: np.memmap
    sizes: np.memmap

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> tuple[Grey, Mask]:
        rows, columns = (int(n) for n in self.sizes[index])
        return np.array(self.pixels[index, :rows, :columns]), np.array(self.masks[index, :rows, :columns])


def default_folder() -> Path:
    """Where caches go unless told otherwise."""
    return Path(platformdirs.user_cache_dir("smartca")) / "train"


def _open(folder: Path, mode: str) -> Cached:
    try:
        return Cached(*(open_memmap(folder / f"{name}.npy", mode) for name in ("pixels", "masks", "sizes")))  # type: ignore[arg-type]
    except OSError:
        raise
    except Exception as error:  # numpy reads the head of such a file as Python
        raise InputError(f"the rendered frames in {folder} are damaged ({error}); delete that folder") from error


def _create(folder: Path, recipe: Recipe) -> None:
    """Empty arrays; `sizes` is made last, so its presence says that all three exist."""
    folder.mkdir(parents=True, exist_ok=True)
    count, longest = len(recipe.seeds) * recipe.frames, recipe.longest
    shapes = {"pixels": (count, longest, longest), "masks": (count, longest, longest), "sizes": (count, 2)}
    kinds = {"pixels": np.uint8, "masks": np.bool_, "sizes": np.int16}
    for name, shape in shapes.items():
        open_memmap(folder / f"{name}.npy", "w+", dtype=kinds[name], shape=shape).flush()


def _render(folder: Path, recipe: Recipe, places: Sequence[int]) -> int:
    """Render all frames of the seeds at `places`, each marked done by its size; returns how many."""
    cached = _open(folder, "r+")
    for place in places:
        seed = recipe.seeds[place]
        phantom = Phantom(seed)
        for k, t in enumerate(recipe.times(seed)):
            pixels, mask, _ = isotropic(phantom.seen(recipe.close(k)).frame(t), recipe.longest)
            row, (rows, columns) = place * recipe.frames + k, pixels.shape
            cached.pixels[row, :rows, :columns] = pixels
            cached.masks[row, :rows, :columns] = mask
            cached.sizes[row] = rows, columns
    return len(places) * recipe.frames


def rendered(recipe: Recipe, folder: Path | None = None, workers: int = 2, on_done: OnDone | None = None) -> Cached:
    """The frames of `recipe`, rendering with `workers` processes what is not yet in `folder`.

    An interrupted rendering goes on where it stopped. Raises OSError where the folder cannot be written.
    """
    place = (folder or default_folder()) / recipe.key
    if not (place / "sizes.npy").exists():
        _create(place, recipe)
    sizes = _open(place, "r").sizes.reshape(len(recipe.seeds), recipe.frames, 2)
    missing = [int(n) for n in np.flatnonzero((sizes == 0).any((1, 2)))]
    total = len(recipe.seeds) * recipe.frames
    done = total - len(missing) * recipe.frames
    parts = [missing[n : n + SEEDS_AT_ONCE] for n in range(0, len(missing), SEEDS_AT_ONCE)]
    for count in _each(place, recipe, parts, workers):
        done += count
        if on_done:
            on_done(done, total)
    return _open(place, "r")


def _each(place: Path, recipe: Recipe, parts: Sequence[Sequence[int]], workers: int) -> Iterator[int]:
    """Render the parts; the number of frames of each as it is done."""
    if workers == 1 or len(parts) < 2:  # processes of their own would take longer to begin than they save
        for part in parts:
            yield _render(place, recipe, part)
        return
    try:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for job in as_completed([pool.submit(_render, place, recipe, part) for part in parts]):
                yield job.result()
    except BrokenProcessPool as error:
        raise RunError(
            "a process that rendered phantoms was ended from outside, maybe for lack of memory; give fewer "
            "--threads, and the same command goes on"
        ) from error
