"""`smartca calibrate`: what the command line calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress, track

from ..engine.operating_point import save, sha256
from ..engine.pixels import Grey, to_input, whole
from ..phantom import VALIDATE
from ..train.cache import Recipe, rendered
from ..train.data import Folder, Samples
from .confidence import Platt, plot
from .operating import Calibrated, Labelled
from .operating import calibrate as find


def calibrate(
    *,
    model: Path,
    data: str = "phantom",
    recall: float = 0.9,
    seeds: int = 120,
    frames: int = 3,
    mask_value: int | None = None,
    cache: Path | None = None,
    diagram: Path | None = None,
    threads: int = 2,
) -> Calibrated:
    """Store the operating point of the ONNX file `model` beside it, as JSON; returns it with its scores.

    `data` is "phantom" (validation seeds, rendered into `cache`) or a folder with images/, masks/ and
    split.csv, whose 'val' lines are used. `diagram` is where a reliability diagram goes, as PNG. Raises
    ValueError or OSError for input that cannot be used.
    """
    if not model.is_file():
        raise OSError(f"{model} is missing; export a model with `smartca export` first")
    if data != "phantom":
        samples: Samples = Folder(Path(data), "validate", mask_value)
        fitted_on = f"{len(samples)} pictures of {Path(data).name}, split val"
    else:
        recipe = Recipe(tuple(VALIDATE[:seeds]), frames)
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task("rendering validation frames", total=seeds * frames)
            samples = rendered(recipe, cache, threads, lambda done, _: progress.update(task, completed=done))
        fitted_on = f"phantom seeds {recipe.seeds[0]}-{recipe.seeds[-1]}, {frames} frames each"
    predict, size = predictor(model, threads)
    found = find(predict, _shown(samples), recall, size, fitted_on, sha256(model))
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


def _shown(samples: Samples) -> Iterator[Labelled]:
    """Every sample as a frame whose sector is the whole picture, with progress shown."""
    for n in track(range(len(samples)), "calibrating", console=Console(stderr=True)):
        pixels, mask = samples[n]
        yield pixels, mask, whole(pixels.shape)
