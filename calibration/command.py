"""`smartca calibrate`: what the command line calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from ..engine.operating_point import save, sha256
from ..engine.pixels import Grey, Sector, to_input, whole
from ..phantom import VALIDATE, Phantom, screen
from ..train.data import Folder, Samples
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
    if not model.is_file():
        raise OSError(f"{model} is missing; export a model with `smartca export` first")
    predict, size = predictor(model, threads)
    if data == "phantom":
        if not (0 < seeds <= len(VALIDATE) and frames > 0):
            raise ValueError(f"{seeds} seeds are wanted; give a number from 1 to {len(VALIDATE)}")
        chosen = VALIDATE[-seeds:]
        shown, total = screens(chosen, frames), seeds * frames
        fitted_on = f"phantom seeds {chosen[0]}-{chosen[-1]}, {frames} frames each"
    else:
        folder = Folder(Path(data), "validate", mask_value)
        shown, total = pictures(folder), len(folder)
        fitted_on = f"{total} pictures of {Path(data).name}, split val"
    tracked = track(shown, "calibrating", total=total, console=Console(stderr=True))
    found = find(predict, tracked, recall, size, fitted_on, sha256(model))
    save(found.point, model)
    if diagram:
        plot(found.histograms, Platt(found.point.slope, found.point.intercept), diagram)
    return found


def predictor(model: Path, threads: int = 2) -> tuple[Callable[[Grey], NDArray[np.float32]], int]:
    """(uint8 (size, size) -> q (size, size), size) of an ONNX file, by OpenVINO in float32 on the CPU.

    Raises ValueError where the file is no model with one square input.
    """
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    try:
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        size = compiled.input(0).shape[3]
    except RuntimeError as error:
        raise ValueError(
            f"{model} is no ONNX model that OpenVINO can open; export it with `smartca export`"
        ) from error

    def predict(square: Grey) -> NDArray[np.float32]:
        return compiled(to_input(square))[0][0, 0]

    return predict, size


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
