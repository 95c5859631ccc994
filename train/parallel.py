"""Several processes, one training: `torchrun --nproc-per-node N -m smartca train segment ...` on one machine.

Each process takes its slice of the same seeded batch. DistributedDataParallel averages gradients over processes,
so a loss that is normalised over the batch has to be made whole first: see `shared_loss`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..errors import InputError, RunError
from .losses import RunningIplf, iplf, positive_domain

PATIENCE = timedelta(hours=1)  # the others wait while the first renders phantoms or validates
T = TypeVar("T")


@dataclass(frozen=True)
class Crew:
    """This process's place among those that train together, and its device."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def slice(self, batch: int) -> range:
        """This process's places in a batch. Raises ValueError where it cannot be shared evenly."""
        if batch % self.size:
            raise InputError(f"a batch of {batch} cannot be shared by {self.size} processes; give --batch a multiple")
        share = batch // self.size
        return range(self.rank * share, (self.rank + 1) * share)

    def mean(self, values: list[float]) -> list[float]:
        """The mean of each number over the processes."""
        if self.size == 1:
            return values
        numbers = torch.tensor(values, dtype=torch.float32, device=self.device)
        dist.all_reduce(numbers)
        return [number / self.size for number in numbers.tolist()]

    def from_first(self, value: T) -> T:
        """What the first process holds, in every process."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, device=self.device if self.device.type == "cuda" else None)
        return box[0]

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process goes through the block before the others do: they find its files made."""
        if not self.first:
            dist.barrier()
        yield
        if self.first and self.size > 1:
            dist.barrier()

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network as it is to be called in training: its gradients become means over the processes."""
        if self.size == 1:
            return network
        places = [self.device.index] if self.device.type == "cuda" else None
        # static: which weights take part (smp's encoders carry some that do not) is the same at every step
        return DistributedDataParallel(network, device_ids=places, static_graph=True)


def use_threads(number: int) -> None:
    """Let torch compute with as many threads of the CPU."""
    torch.set_num_threads(number)


def default_device() -> str:
    """cuda where there is one, else cpu."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def current(device: str) -> Crew:
    """The crew this process belongs to: that of `joined`, else itself alone. Raises ValueError for no such device."""
    together = dist.is_available() and dist.is_initialized()
    return Crew(dist.get_rank() if together else 0, dist.get_world_size() if together else 1, _device(device))


@contextmanager
def joined(device: str) -> Iterator[Crew]:
    """Join the processes that torchrun started with this one (gloo on the CPU, nccl on CUDA); alone without it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield current(device)
        return
    place = _device(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    try:
        dist.init_process_group("nccl" if place.type == "cuda" else "gloo", timeout=PATIENCE)
    except (ValueError, RuntimeError) as error:  # torch's, for a variable that lacks and for a partner that does
        raise RunError(f"the processes do not find each other ({error}); start them with torchrun") from error
    try:
        yield current(device)
    finally:
        dist.destroy_process_group()


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"'{name}' is no device; give --device cpu, cuda or cuda:N") from error
    if device.type != "cuda":
        return device
    number = device.index if device.index is not None else int(os.environ.get("LOCAL_RANK", "0"))
    if number >= torch.cuda.device_count():
        raise InputError(f"there is no CUDA device {number} here; give --device cpu or start fewer processes")
    return torch.device("cuda", number)


def shared_loss(loss: nn.Module, logits: Tensor, target: Tensor, crew: Crew) -> Tensor:
    """`loss` of the whole batch, of which this process holds a slice (n, 1, H, W).

    Its mean over processes is the loss one process would find, and the mean of its gradients is that loss's
    gradient. IPLF's numerator is a sum of the slices', so only its denominator is all-reduced, and what is left is
    scaled by the number of processes. Other losses (Dice is a ratio of sums) see all slices, of which only this
    process's own carries a gradient.
    """
    if crew.size == 1:
        return loss(logits, target)
    if type(loss) is RunningIplf:
        size = positive_domain(logits, target)
        dist.all_reduce(size)
        if loss.size < 0:
            loss.size.copy_(size)
        loss.size.lerp_(size, loss.momentum)
        return crew.size * iplf(logits, target, loss.gamma, loss.beta, normaliser=loss.size)
    value = loss(_gathered(logits.float(), crew), _gathered(target, crew))
    return value.detach() + crew.size * (value - value.detach())


def _gathered(part: Tensor, crew: Crew) -> Tensor:
    """All processes' parts in order, (n * processes, ...); only this one's own with its gradient."""
    mine = part.contiguous()
    parts = [torch.empty_like(mine) for _ in range(crew.size)]
    dist.all_gather(parts, mine.detach())
    parts[crew.rank] = mine
    return torch.cat(parts)
