"""How long the phantom takes on one core: python benchmarks/phantom_speed.py [seeds]."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
from statistics import median
from time import perf_counter

from smartca.phantom import Phantom, isotropic, screen

FRAMES = 10
FIRST_SEED = 90_001


def main(seeds: int) -> None:
    """Print the median milliseconds of construction, one frame, and what is made of it."""
    took: dict[str, list[float]] = {
        "construction": [],
        "frame 384 x 256": [],
        "screen": [],
        "isotropic 256": [],
    }

    def clock(what: str, since: float) -> None:
        took[what].append(1e3 * (perf_counter() - since))

    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        start = perf_counter()
        phantom = Phantom(seed)
        clock("construction", start)
        for t in range(FRAMES):
            start = perf_counter()
            frame = phantom.frame(t)
            clock("frame 384 x 256", start)
            start = perf_counter()
            screen(frame)
            clock("screen", start)
            start = perf_counter()
            isotropic(frame, 256)
            clock("isotropic 256", start)
    for what, times in took.items():
        print(f"{what:>16}: median {median(times):6.2f} ms, slowest {max(times):6.2f} ms of {len(times)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 24)
