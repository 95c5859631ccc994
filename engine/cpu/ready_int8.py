"""The INT8 network that stands ready beside a model: MODEL-int8.onnx, made of the very same weights and let through.

It is found by its name, but believed only by its build sheet: made of this model's bytes, itself unchanged, and
accepted by the gate. Anything else beside a model is left alone.
"""

from __future__ import annotations

from pathlib import Path

from ...files import sha256
from .. import plan
from ..contract import EngineError
from .capabilities import quick_int8

ENDING = "-int8"


def place(model: Path) -> Path:
    """x.onnx -> x-int8.onnx."""
    return model.with_name(f"{model.stem}{ENDING}.onnx")


def why_not(model: Path) -> str | None:
    """None where the INT8 network beside `model` may be used in its place, else one sentence with the cure."""
    path = place(model)
    make = f"`smartca build {model} --backend openvino --precision int8 --calibrate DATA -o {path}` makes one"
    if not path.is_file():
        return f"there is no {path.name} beside {model.name}; {make}"
    wrong = plan.misfit(path)
    if wrong is not None:
        return wrong
    told = plan.load_sheet(path)
    if told.plan.onnx_sha256 != sha256(model):
        return f"{path.name} was made of other weights than those of {model.name}; {make}"
    if told.plan.precision != "int8" or not (told.gate or {}).get("accepted"):
        return f"{path.name} has not passed the gate; {make}"
    return None


def chosen(model: Path, precision: str) -> Path:
    """The file to run on a CPU for `model` in `precision`: the model itself, or the INT8 network beside it.

    auto takes the latter where it may be used and this processor has dot products of bytes. Raises EngineError where
    int8 is asked for and there is none.
    """
    if precision == "int8" and not plan.sheet_path(model).exists():
        if model.stem.endswith(ENDING):
            raise EngineError(
                f"{model} stands without {plan.sheet_path(model).name}, which says what it was made of; put it back"
            )
        wrong = why_not(model)
        if wrong is not None:
            raise EngineError(wrong)
        return place(model)
    ready = precision == "auto" and place(model).is_file() and quick_int8() and why_not(model) is None
    return place(model) if ready else model


def built_from(model: Path, precision: str, calibrated: bool) -> Path:
    """The file to build from: for int8 without calibration the INT8 network ready beside `model`, if any."""
    ready = precision == "int8" and not calibrated and place(model).is_file() and why_not(model) is None
    return place(model) if ready else model
