"""`smartca calibrate`: what the command line calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from ..engine import plan
from ..engine.building.output_checks import refuse_point
from ..engine.contract import Answer, EngineError
from ..engine.cpu.openvino_runner import most_exact
from ..engine.letterbox import to_input
from ..engine.opening import open_runner
from ..engine.operating_point import store_point
from ..errors import InputError, MissingPackage
from ..files import try_to_write
from ..phantom import CALIBRATED_ON, KINDS, VALIDATE, Close, Phantom, isotropic, kind_of, screen
from ..pictures.composites.composite import composite
from ..pictures.composites.exposure import lit
from ..pictures.datasets import Labels, Samples, needs_tear, open_data, refuse_choice
from ..pictures.labelled import spoken
from ..pictures.negatives import read_negatives
from ..pictures.pixels import Grey, Sector, whole
from .confidence import Platt, plot_reliability
from .operating import REAL, Calibrated, Labelled
from .operating import find_point as find

REAL_EACH = 4  # frames that `real_pictures` makes of one picture
CLOSE_PIXELS = 400  # pixels along the longer side of a window about the tendon
SHAPES = 90  # validation seeds that lend their tears' outlines
INTACT = KINDS[0]


def calibrate(
    *,
    model: Path,
    data: str = "phantom",
    recall: float | None = None,
    seeds: int = 240,
    frames: int = 2,
    split: str = "val",
    mask_value: int | None = None,
    label: Labels = None,
    negatives: Path | None = None,
    diagram: Path | None = None,
    threads: int = 2,
) -> Calibrated:
    """Store the operating point of the ONNX file `model` beside it, as JSON; returns it with its scores.

    `data` is "phantom" (pictures of the last `seeds` validation seeds, which training does not choose its
    checkpoint by, of the recipes CALIBRATED_ON in turn: three of four never trained on) or one of datasets.FORMS, of
    which `split` is used. `diagram` is where a reliability diagram goes, as PNG. `negatives` is a folder of real
    pictures without a tear: its 'val' lines are added, each as it is and brought to a shoulder's brightness, with and
    without a simulated tear; there must be some. Raises ValueError, EngineError, ImportError or OSError for input that
    cannot be used, before any work.
    """
    _check_model(model)
    _check_diagram(diagram)
    if data == "phantom":
        refuse_choice(data, mask_value, label)
        if not (0 < seeds <= len(VALIDATE) and frames > 0):
            raise InputError(f"{seeds} seeds are wanted; give a number from 1 to {len(VALIDATE)}")
        chosen = VALIDATE[-seeds:]
        shown, total = phantoms(chosen, frames), seeds * frames
        families = ", ".join(CALIBRATED_ON)
        fitted_on = f"phantom seeds {chosen[0]}-{chosen[-1]} of the recipes {families} in turn, {frames} frames each"
    else:
        folder = open_data(data, split, mask_value, label)
        needs_tear(folder)
        shown, total = pictures(folder), len(folder)
        fitted_on = f"{total} pictures of {Path(data).name}, split {spoken(split)}"
    if negatives:
        real = list(real_pictures(read_negatives(negatives, "val")))
        shown, total = chain(shown, real), total + len(real)
        fitted_on += f"; {real_in_words(len(real) // REAL_EACH)}"
    tracked = track(shown, "calibrating", total=total, console=Console(stderr=True))
    # in full precision: what bf16 changes is far below what a threshold is known to
    with open_runner(model, most_exact(model), threads) as runner:

        def predict(square: Grey) -> Answer:
            return runner.infer(to_input(square))

        # a simulator's own pictures are the easiest; tears set into real ones are to be found as well
        by_all = data == "phantom"
        found = find(predict, tracked, recall, runner.info.size, fitted_on, runner.info.model_sha256, by_all)
    store_point(found.point, model)
    if diagram:
        plot_reliability(found.histograms, Platt(found.point.slope, found.point.intercept), diagram, near=found.near)
    return found


def _check_model(model: Path) -> None:
    """Find out before the work that no operating point can be stored. Raises EngineError, ValueError or OSError."""
    if plan.sheet_path(model).exists():
        told = plan.load_sheet(model)
        raise EngineError(
            f"{model.name} was made by `smartca build` and takes its model's operating point along: run "
            f"`smartca calibrate --model {model.parent / told.model}`, then `{told.command(model)}`"
        )
    if model.is_file():  # else its runner says what is to be given
        refuse_point(model)


def _check_diagram(path: Path | None) -> None:
    """Find out before the work that the diagram could not be made. Raises ValueError or ImportError."""
    if path is None:
        return
    if find_spec("matplotlib") is None:
        raise MissingPackage("the diagram needs matplotlib; install it with `pip install smartca[train]`")
    folder = path.absolute().parent
    if path.suffix.lower() != ".png":
        raise InputError(f"{path} does not end in .png; the diagram is a PNG")
    if path.is_dir():
        raise InputError(f"{path} is a folder; give --diagram a file's name")
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; make it first, for --diagram")
    try:
        try_to_write(path)
    except OSError as error:
        raise InputError(f"{path} may not be written ({error.strerror}); choose another place for --diagram") from error


def phantoms(seeds: Sequence[int], frames: int) -> Iterator[Labelled]:
    """Simulated shoulders, `frames` of each seed spread over its period, the recipes CALIBRATED_ON in turn.

    Whole screens as the stream gets them and, every second one, windows about the tendon.
    """
    for place, seed in enumerate(seeds):
        recipe = CALIBRATED_ON[place // len(KINDS) % len(CALIBRATED_ON)]  # each with every kind of tear
        phantom = Phantom(seed, recipe=recipe)
        for number in range(frames):
            close = Close(draw=number) if number % 2 else None
            frame = phantom.seen(close).frame((number + 0.5) * phantom.period / frames)
            if close is None:
                shot = screen(frame)
                yield Labelled(shot.pixels, shot.mask, Sector(*shot.sector))
            else:
                pixels, mask, _ = isotropic(frame, CLOSE_PIXELS)
                yield Labelled(pixels, mask, whole(pixels.shape))


def pictures(samples: Samples) -> Iterator[Labelled]:
    """Every sample as a frame whose sector is the whole picture."""
    for n in range(len(samples)):
        pixels, mask = samples[n]
        yield Labelled(pixels, mask, whole(pixels.shape))


def real_pictures(pictures: Sequence[Grey]) -> Iterator[Labelled]:
    """Each picture without a tear as it is and lit as a shoulder's; both also with a simulated tear where one fits."""
    rng = np.random.default_rng(1)
    torn = [seed for seed in VALIDATE[:SHAPES] if kind_of(seed) != INTACT]
    shapes = [isotropic(Phantom(seed).frame(0.0), 400)[1] for seed in torn]
    for picture in pictures:
        sector = whole(picture.shape)
        for shown in (picture, lit(picture, rng)):
            yield Labelled(shown, np.zeros(shown.shape, np.bool_), sector, REAL)
            yield Labelled(*composite(shown, shapes[int(rng.integers(len(shapes)))], rng), sector, REAL)


def real_in_words(number: int) -> str:
    """What `real_pictures` makes of `number` pictures."""
    how = "as they are and lit as a shoulder's, each also with a simulated one set in"
    return f"{number} real pictures without a tear, {how}"
