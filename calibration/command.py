"""`smartca calibrate`: what the command line calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from ..engine.labelled import LabelledFolder
from ..engine.operating_point import save
from ..engine.pixels import Grey, Sector, to_input, whole
from ..engine.runner import open_runner
from ..phantom import VALIDATE, Phantom, screen
from ..train.data import Samples
from .confidence import Platt, plot
from .operating import Calibrated, Labelled
from .operating import calibrate as find


def calibrate(
    *,
    model: Path,
    data: str = "phantom",
    recall: float = 0.9,
    seeds: int = 240,
    frames: int = 2,
    mask_value: int | None = None,
    diagram: Path | None = None,
    threads: int = 2,
) -> Calibrated:
    """Store the operating point of the ONNX file `model` beside it, as JSON; returns it with its scores.

    `data` is "phantom" (screens of the last `seeds` validation seeds, which training does not choose its
    checkpoint by) or a folder with images/, masks/ and split.csv, whose 'val' lines are used. `diagram` is
    where a reliability diagram goes, as PNG. Raises ValueError or OSError for input that cannot be used.
    """
    if data == "phantom":
        if not (0 < seeds <= len(VALIDATE) and frames > 0):
            raise ValueError(f"{seeds} seeds are wanted; give a number from 1 to {len(VALIDATE)}")
        chosen = VALIDATE[-seeds:]
        shown, total = screens(chosen, frames), seeds * frames
        fitted_on = f"phantom seeds {chosen[0]}-{chosen[-1]}, {frames} frames each"
    else:
        folder = LabelledFolder(Path(data), "validate", mask_value)
        shown, total = pictures(folder), len(folder)
        fitted_on = f"{total} pictures of {Path(data).name}, split val"
    tracked = track(shown, "calibrating", total=total, console=Console(stderr=True))
    # in full precision: what bf16 changes is far below what a threshold is known to
    with open_runner(model, "fp32", threads) as runner:

        def predict(square: Grey) -> NDArray[np.float32]:
            return runner.infer(to_input(square))

        found = find(predict, tracked, recall, runner.info.size, fitted_on, runner.info.model_sha256)
    save(found.point, model)
    if diagram:
        plot(found.histograms, Platt(found.point.slope, found.point.intercept), diagram)
    return found


def screens(seeds: Sequence[int], frames: int) -> Iterator[Labelled]:
    """Simulated scanner screens as the stream gets them, `frames` of each seed spread over its period."""
    for seed in seeds:
        phantom = Phantom(seed)
        for number in range(frames):
            shot = screen(phantom.frame((number + 0.5) * phantom.period / frames))
            yield shot.pixels, shot.mask, Sector(*shot.sector)


def pictures(samples: Samples) -> Iterator[Labelled]:
    """Every sample as a frame whose sector is the whole picture."""
    for n in range(len(samples)):
        pixels, mask = samples[n]
        yield pixels, mask, whole(pixels.shape)
