"""What calibration found for a model, stored as JSON beside it and used wherever the model runs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, cast, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from .. import onnx_bytes
from ..errors import UNDECODABLE, InputError
from ..files import json_bytes, write_json, write_whole
from .paths import sheet_path

NOT_CALIBRATED = "not calibrated"
PointName = Literal["careful", "balanced", "searching"]
POINT_NAMES: tuple[PointName, ...] = get_args(PointName)  # from the fewest outlines to the most
USUAL: PointName = "balanced"


class Reached(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a point reached on the frames it was found on; None where there were no such frames.

    recall, precision: of all pixels put together. tears_found: share of the frames with a tear of which a part is
    outlined. empty_outlined: share of the frames without a tear that carry an outline. empty_unsure: share of those
    that carry an unsure region. unsure_right: share of the unsure regions that lie on a tear. tears_found_or_unsure:
    `tears_found` if an unsure region counts as well.
    """

    recall: float | None = None
    precision: float | None = None
    tears_found: float | None = None
    empty_outlined: float | None = None
    empty_unsure: float | None = None
    unsure_right: float | None = None
    tears_found_or_unsure: float | None = None


class Setting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the points of one model differ in; see OperatingPoint."""

    threshold: float
    min_area: int = 0
    tear_threshold: float = 0.0
    unsure: float | None = None
    reached: Reached | None = None

    def __post_init__(self) -> None:
        check_thresholds(self.threshold, self.tear_threshold, self.unsure)


def check_thresholds(threshold: float, tear_threshold: float, unsure: float | None) -> None:
    """Raises InputError for a threshold that can be none."""
    if not 0.0 < threshold < 1.0:
        raise InputError(f"the threshold is {threshold}; it must lie between 0 and 1")
    if not 0.0 <= tear_threshold < 1.0:
        raise InputError(f"the classifier's threshold is {tear_threshold}; it must lie between 0 and 1")
    if unsure is not None and not 0.0 < unsure < threshold:
        raise InputError(f"'unsure' begins at {unsure}; it must lie between 0 and the threshold, {threshold}")


def point_name(word: str) -> PointName:
    """`word`, if it is one of POINT_NAMES; else InputError."""
    if word not in POINT_NAMES:
        raise InputError(f"there is no point {word!r}; choose one of {', '.join(POINT_NAMES)}")
    return cast(PointName, word)


class OperatingPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From the network's q to an outline.

    logit(q_fitted) = slope * logit(q) + intercept (Platt 1999); a pixel is outlined where
    q_fitted >= threshold; spots of fewer than `min_area` pixels of the network's square are left out.
    Nothing is outlined where the classifier's probability of a tear is below `tear_threshold`. For a picture stranger
    than `strange_limit` (None: no limit) there is no result or, where `otherwise` says so, the shipped network's.

    An 8-connected spot of pixels with q_fitted >= unsure, of `min_area` pixels or more, that holds nothing outlined is
    'unsure' (None: there is no such answer). The same `tear_threshold` holds for it.

    These are the values of the point 'balanced'. `points` has those of 'careful' and 'searching'; where it is empty,
    all three names mean this one.
    """

    model_sha256: str = ""
    threshold: float = 0.5
    slope: float = 1.0
    intercept: float = 0.0
    min_area: int = 0
    tear_threshold: float = 0.0
    strange_limit: float | None = None
    otherwise: Literal["", "shipped"] = ""
    recall_wanted: float | None = None
    recall_found: float | None = None
    fitted_on: str = NOT_CALIBRATED
    unsure: float | None = None
    reached: Reached | None = None
    points: dict[Literal["careful", "searching"], Setting] = {}

    def __post_init__(self) -> None:
        check_thresholds(self.threshold, self.tear_threshold, self.unsure)
        if self.slope <= 0.0:
            raise InputError(f"the slope of the fit is {self.slope}; it must be above 0")
        if self.otherwise and self.strange_limit is None:
            raise InputError(
                "another network is named for strange pictures, but no limit from which on they are strange"
            )
        if len(self.points) == 1:
            raise InputError("there is one of the points 'careful' and 'searching', but not the other")

    def at(self, name: PointName) -> OperatingPoint:
        """The point of that name by itself: it is this one where the model was calibrated for one only."""
        if name == "balanced" or not self.points:
            return msgspec.structs.replace(self, points={})
        chosen = self.points[name]
        return msgspec.structs.replace(
            self,
            threshold=chosen.threshold,
            min_area=chosen.min_area,
            tear_threshold=chosen.tear_threshold,
            unsure=chosen.unsure,
            reached=chosen.reached,
            points={},
        )

    def raw(self, fitted: float) -> float:
        """A fitted q as the network's own q: outlining needs no fit of every pixel."""
        logit = np.log(fitted) - np.log1p(-fitted)
        return float(1.0 / (1.0 + np.exp(-(logit - self.intercept) / self.slope)))

    @property
    def raw_threshold(self) -> float:
        """The threshold in the network's own q."""
        return self.raw(self.threshold)

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
    if model.suffix == ".onnx" and not sheet_path(model).exists():
        return f"run `smartca calibrate --model {model}`"
    return "run `smartca calibrate` on the .onnx model that it was built from, then `smartca build` again"


