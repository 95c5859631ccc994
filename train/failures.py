"""What torch and the networks of other packages raise where the machine or an option, and not our code, is at fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import InputError, RunError, SmartcaError

# torch has no exceptions of its own for these: they are told by their words
NO_ROOM = ("can't allocate memory", "not enough memory")  # of its allocator on the CPU
GPU_FAILED = ("CUDA error", "cuDNN error", "CUBLAS_STATUS")
OTHERS_GONE = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")


@contextmanager
def machine_failures(device: torch.device | str) -> Iterator[None]:
    """Turns a lack of memory, a GPU that fails and a process of ours that is gone into RunError; all else passes."""
    try:
        yield
    except SmartcaError:
        raise
    except RuntimeError as error:
        words = str(error)
        reason = words.strip().split("\n")[0]
        if isinstance(error, torch.cuda.OutOfMemoryError) or _in(NO_ROOM, words):
            raise RunError(f"the memory of {device} is too small; lower --batch or --size") from error
        if _in(GPU_FAILED, words):
            raise RunError(
                f"{device} failed ({reason}); `smartca doctor` looks at it, and the same command goes on"
            ) from error
        if _in(OTHERS_GONE, words):
            raise RunError(f"another process of this training is gone ({reason}); what it said stands above") from error
        raise


@contextmanager
def foreign_network(name: str, ours: bool, size: int) -> Iterator[None]:
    """Turns what a network of another package raises when it is called into InputError; of one of `ours`, nothing."""
    try:
        yield
    # timm and segmentation-models-pytorch refuse a picture or a batch with any of these
    except (RuntimeError, ValueError, AssertionError, TypeError, IndexError) as error:
        memory = isinstance(error, torch.cuda.OutOfMemoryError) or _in((*NO_ROOM, *GPU_FAILED), str(error))
        if ours or memory or isinstance(error, SmartcaError):
            raise
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(
            f"'{name}' cannot be trained at size {size} ({reason}); change --size, or choose another network"
        ) from error


def _in(known: tuple[str, ...], words: str) -> bool:
    return any(part in words for part in known)
