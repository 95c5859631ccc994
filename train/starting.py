"""Checkpoints that another training starts from: weights, settings and facts, without the optimiser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import InputError
from .checkpoint import FOREIGN, read_checkpoint, write_checkpoint
from .fit_settings import FitSettings

KEPT = ("settings", "origin", "data", "step", "dice")  # facts of a best.pt; `data` is a digest of pictures
CURE = "give the best.pt of `smartca train segment`, or what `smartca export --start` wrote"


def read_start(path: Path) -> dict[str, Any]:
    """The content of a best.pt, or of what `write_start` made of one: `state`, `settings` and facts.

    Read without running anything in it. Raises ValueError, in one sentence, for anything else.
    """
    stored = read_checkpoint(path, CURE)
    settings = stored.get("settings")
    if isinstance(settings, dict) and "loss" not in settings:
        raise InputError(
            f"{path} is a classifier, which outlines nothing: give it as --classifier of `smartca train segment`, "
            f"or {CURE}"
        )
    if not isinstance(stored.get("state"), dict):
        raise InputError(f"{path} holds a run to go on with, or nothing that training can start from; {CURE}")
    settings_of(path, stored)
    return stored


def settings_of(path: Path, stored: dict[str, Any]) -> FitSettings:
    """The settings that the weights of `stored`, the content of `path`, were learnt with. Raises ValueError."""
    try:
        return FitSettings(**stored["settings"])
    except FOREIGN as error:
        raise InputError(f"{path} was made by another version; {CURE}") from error


def load_start(path: Path, network: nn.Module, name: str) -> None:
    """Give `network`, built as `name`, the weights of the checkpoint `path`: all of them, what is frozen and the
    statistics of what is usual among them. Raises ValueError where the checkpoint is of another network.
    """
    stored = read_start(path)
    other = settings_of(path, stored).network
    if other != name:
        raise InputError(f"{path} holds {other} and not {name}; give --network {other}, or a checkpoint of {name}")
    try:
        network.load_state_dict(stored["state"])
    except FOREIGN as error:
        raise InputError(f"{path} holds a {name} of another shape, as another version made it; {CURE}") from error


def _small(tensor: torch.Tensor) -> torch.Tensor:
    """Kernels and matrices in half precision, which a start can do with; all else as it is: variances may be tiny.

    A copy: a view would bring all of what it is a view of.
    """
    kind = torch.float16 if tensor.is_floating_point() and tensor.ndim > 1 else tensor.dtype
    return tensor.detach().to(kind, copy=True, memory_format=torch.contiguous_format)


def write_start(checkpoint: Path, out: Path) -> None:
    """Write `out` from a best.pt: weights and what they are, kernels in half precision, nothing to go on with.

    Raises ValueError where `checkpoint` is no such, OSError where `out` cannot be written.
    """
    stored = read_start(checkpoint)
    state = {name: _small(tensor) for name, tensor in stored["state"].items()}
    write_checkpoint({"state": state, **{name: stored[name] for name in KEPT if name in stored}}, out)
