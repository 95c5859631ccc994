"""What a person asks of `smartca adapt`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..pictures.datasets import Labels


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was typed. steps: 0 = as many as fit into `minutes`. size: 0 = the checkpoint's own."""

    folder: Path
    out: Path
    start: Path | None = None
    minutes: float = 5.0
    steps: int = 0
    size: int = 0
    batch: int = 12
    learning_rate: float = 1e-3
    freeze_norm: bool = False
    mask_value: int | None = None
    label: Labels = None
    negatives: Path | None = None
    seeds: int = 60
    validation_seeds: int = 30
    cache: Path | None = None
    threads: int = 2
    seed: int = 1
    int8: bool = True

    def deciding(self) -> str:
        """What of it decides the weights; pictures and checkpoint do too, and are known by their digests."""
        learning = (self.minutes, self.steps, self.size, self.batch, self.learning_rate, self.freeze_norm)
        return repr((*learning, self.seeds, self.validation_seeds, self.seed, self.int8))
