"""Which model runs where none is named: the shipped one, or the one that this user has recorded instead."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
from platformdirs import user_config_dir

from ..errors import UNDECODABLE, InputError
from ..files import sha256, write_json
from .contract import SHIPPED_MODEL
from .operating_point import load_point, stored_point

BACK = "`smartca adapt --back` returns to the shipped weights"


class Recorded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model's file, and the SHA-256 that it had when it was recorded."""

    model: str
    sha256: str


def record_path() -> Path:
    """Where the user's choice stands."""
    return Path(user_config_dir("smartca")) / "model.json"


def recorded() -> Recorded | None:
    """The user's choice; None where there is none. Raises ValueError where its file is damaged."""
    path = record_path()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Recorded)
    except FileNotFoundError:
        return None
    except UNDECODABLE as error:
        raise InputError(f"{path}, which names the weights to run, is damaged; {BACK}") from error


def usual_model() -> Path:
    """The model to run where none is named.

    Raises ValueError, and never falls back silently, where the recorded one is gone or is not what it was.
    """
    told = recorded()
    if told is None:
        return SHIPPED_MODEL
    model = Path(told.model)
    if not model.is_file():
        raise InputError(f"the weights recorded to run, {model}, are gone; put them back, or {BACK}")
    if sha256(model) != told.sha256:
        raise InputError(
            f"the weights recorded to run, {model}, are not the ones that were recorded; record them again with "
            f"`smartca adapt --use {model.parent}`, or {BACK}"
        )
    return model


def use(model: Path) -> str:
    """Record `model` as the one to run; returns its SHA-256. Raises ValueError where it lacks its operating point."""
    if not model.is_file():
        raise InputError(f"there is no {model}; give --use the folder that `smartca adapt` wrote")
    digest = sha256(model)
    load_point(model, digest)  # one of other weights is refused
    if stored_point(model) is None:
        raise InputError(f"{model} has no operating point; run `smartca calibrate --model {model}` first")
    path = record_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, Recorded(str(model.resolve()), digest))
    return digest


def go_back() -> bool:
    """Forget the user's choice; returns whether there was one."""
    there = record_path().exists()
    with contextlib.suppress(FileNotFoundError):
        record_path().unlink()
    return there
