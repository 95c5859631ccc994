"""What calibration found for a model, stored as JSON beside it and used wherever the model runs."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import UNDECODABLE, InputError
from ..files import write_json

NOT_CALIBRATED = "not calibrated"


class OperatingPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From the network's q to an outline.

    logit(q_fitted) = slope * logit(q) + intercept (Platt 1999); a pixel is outlined where
    q_fitted >= threshold; spots of fewer than `min_area` pixels of the network's square are left out.
    Nothing is outlined where the classifier's probability of a tear is below `tear_threshold`, and there is no result
    for a picture stranger than `strange_limit` (None: no limit).
    """

    model_sha256: str = ""
    threshold: float = 0.5
    slope: float = 1.0
    intercept: float = 0.0
    min_area: int = 0
    tear_threshold: float = 0.0
    strange_limit: float | None = None
    recall_wanted: float | None = None
    recall_found: float | None = None
    fitted_on: str = NOT_CALIBRATED

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold < 1.0:
            raise InputError(f"the threshold is {self.threshold}; it must lie between 0 and 1")
        if not 0.0 <= self.tear_threshold < 1.0:
            raise InputError(f"the classifier's threshold is {self.tear_threshold}; it must lie between 0 and 1")
        if self.slope <= 0.0:
            raise InputError(f"the slope of the fit is {self.slope}; it must be above 0")

    @property
    def raw_threshold(self) -> float:
        """The threshold in the network's own q: outlining needs no fit of every pixel."""
        logit = np.log(self.threshold) - np.log1p(-self.threshold)
        return float(1.0 / (1.0 + np.exp(-(logit - self.intercept) / self.slope)))

    def fitted(self, q: NDArray[np.float32]) -> NDArray[np.float32]:
        """q -> q after the fit, any shape."""
        sure = np.clip(q.astype(np.float64), 1e-7, 1 - 1e-7)
        logit = self.slope * np.log(sure / (1 - sure)) + self.intercept
        return (1.0 / (1.0 + np.exp(-logit))).astype(np.float32)


def point_path(model: Path) -> Path:
    """Where the operating point of `model` is stored: x.onnx -> x.json, x.engine -> x.engine.point.json.

    So an engine's never meets that of a model beside it.
    """
    return model.with_suffix(".json") if model.suffix == ".onnx" else model.with_name(model.name + ".point.json")


def how_to_calibrate(model: Path) -> str:
    """Only a model itself can be: what `smartca build` made of one takes its operating point along."""
    from .paths import sheet_path

    if model.suffix == ".onnx" and not sheet_path(model).exists():
        return f"run `smartca calibrate --model {model}`"
    return "run `smartca calibrate` on the .onnx model that it was built from, then `smartca build` again"


def load_point(model: Path, digest: str) -> OperatingPoint:
    """The operating point stored beside `model`, or the default one where there is none.

    Raises ValueError if the file is damaged or was made for other weights than those with `digest`.
    """
    path = point_path(model)
    if not path.exists():
        return OperatingPoint(model_sha256=digest)
    try:
        point = msgspec.json.decode(path.read_bytes(), type=OperatingPoint)
    except UNDECODABLE as error:
        raise InputError(
            f"{path} is not an operating point ({error}): take it away, then {how_to_calibrate(model)}"
        ) from error
    if point.model_sha256 != digest:
        raise InputError(f"{path} was made for other weights than {model.name}; {how_to_calibrate(model)}")
    return point


def save_point(point: OperatingPoint, model: Path) -> Path:
    """Write the operating point beside `model`, all of it or nothing."""
    path = point_path(model)
    write_json(path, point)
    return path
