"""What both steps of training are given: settings that decide the weights, what is learnt from, and how it is run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import InputError
from ..pictures.composites.breast_lesions import Lesion
from ..pictures.datasets import Samples
from ..pictures.pixels import Grey

OnStep = Callable[[int, int, float], None]  # (step, steps in all, loss)
SAVE_EVERY_S = 20.0

SMALL_FIRST = 0.6  # of the steps at `size_from`
LARGEST_SEED = 2**63 - 1  # a seed


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that, with the data, decides the weights. Raises ValueError for values that cannot work."""

    network: str = "smartca-lite"  # a name of networks.NETWORK_NAMES
    size: int = 256  # pixels along the network's square
    size_from: int = 0  # the first 60 % of the steps are trained at this size; 0 = all at `size`
    epochs: int = 12
    steps: int = 0  # in all; 0 = `epochs` decide
    patience: int = 0  # epochs without a better validation before training ends; 0 = it never ends early
    batch: int = 16  # over all processes together
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    negative_share: float = 0.45
    average: float = 0.995
    seed: int = 1
    half: bool = False  # bfloat16 inside the network; the loss is float32 always
    pretrained: bool = True  # start from ImageNet weights
    freeze_norm: bool = False  # batch statistics stay as they are; scale and shift still learn

    def __post_init__(self) -> None:
        for name, size in (("size", self.size), ("size-from", self.size_from)):
            if size % 32 or size < 0:
                raise InputError(f"--{name} is {size}; give a multiple of 32, as the networks need")
        if self.size < 32 or self.size_from > self.size:
            raise InputError(f"--size is {self.size} and --size-from {self.size_from}; give 32 <= size-from <= size")
        if min(self.epochs, self.batch) < 1 or min(self.steps, self.patience) < 0:
            raise InputError("give --epochs and --batch of 1 or more, and --steps and --patience of 0 or more")
        if not 0 < self.learning_rate < math.inf:  # nan is not, either
            raise InputError(f"--learning-rate is {self.learning_rate}; give a number above 0, such as 0.002")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise InputError(f"--seed is {self.seed}; give a whole number from 0 to {LARGEST_SEED}")

    @property
    def starts_learnt(self) -> bool:
        """Whether the network's encoder starts from ImageNet weights, which exist for the light one only."""
        return self.pretrained and self.network.endswith("-lite")

    def steps_per_epoch(self, samples: int) -> int:
        """Whole batches in `samples`; at least one."""
        return max(1, samples // self.batch)

    def total(self, samples: int) -> int:
        """Steps in all."""
        return self.steps or self.steps_per_epoch(samples) * self.epochs

    def size_at(self, step: int, total: int) -> int:
        """Side of the network's square at a step."""
        return self.size_from if self.size_from and step < SMALL_FIRST * total else self.size


@dataclass(frozen=True, slots=True)
class Lessons:
    """What is learnt from, and what it is checked on.

    negatives: real pictures without a tear. lesions: of another organ, set into them. digest: of all pictures, so that
    none are exchanged half way; "" where nobody looks.
    """

    train: Samples
    held: Samples
    negatives: Sequence[Grey] = ()
    lesions: Sequence[Lesion] = ()
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """How a training is run; none of it changes the weights.

    resume: go on where the folder's last checkpoint stands. save_every_s: seconds between checkpoints, 0 = at every
    step. workers: threads that prepare batches ahead.
    """

    resume: bool = True
    on_step: OnStep | None = None
    device: str = "cpu"
    save_every_s: float = SAVE_EVERY_S
    workers: int = 1


AS_USUAL = Running()


def learning_rate(step: int, total: int, peak: float) -> float:
    """A twentieth of the steps up to the peak, then half a cosine down to a hundredth of it."""
    rise = max(1, total // 20)
    if step < rise:
        return peak * (step + 1) / rise
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise))))
