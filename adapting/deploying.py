"""From the best weights to what runs: an ONNX model, its operating points, and an INT8 network if the gate lets it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..calibration.int8.data import WORST_FRAME
from ..calibration.int8.find import find
from ..calibration.int8.findings import Material
from ..calibration.int8.gate import Limits
from ..calibration.int8.picture_choice import CalibrationPicture
from ..engine.building.assembly import Asked, Int8Calibration, Options
from ..engine.building.build import build_engine
from ..engine.contract import EngineError, Progress
from ..engine.cpu.openvino_runner import most_exact
from ..engine.cpu.ready_int8 import place
from ..engine.letterbox import letterbox, letterbox_mask, to_input
from ..engine.opening import open_runner, open_segmenter
from ..engine.operating_point import OperatingPoint, point_path, store_point
from ..engine.paths import sheet_path
from ..errors import MissingPackage
from ..files import sha256
from ..pictures.datasets import Samples
from ..pictures.pixels import whole
from ..train.export import export
from .compare import FittingFrames, Outcome, as_it_runs, judged, spread

MOST_APART = 0.25  # of the views of a clinic's frames, that INT8 may find strange where fp32 does not
MOST = 96  # pictures that INT8 ranges are chosen from, and as many for its gate


def write_model(best: Path, model: Path, shown: FittingFrames, threads: int) -> OperatingPoint:
    """Export `best` as `model`, find its operating points and store them beside; what stood there is gone."""
    point_path(model).unlink(missing_ok=True)
    take_int8_away(model)
    export(best, model)
    with open_runner(model, most_exact(model), threads) as runner:
        point = shown.point(lambda square: runner.infer(to_input(square)), runner.info.size, runner.info.model_sha256)
    store_point(point, model)
    return point


def take_int8_away(model: Path) -> None:
    """No INT8 network stands beside `model` any more."""
    ready = place(model)
    for old in (ready, point_path(ready), sheet_path(ready)):
        old.unlink(missing_ok=True)


def strange_apart(model: Path, samples: Sequence[Samples], threads: int) -> str:
    """Why the INT8 network beside `model`, if any, may not take its place: it takes many of `samples`, views of the
    clinic's frames, for another scanner's where fp32 does not; else ''.

    INT8 is coarser, so it finds all a little stranger. (Measured: ten frames of vessels, on 40 others fp32 hands 2 to
    the shipped network and INT8 7, at the same Dice. With a limit moved after it, 7 more of 130 frames of others
    were outlined.)
    """
    if not place(model).is_file():
        return ""
    strange = []
    for file, precision in ((model, most_exact(model)), (place(model), "auto")):
        with open_runner(file, precision, threads) as runner:
            squares = [one.square for part in samples for one in _pictures([part], runner.info.size)]
            limit = runner.point().strange_limit or math.inf
            strange.append(np.array([runner.infer(to_input(square)).strange > limit for square in squares]))
    apart = int(np.count_nonzero(strange[0] != strange[1]))
    if apart <= MOST_APART * len(strange[0]):
        return ""
    return (
        f"no INT8 network was kept, and fp32 stays: of {len(strange[0])} views of your frames INT8 takes {apart} for "
        "another scanner's where fp32 does not, or the other way round"
    )


def judged_as_it_runs(model: Path, samples: Sequence[Samples], threads: int) -> tuple[list[Outcome], str]:
    """Scores of each of `samples` by the exported model, in the precision and at the point that it runs in here, with
    the network that answers about strange pictures; and that precision. Raises EngineError or ValueError where it
    cannot run.
    """
    with open_segmenter(model, threads=threads) as segmenter:
        info, look = segmenter.runner.info, as_it_runs(segmenter)
        return [judged(look, each, info.size) for each in samples], info.precision


def write_int8(
    model: Path,
    learn: Sequence[Samples],
    held: Sequence[Samples],
    words: str,
    digest: str,
    progress: Progress,
    threads: int = 1,
) -> str:
    """Make the INT8 network beside `model`, as `smartca build --precision int8` does, its gate asked with `held`.

    Returns a sentence: that it stands there, or why the gate refuses it and fp32 stays.
    """

    def quantise(asked: Asked, tell: Progress) -> tuple[bytes, dict[str, float | int | bool | str | None]]:
        material = Material(_pictures(learn, asked.size), _pictures(held, asked.size), words, f"{words}, held out")
        limits = Limits(worst=WORST_FRAME)
        found = find(asked.data, asked.name, material, asked.point, tell, True, limits, threads)
        found.require()
        return found.network, found.scores

    calibration = Int8Calibration(words, f"{digest}{sha256(model)}", quantise)
    options = Options(backend="openvino", precision="int8", calibration=calibration, out=place(model))
    try:
        build_engine(model, options, progress)
    except (EngineError, MissingPackage) as refusal:
        return f"no INT8 network was made, and fp32 stays: {refusal}"
    return f"INT8 stands beside it as {place(model).name}: the gate let it pass"


def _pictures(parts: Sequence[Samples], size: int) -> list[CalibrationPicture]:
    """Evenly spaced ones of each part, in equal shares, on the network's square."""
    found, filled = [], [part for part in parts if len(part)]
    for part in filled:
        for n in spread(len(part), MOST // len(filled)):
            pixels, mask = part[n]
            square = letterbox(pixels, whole(pixels.shape), size)
            found.append(CalibrationPicture(square, letterbox_mask(mask, whole(mask.shape), size)))
    return found
