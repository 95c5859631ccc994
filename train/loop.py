"""What both steps of training share: steps, epochs, an average of the weights, checkpoints and early stopping.

Killed at any moment, the same command goes on from the last checkpoint to the same end: whatever is random depends on
the seed and the step alone, and everything else is in the checkpoint.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..errors import InputError, RunError
from . import parallel
from .batches import Batches, Pair
from .checkpoint import FOREIGN, read_checkpoint, write_checkpoint
from .data.samples import training_view
from .failures import foreign_network, machine_failures
from .logs import Log, Row
from .nets.networks import NETWORK_NAMES
from .settings import AS_USUAL, Lessons, Running, Settings, learning_rate

log = logging.getLogger(__name__)
PARTING_S = 2.0  # that the workers of a killed training may take to notice and end
SAVING_SHARE = 0.05  # of the time at most: large networks are saved less often
LEARNT_SHARE = 0.4  # of the learning rate, for an encoder that starts from ImageNet weights
STARTED = "start "  # before the digest of a checkpoint that was started from, in `origin`


class TrainingStopped(RunError):
    """Training was interrupted and its checkpoint written."""


class Loop(ABC):
    """One step of training in folder `out`: `run()` it; run it again to go on after an interruption.

    Raises ValueError where `out` holds a damaged checkpoint, or one of other settings, and `resume` is asked for.
    """

    name: ClassVar[str]  # of its scalars
    files: ClassVar[tuple[str, str, str]]  # (checkpoint to go on from, best weights, table)
    stage: ClassVar[int]  # keeps its random numbers apart from the other step's
    best_by: ClassVar[tuple[str, ...]]  # scores that decide which epoch is best, the first one first

    def __init__(
        self, settings: Settings, lessons: Lessons, out: Path, running: Running = AS_USUAL, origin: str = ""
    ) -> None:
        self.settings, self.out, self.origin = settings, out, origin
        self.train, self.held = lessons.train, lessons.held
        self.negatives, self.lesions, self.data = lessons.negatives, lessons.lesions, lessons.digest
        self.on_step, self.workers = running.on_step, running.workers
        self.save_every_s, self._due, self._written = running.save_every_s, 0.0, -1
        self.crew = parallel.current(running.device)
        self.crew.slice(settings.batch)
        torch.manual_seed(settings.seed)
        cv2.setNumThreads(1)
        self.resumed = running.resume and self.last.exists()
        self.step, self.rows, self._losses = 0, [], 0.0
        self.network = self.build().to(self.crew.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean = deepcopy(self.network).requires_grad_(False)
        self.loss = self.build_loss().to(self.crew.device)
        self.optimiser = self._optimiser()
        if self.resumed:
            self._restore()
        self._called = self.crew.wrap(self.network)

    @abstractmethod
    def build(self) -> nn.Module:
        """The network; without ImageNet weights where `resumed`, as a checkpoint is loaded into it."""

    @abstractmethod
    def build_loss(self) -> nn.Module:
        """The loss; what it remembers is stored with the checkpoint."""

    @abstractmethod
    def loss_of(self, output: Tensor, masks: Tensor) -> Tensor:
        """The scalar to go down, of the network's output and masks (n, 1, H, W)."""

    @abstractmethod
    def score(self) -> Row:
        """The averaged network's scores on the validation samples."""

    @property
    def last(self) -> Path:
        """The checkpoint to go on from."""
        return self.out / self.files[0]

    @property
    def best(self) -> Path:
        """The averaged weights of the best epoch."""
        return self.out / self.files[1]

    @property
    def steps_per_epoch(self) -> int:
        return self.settings.steps_per_epoch(len(self.train))

    @property
    def total(self) -> int:
        """Steps in all, unless it is stopped early."""
        return self.settings.total(len(self.train))

    @property
    def finished(self) -> bool:
        """All steps are done, or the validation has not got better for `patience` epochs."""
        patience = self.settings.patience
        tired = patience > 0 and bool(self.rows) and len(self.rows) - 1 - self._best_row() >= patience
        return self.step >= self.total or tired

    def view(self, sample: int, rng: np.random.Generator) -> Pair:
        """A training view of one sample."""
        return self.varied(self.train[sample], rng)

    def varied(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """A training view of a picture and its mask, or of a real picture in its place."""
        return training_view(pair, self.negatives, self.settings.negative_share, rng, self.lesions)

    def run(self) -> list[Row]:
        """Train to the end; returns the log's rows. Raises Stopped after Ctrl-C, its checkpoint written.

        Raises ValueError while another training writes to the same folder.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        facts = {"network": self.settings.network, "device": str(self.crew.device), "samples": len(self.train)}
        what = "training goes on" if self.resumed else "training begins"
        log.info(what, extra={**facts, "step": self.step, "of": self.total, "rank": self.crew.rank})
        with self._alone(), machine_failures(self.crew.device):
            return self._run()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else trains into the folder. The system lets go of the lock however this process ends."""
        if not self.crew.first:
            yield
            return
        try:
            with FileLock(self.out / ".training.lock", timeout=PARTING_S):
                yield
        except Timeout as error:
            raise InputError(f"another training writes to {self.out}; let it end, or give another --out") from error

    def _run(self) -> list[Row]:
        batches = Batches(self.view, len(self.train), self.settings, self.crew, self.stage, self.workers)
        table = Log(self.out, self.files[2], self.name, self.step, quiet=not self.crew.first)
        with interrupts() as interrupted, batches, table:
            self._due = time.monotonic() + self.save_every_s
            while not self.finished:
                loss, stop = self.crew.mean([self._one_step(*batches[self.step]), float(interrupted.is_set())])
                self._count(loss, table)
                if self.step % self.steps_per_epoch == 0 or self.step == self.total:
                    self._end_epoch(table)
                if stop or time.monotonic() >= self._due:
                    self._save()
                if stop:
                    raise TrainingStopped(
                        f"stopped at step {self.step} of {self.total}; the same command goes on from there"
                    )
        return self.rows

    def _one_step(self, images: Tensor, masks: Tensor) -> float:
        self._set_rate()
        seed = np.random.SeedSequence((self.settings.seed, self.stage, self.step, self.crew.rank))
        torch.manual_seed(int(seed.generate_state(1)[0]))  # drop-out: the same at this step after an interruption
        self.network.train()
        if self.settings.freeze_norm:
            for part in self.network.modules():
                if isinstance(part, _BatchNorm):
                    part.eval()
        name, size = self.settings.network, images.shape[-1]
        half = torch.autocast(self.crew.device.type, torch.bfloat16, enabled=self.settings.half)
        with half, foreign_network(name, name in NETWORK_NAMES, size):
            output = self._called(images)
        loss = self.loss_of(output, masks)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        average_into(self.mean, self.network, min(self.settings.average, (1 + self.step) / (10 + self.step)))
        return float(loss.detach())

    def _count(self, loss: float, table: Log) -> None:
        """One step is done. Raises RuntimeError where its loss is no number any more: nothing would be learnt."""
        if not np.isfinite(loss):
            raise RunError(f"the loss is no number any more at step {self.step + 1}; lower --learning-rate")
        table.step(self.step + 1, loss, self.optimiser.param_groups[0]["lr"])
        self.step, self._losses = self.step + 1, self._losses + loss
        if self.on_step:
            self.on_step(self.step, self.total, loss)

    def _set_rate(self) -> None:
        rate = learning_rate(self.step, self.total, self.settings.learning_rate)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"]

    def _optimiser(self) -> torch.optim.AdamW:
        """An encoder that has learnt already goes at 0.4 of the rate of what is new."""
        known: list[nn.Parameter] = []
        new: list[nn.Parameter] = []
        for name, weight in self.network.named_parameters():
            if weight.requires_grad:
                learnt = self.settings.starts_learnt and bool({"trainable", "encoder"} & set(name.split(".")))
                (known if learnt else new).append(weight)
        groups = [{"params": new, "share": 1.0}, {"params": known, "share": LEARNT_SHARE}]
        return torch.optim.AdamW(groups, self.settings.learning_rate, weight_decay=self.settings.weight_decay)

    def _best_row(self) -> int:
        """Which of the rows is the best, the first of equals."""
        keys = [tuple(row[name] for name in self.best_by) for row in self.rows]
        return keys.index(max(keys))

    def _end_epoch(self, table: Log) -> None:
        done = (self.step - 1) % self.steps_per_epoch + 1
        facts = {"epoch": -(-self.step // self.steps_per_epoch), "step": self.step, "loss": self._losses / done}
        row: Row = {**facts, **self.crew.from_first(self.score() if self.crew.first else {})}
        self.rows, self._losses = [*self.rows, row], 0.0
        log.info("epoch done", extra=row)
        if self.crew.first:
            if self._best_row() == len(self.rows) - 1:
                write_checkpoint({**self._facts(), "state": self.mean.state_dict(), **row}, self.best)
            table.epoch(self.rows)
        self._save()

    def _facts(self) -> dict[str, Any]:
        """What decides the weights; a checkpoint is gone on from only where it is the same."""
        return {"settings": asdict(self.settings), "origin": self.origin, "data": self.data}

    def _parts(self) -> dict[str, Any]:
        return {"network": self.network, "mean": self.mean, "loss": self.loss, "optimiser": self.optimiser}

    def _save(self) -> None:
        if not self.crew.first or self.step == self._written:
            return
        begun = time.monotonic()
        facts = {**self._facts(), "step": self.step, "rows": self.rows}
        state = {name: part.state_dict() for name, part in self._parts().items()}
        write_checkpoint({**state, **facts, "losses": self._losses}, self.last)
        now = time.monotonic()
        wait = max(self.save_every_s, (now - begun) / SAVING_SHARE) if self.save_every_s else 0.0
        self._written, self._due = self.step, now + wait

    def _restore(self) -> None:
        stored = read_checkpoint(self.last, "delete it, or give --no-resume, to begin anew")
        begun = str(stored.get("origin") or "")
        if begun != self.origin and STARTED in (begun[: len(STARTED)], self.origin[: len(STARTED)]):
            raise InputError(
                f"{self.last} was begun from other weights; give the same --start-from again, another --out, or "
                f"--no-resume"
            )
        if (stored.get("settings"), stored.get("origin")) != (asdict(self.settings), self.origin):
            raise InputError(
                f"{self.last} was made with other settings; give them again, another --out, or --no-resume"
            )
        if self.data and not stored.get("data"):
            raise InputError(
                f"{self.last} does not say which pictures it has learnt from, as an older version made it; "
                f"give another --out, or --no-resume"
            )
        if self.data and stored["data"] != self.data:
            raise InputError(
                f"{self.last} holds a training on other pictures; give those again, another --out, or --no-resume"
            )
        try:
            for name, part in self._parts().items():
                part.load_state_dict(stored[name])
            self.step, self.rows, self._losses = stored["step"], stored["rows"], stored["losses"]
        except FOREIGN as error:
            raise InputError(f"{self.last} was made by another version; give another --out, or --no-resume") from error


@torch.no_grad()
def average_into(mean: nn.Module, network: nn.Module, keep: float) -> None:
    """mean = keep * mean + (1 - keep) * network, for weights and batch statistics."""
    pairs = list(zip(mean.state_dict().values(), network.state_dict().values(), strict=True))
    slow, fast = zip(*[pair for pair in pairs if pair[0].is_floating_point()], strict=True)
    get_ema_multi_avg_fn(keep)(list(slow), list(fast), 0)  # all in a few kernels: one for each costs a GPU milliseconds
    for counted, now in pairs:
        if not counted.is_floating_point():
            counted.copy_(now)


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM set the event instead of breaking in, so that a step is never left half done."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {number: signal.signal(number, lambda *_: event.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
