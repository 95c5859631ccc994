"""`smartca bench`: how fast one model runs here, in every precision, and whether the answers agree."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .runner import open_runner

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, slots=True)
class Timing:
    """One engine's figures, times in ms; `largest_difference` is of q against fp32 over the same pictures."""

    backend: str
    precision: str
    open_ms: float
    p50_ms: float
    p99_ms: float
    frames_per_second: float
    largest_difference: float
    pixels_that_differ: float

    def as_report(self) -> dict[str, str | float]:
        """JSON types."""
        return asdict(self)


def bench(
    model: Path, rounds: int, threads: int, pictures: list[NDArray[np.float32]], tick: Callable[[], None]
) -> list[Timing]:
    """Time `rounds` inferences over `pictures` (each float32 (1, 1, size, size)) in every precision.

    `tick` is called after each inference. Raises EngineError.
    """
    answers: dict[str, list[NDArray[np.float32]]] = {}
    timings = []
    for precision in PRECISIONS:
        started = time.perf_counter()
        with open_runner(model, precision, threads) as runner:
            opened = time.perf_counter() - started
            spent = np.empty(rounds)
            for number in range(rounds):
                picture = pictures[number % len(pictures)]
                started = time.perf_counter()
                runner.infer(picture)
                spent[number] = time.perf_counter() - started
                tick()
            answers[precision] = [runner.infer(picture).q for picture in pictures]
            pairs = list(zip(answers[precision], answers[PRECISIONS[0]], strict=True))
            timings.append(
                Timing(
                    runner.info.backend,
                    precision,
                    round(opened * 1e3, 1),
                    round(float(np.median(spent)) * 1e3, 2),
                    round(float(np.percentile(spent, 99)) * 1e3, 2),
                    round(1.0 / float(spent.mean()), 1),
                    round(max(float(np.abs(mine - other).max()) for mine, other in pairs), 4),
                    float(np.mean([np.mean((mine >= 0.5) != (other >= 0.5)) for mine, other in pairs])),
                )
            )
    return timings