def stored_point(model: Path) -> bytes | None:
    """The operating point stored for `model`, as JSON: in the file beside it or, where that is missing, inside it.

    None where there is neither.
    """
    path = point_path(model)
    if path.exists():
        return path.read_bytes()
    if model.suffix != ".onnx" or not model.is_file():
        return None
    inside = onnx_bytes.metadata(model.read_bytes()).get(onnx_bytes.POINT_KEY)
    return None if inside is None else inside.encode()


def point_digest(model: Path) -> str | None:
    """Hex digest of `stored_point`; None where there is none."""
    stored = stored_point(model)
    return None if stored is None else hashlib.sha256(stored).hexdigest()


def load_point(model: Path, digest: str) -> OperatingPoint:
    """The operating point stored for `model`, or the default one where there is none.

    It stands beside it. Where that file is missing, of a built engine it is the copy in its build sheet, and of an
    ONNX file what stands inside.
    Raises ValueError if it is damaged or was made for other weights than those with `digest`.
    """
    path = point_path(model)
    copy = None if path.exists() else _point_in_sheet(model, digest)
    stored = stored_point(model) if copy is None else None
    if copy is not None or stored is None:
        return copy or OperatingPoint(model_sha256=digest)
    where = path if path.exists() else f"the operating point inside {model.name}"
    away = "take it away, then " if path.exists() else ""
    try:
        point = msgspec.json.decode(stored, type=OperatingPoint)
    except UNDECODABLE as error:
        raise InputError(f"{where} is not an operating point ({error}): {away}{how_to_calibrate(model)}") from error
    if point.model_sha256 != digest:
        raise InputError(f"{where} was made for other weights than {model.name}; {how_to_calibrate(model)}")
    return point


class _PlanTold(msgspec.Struct):
    operating_point: str | None = None


class _Told(msgspec.Struct):
    """What matters here of an engine's build sheet (`plan.BuildSheet`)."""

    plan: _PlanTold
    point: OperatingPoint | None = None


def _point_in_sheet(engine: Path, digest: str) -> OperatingPoint | None:
    """The copy in the build sheet of an engine that lost its operating point; None where it had none, or no sheet.

    Raises InputError where it had one of which there is no copy, or the copy is of another engine.
    """
    try:
        told = msgspec.json.decode(sheet_path(engine).read_bytes(), type=_Told)
    except (OSError, *UNDECODABLE):  # no engine that was built; or its door says so
        return None
    if told.point is not None and told.point.model_sha256 == digest:
        return told.point
    if told.plan.operating_point is None or (told.point is None and engine.suffix == ".onnx" and stored_point(engine)):
        return None
    raise InputError(
        f"{engine.name} was built with an operating point, and {point_path(engine).name} is not beside it: put it "
        "back, or build the engine again with `smartca build`"
    )


def save_point(point: OperatingPoint, model: Path) -> Path:
    """Write the operating point beside `model`, all of it or nothing."""
    path = point_path(model)
    write_json(path, point)
    return path


def store_point(point: OperatingPoint, model: Path) -> Path:
    """Write the operating point into the ONNX file `model`, which keeps it when it is moved alone, and beside it.

    Each all of it or nothing. The file beside it is what counts, and is written last.
    """
    write_whole(model, onnx_bytes.with_metadata(model.read_bytes(), onnx_bytes.POINT_KEY, json_bytes(point).decode()))
    return save_point(point, model)
