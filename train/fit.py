"""The fit loop: AdamW, one cosine cycle, an average of the weights, checkpoints that the same command goes on
from.
"""

from __future__ import annotations

import csv
import math
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ..engine.pixels import Grey, Mask, letterbox, letterbox_mask, to_input, whole
from .data import Samples, order, training_batch
from .losses import RunningIplf
from .network import Classifier, SmartCA, confidence_logit
from .scores import Histograms, Score

CLASSIFY_LEARNING_RATE = 5e-4


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Everything that, with the data, decides the weights."""

    backbone: str = "lite"
    size: int = 256
    epochs: int = 12
    classify_epochs: int = 0
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    negative_share: float = 0.12
    average: float = 0.995
    seed: int = 1
    half: bool = False  # bfloat16 inside the network; the loss is float32 always


class Stopped(RuntimeError):
    """Training was interrupted and its checkpoint written."""


OnStep = Callable[[int, int, float], None]  # (step, steps in all, loss)
Row = dict[str, float]
Module = TypeVar("Module", bound=nn.Module)


def tensors(pairs: Sequence[tuple[Grey, Mask]], size: int) -> tuple[Tensor, Tensor]:
    """Pictures and masks -> float32 (N, 1, size, size) twice, the way of every picture into the network."""
    images = [to_input(letterbox(pixels, whole(pixels.shape), size)) for pixels, _ in pairs]
    masks = [letterbox_mask(mask, whole(mask.shape), size)[None, None] for _, mask in pairs]
    return torch.from_numpy(np.concatenate(images)), torch.from_numpy(np.concatenate(masks).astype(np.float32))


def learning_rate(step: int, total: int, peak: float) -> float:
    """A twentieth of the steps up to the peak, then half a cosine down to a hundredth of it."""
    rise = max(1, total // 20)
    if step < rise:
        return peak * (step + 1) / rise
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise))))


@torch.no_grad()
def average_into(mean: nn.Module, network: nn.Module, keep: float) -> None:
    """mean = keep * mean + (1 - keep) * network, for weights and batch statistics."""
    for slow, fast in zip(mean.state_dict().values(), network.state_dict().values(), strict=True):
        if slow.is_floating_point():
            slow.lerp_(fast, 1 - keep)
        else:
            slow.copy_(fast)


@torch.no_grad()
def validate(network: SmartCA, samples: Samples, settings: FitSettings) -> Score:
    """Best pooled Dice over thresholds on whole samples, unaugmented."""
    network.eval()
    device = next(network.parameters()).device
    counted = Histograms()
    for first in range(0, len(samples), settings.batch):
        pairs = [samples[n] for n in range(first, min(first + settings.batch, len(samples)))]
        images, masks = tensors(pairs, settings.size)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.half):
            logits = network(images.to(device, memory_format=torch.channels_last))
        counted.add(confidence_logit(logits).cpu().numpy(), masks.numpy() > 0)
    return counted.best()


class Fit:
    """One training run in folder `out`: `run()` it; run it again to go on after an interruption.

    Raises ValueError where `out` holds a checkpoint of other settings and `resume` is asked for.
    """

    def __init__(
        self,
        settings: FitSettings,
        train: Samples,
        held: Samples,
        out: Path,
        negatives: Sequence[Grey] = (),
        resume: bool = True,
        on_step: OnStep | None = None,
        device: str = "cpu",
    ) -> None:
        self.settings, self.train, self.held, self.out = settings, train, held, out
        self.negatives, self.on_step, self.device = negatives, on_step, device
        out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(settings.seed)
        cv2.setNumThreads(1)
        going_on = resume and self.last.exists()
        self.network = self._placed(SmartCA(settings.backbone, imagenet=not going_on))
        self.mean = deepcopy(self.network).requires_grad_(False)
        self.loss = RunningIplf().to(device)
        self.step, self.rows, self.classified = 0, [], settings.classify_epochs == 0
        self.optimiser = self._optimiser()
        if going_on:
            self._restore()

    @property
    def last(self) -> Path:
        """The checkpoint to go on from."""
        return self.out / "last.pt"

    @property
    def best(self) -> Path:
        """The averaged weights with the best validation Dice."""
        return self.out / "best.pt"

    @property
    def steps_per_epoch(self) -> int:
        return max(1, len(self.train) // self.settings.batch)

    @property
    def total(self) -> int:
        return self.steps_per_epoch * self.settings.epochs

    def run(self) -> list[Row]:
        """Train to the end; returns the log's rows. Raises Stopped after Ctrl-C, its checkpoint written."""
        with interrupts() as interrupted:
            if not self.classified:
                self._classify()
            while self.step < self.total:
                loss = self._one_step()
                self.step += 1
                if self.on_step:
                    self.on_step(self.step, self.total, loss)
                if self.step % self.steps_per_epoch == 0:
                    self._end_epoch(loss)
                if interrupted.is_set():
                    self._save()
                    raise Stopped(f"stopped at step {self.step} of {self.total}; the same command goes on from there")
        return self.rows

    def _placed(self, network: Module) -> Module:
        """On the device, channels last, which is the faster order there and on a CPU."""
        return network.to(self.device).to(memory_format=torch.channels_last)

    def _batch(self, step: int, stage: int = 0) -> tuple[Tensor, Tensor]:
        """Augmented images and masks of a step: the same whenever that step is reached."""
        epoch, within = divmod(step, self.steps_per_epoch)
        first = within * self.settings.batch
        places = order(len(self.train), epoch, self.settings.seed)[first : first + self.settings.batch]
        rng = np.random.default_rng((self.settings.seed, stage, step))
        share = self.settings.negative_share
        images, masks = tensors(
            training_batch(self.train, places.tolist(), self.negatives, share, rng), self.settings.size
        )
        return images.to(self.device, memory_format=torch.channels_last), masks.to(self.device)

    def _one_step(self) -> float:
        images, masks = self._batch(self.step)
        rate = learning_rate(self.step, self.total, self.settings.learning_rate)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"]
        self.network.train()
        with torch.autocast(self.device, torch.bfloat16, enabled=self.settings.half):
            logits = self.network(images)
        loss = self.loss(logits, masks)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        average_into(self.mean, self.network, min(self.settings.average, (1 + self.step) / (10 + self.step)))
        return float(loss.detach())

    def _classify(self) -> None:
        """The paper's first step: fit 'tear / no tear', then freeze that encoder as the pre-trained one."""
        network = self._placed(Classifier(self.settings.backbone))
        optimiser = torch.optim.AdamW(network.parameters(), CLASSIFY_LEARNING_RATE)
        network.train()
        for step in range(self.steps_per_epoch * self.settings.classify_epochs):
            images, masks = self._batch(step, stage=1)
            with torch.autocast(self.device, torch.bfloat16, enabled=self.settings.half):
                classes = network(images)
            loss = nn.functional.cross_entropy(classes.float(), masks.flatten(1).any(1).long())
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        for model in (self.network, self.mean):
            model.pretrained.load_state_dict(network.encoder.state_dict())
        self.classified = True

    def _optimiser(self) -> torch.optim.AdamW:
        """The encoder, which has learnt already, at 0.4 of the decoder's rate."""
        known = list(self.network.trainable.parameters())
        ids = {id(weight) for weight in known}
        new = [w for w in self.network.parameters() if w.requires_grad and id(w) not in ids]
        groups = [{"params": new, "share": 1.0}, {"params": known, "share": 0.4}]
        return torch.optim.AdamW(groups, self.settings.learning_rate, weight_decay=self.settings.weight_decay)

    def _end_epoch(self, loss: float) -> None:
        score = validate(self.mean, self.held, self.settings)
        row = {"epoch": self.step // self.steps_per_epoch, "step": self.step, "loss": loss, **score._asdict()}
        if not self.rows or score.dice > max(old["dice"] for old in self.rows):
            write_atomically({"settings": asdict(self.settings), "state": self.mean.state_dict(), **row}, self.best)
        self.rows.append(row)
        self._save()
        with (self.out / "log.csv").open("w", newline="", encoding="utf-8") as lines:
            table = csv.DictWriter(lines, list(row))
            table.writeheader()
            table.writerows(self.rows)

    def _save(self) -> None:
        parts = {name: getattr(self, name).state_dict() for name in ("network", "mean", "loss", "optimiser")}
        rest = {"settings": asdict(self.settings), "step": self.step, "rows": self.rows}
        write_atomically({**parts, **rest}, self.last)

    def _restore(self) -> None:
        stored = read_checkpoint(self.last)
        if stored["settings"] != asdict(self.settings):
            raise ValueError(
                f"{self.last} was made with other settings; give them again, another --out, or --no-resume"
            )
        for name in ("network", "mean", "loss", "optimiser"):
            getattr(self, name).load_state_dict(stored[name])
        self.step, self.rows, self.classified = stored["step"], stored["rows"], True


def write_atomically(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint, all of it or nothing."""
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content. Raises ValueError where it is missing or damaged."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many kinds: pickle, zip and key errors among them
        raise ValueError(f"{path} is missing or is no checkpoint; run `smartca train` to make one") from error


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Ctrl-C sets the event instead of breaking in, so that a step is never left half done."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.signal(signal.SIGINT, lambda *_: event.set())
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
