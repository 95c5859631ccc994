"""Whether a result may be put where it is to go: found out before the work, which takes minutes, and not after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from ...errors import UNDECODABLE, FileError, InputError
from ...files import sha256, try_to_fill, try_to_write
from .. import operating_point as points
from .. import plan
from ..contract import EngineError


def refuse_engine(out: Path) -> None:
    """Raises EngineError where an engine cannot be put at `out`, or would take the place of somebody's file.

    Ours is an engine that its build sheet beside it describes, and the two files that stand beside one.
    """
    if out.is_dir():
        raise EngineError(f"{out} cannot be a file there, as it is a folder; change -o")
    try:
        try_to_fill(out.absolute().parent)
    except OSError as error:
        raise EngineError(
            f"{out} cannot be written there ({error.strerror}); make its folder writable, or change -o"
        ) from error
    beside = plan.sheet_path(out)
    ours = (
        (out, lambda: plan.load_sheet(out).engine_sha256 == sha256(out)),
        (beside, lambda: bool(plan.load_sheet(out))),
        (points.point_path(out), lambda: is_point(points.point_path(out))),
    )
    for path, is_ours in ours:
        if path.exists() and not (path.is_file() and _told(is_ours)):
            if path == out and _told(lambda: bool(plan.load_sheet(out))):
                raise EngineError(
                    f"{out} is damaged, or another file stands in its place: not what smartca built there; take it away"
                )
            raise EngineError(
                f"{path} is there already and smartca did not build it; give -o another name, or take it away"
            )


def refuse_point(model: Path) -> None:
    """Raises ValueError or OSError where no operating point can be stored for `model`, or a foreign file is there."""
    path = points.point_path(model)
    if path.exists() and not is_point(path):
        raise InputError(
            f"{path} is there already and is no operating point, which is stored under this name; "
            "take it away, or give the model another name"
        )
    try:
        try_to_write(path)
    except OSError as error:
        raise FileError(
            f"{path} cannot be written ({error.strerror}); make its folder writable, or copy the model elsewhere"
        ) from error


def is_point(path: Path) -> bool:
    """Whether `path` is an operating point of some model."""
    try:
        return bool(msgspec.json.decode(path.read_bytes(), type=points.OperatingPoint).model_sha256)
    except (OSError, *UNDECODABLE):
        return False


def _told(is_ours: Callable[[], bool]) -> bool:
    try:
        return is_ours()
    except (EngineError, OSError):
        return False
