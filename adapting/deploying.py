"""From the best weights to what runs: an ONNX model, its operating points, and an INT8 network if the gate lets it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..calibration.int8.data import WORST_FRAME
from ..calibration.int8.find import find
from ..calibration.int8.findings import Material
from ..calibration.int8.gate import Limits
from ..calibration.int8.picture_choice import CalibrationPicture
from ..engine.building.assembly import Asked, Int8Calibration, Options
from ..engine.building.build import build_engine
from ..engine.contract import Answer, EngineError, Progress
from ..engine.cpu.openvino_runner import most_exact
from ..engine.cpu.ready_int8 import place
from ..engine.letterbox import letterbox, letterbox_mask, to_input
from ..engine.opening import open_runner
from ..engine.operating_point import OperatingPoint, point_path, store_point
from ..engine.paths import sheet_path
from ..errors import MissingPackage
from ..files import sha256
from ..pictures.datasets import Samples
from ..pictures.pixels import Grey, whole
from ..train.export import export
from .compare import FittingFrames, Outcome, judged, spread

MOST = 96  # pictures that INT8 ranges are chosen from, and as many for its gate


def write_model(best: Path, model: Path, shown: FittingFrames, threads: int) -> OperatingPoint:
    """Export `best` as `model`, find its operating points and store them beside; what stood there is gone."""
    ready = place(model)
    for old in (point_path(model), ready, point_path(ready), sheet_path(ready)):
        old.unlink(missing_ok=True)
    export(best, model)
    with open_runner(model, most_exact(model), threads) as runner:
        point = shown.point(lambda square: runner.infer(to_input(square)), runner.info.size, runner.info.model_sha256)
    store_point(point, model)
    return point


def judged_as_it_runs(model: Path, samples: Sequence[Samples], threads: int) -> tuple[list[Outcome], str]:
    """Scores of each of `samples` by the exported model, in the precision and at the point that it runs in here; and
    that precision. Raises EngineError or ValueError where it cannot run.
    """
    with open_runner(model, threads=threads) as runner:

        def predict(square: Grey) -> Answer:
            return runner.infer(to_input(square))

        point = runner.point()
        return [judged(predict, point, each, runner.info.size) for each in samples], runner.info.precision


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
