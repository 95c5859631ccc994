"""Batches prepared ahead in background threads; each is the same whenever, and by however many, it is made.

OpenCV and numpy let other Python threads work while they compute.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from ..engine.letterbox import letterbox, letterbox_mask, to_input
from ..pictures.pixels import Grey, Mask, whole
from .data.samples import order
from .parallel import Crew
from .settings import Settings

Pair = tuple[Grey, Mask]
Augmented = Callable[[int, np.random.Generator], Pair]  # (a sample's number, its luck) -> an augmented picture and mask
Arrays = tuple[NDArray[np.float32], NDArray[np.float32]]
AHEAD = 2  # batches: the one in use and the next


def arrays(pair: Pair, size: int) -> Arrays:
    """Picture and mask -> float32 (1, 1, size, size) twice, the way of every picture into the network."""
    pixels, mask = pair
    image = to_input(letterbox(pixels, whole(pixels.shape), size))
    return image, letterbox_mask(mask, whole(mask.shape), size)[None, None].astype(np.float32)


def tensors(pairs: Sequence[Pair], size: int) -> tuple[Tensor, Tensor]:
    """Pictures and masks -> float32 (N, 1, size, size) twice."""
    return _joined([arrays(pair, size) for pair in pairs])


def _joined(parts: Sequence[Arrays]) -> tuple[Tensor, Tensor]:
    images, masks = zip(*parts, strict=True)
    return torch.from_numpy(np.concatenate(images)), torch.from_numpy(np.concatenate(masks))


class Batches:
    """This process's slice of every step's batch; used with `with`.

    `view` makes a training view of sample n with a generator that depends on seed, `stage`, step and the place in the
    batch alone: neither an interruption nor the number of processes or threads changes what is learnt from.
    """

    def __init__(
        self, view: Augmented, samples: int, settings: Settings, crew: Crew, stage: int = 0, workers: int = 1
    ) -> None:
        self.view, self.samples, self.settings, self.crew, self.stage = view, samples, settings, crew, stage
        self.total = settings.total(samples)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="batches")
        self._begun: dict[int, list[Future[Arrays]]] = {}

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        """Images and masks of a step, float32 (n, 1, size, size), on the crew's device."""
        for coming in range(step, min(step + AHEAD, self.total)):
            if coming not in self._begun:
                self._begun[coming] = self._begin(coming)
        images, masks = _joined([part.result() for part in self._begun.pop(step)])
        if self.crew.device.type == "cuda":
            images, masks = images.pin_memory(), masks.pin_memory()
        images = images.to(self.crew.device, memory_format=torch.channels_last, non_blocking=True)
        return images, masks.to(self.crew.device, non_blocking=True)

    def _begin(self, step: int) -> list[Future[Arrays]]:
        epoch, within = divmod(step, self.settings.steps_per_epoch(self.samples))
        batch = self.settings.batch
        # resize repeats where there are fewer samples than a batch holds
        places = np.resize(order(self.samples, epoch, self.settings.seed)[within * batch :], batch)
        size = self.settings.size_at(step, self.total)
        return [self._pool.submit(self._one, int(places[k]), step, k, size) for k in self.crew.slice(batch)]

    def _one(self, sample: int, step: int, place: int, size: int) -> Arrays:
        luck = np.random.default_rng((self.settings.seed, self.stage, step, place))
        return arrays(self.view(sample, luck), size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
