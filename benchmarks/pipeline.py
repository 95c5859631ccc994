"""What the whole path costs beyond bare inference, in one run, on the same frames and the same model.

    python benchmarks/pipeline.py [--frames 400] [--rounds 5] [--report R.json]

Bare: the engine alone, frame after frame, on inputs made ready beforehand. Path: the same frames from an
attach process through serve to a headless view (three processes, ipc, outline drawn), as a file: every frame,
as fast as the engine goes; its cost a frame is the time from the first overlay to the last, over the frames
between. Rounds alternate, since two noisy cores drift; medians are compared.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import click
import numpy as np
from smartca.engine import SHIPPED_MODEL, Sector, open_runner
from smartca.engine.letterbox import letterbox, to_input
from smartca.stream.sources import open_source


def bare_ms(model: Path, threads: int, frames: int) -> float:
    """Milliseconds a frame of inference alone (mean over `frames`, as the path's figure is)."""
    with open_runner(model, threads=threads) as runner, open_source("phantom:") as source:
        sector = source.sector or Sector(0, 0, 640, 480)
        pictures = islice(source.pictures(), 60)
        inputs = [to_input(letterbox(p.pixels, sector, runner.info.size)) for p in pictures]
        started = time.perf_counter()
        for number in range(frames):
            runner.infer(inputs[number % len(inputs)])
        return 1e3 * (time.perf_counter() - started) / frames


def path_ms(model: Path, threads: int, frames: int) -> tuple[float, float]:
    """Milliseconds a frame of the whole path, and its median capture-to-overlay latency."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "r.json"
        command = [sys.executable, "-m", "smartca", "demo", "--headless", "--frames", str(frames)]
        command += ["--model", str(model), "--threads", str(threads), "--report", str(report)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found = json.loads(report.read_text())
    assert found["frames"]["shown"] == frames, found["frames"]
    return 1e3 / found["fps"], found["latency_ms"]["p50"]


@click.command()
@click.option("--model", type=click.Path(path_type=Path), default=SHIPPED_MODEL)
@click.option("--threads", default=0, help="Of the engine, in both.")
@click.option("--frames", default=400, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--report", type=click.Path(path_type=Path))
def main(model: Path, threads: int, frames: int, rounds: int, report: Path | None) -> None:
    """Measure and print."""
    bare, path, latency = [], [], []
    for _ in range(rounds):
        bare.append(bare_ms(model, threads, frames))
        cost, p50 = path_ms(model, threads, frames)
        path.append(cost)
        latency.append(p50)
        print(f"bare {bare[-1]:6.2f} ms   path {path[-1]:6.2f} ms   ratio {path[-1] / bare[-1]:.2f}", flush=True)
    one, whole = statistics.median(bare), statistics.median(path)
    print(f"median: bare {one:.2f} ms, path {whole:.2f} ms: ratio {whole / one:.2f}, {whole - one:+.2f} ms")
    print(f"capture to overlay, two frames in flight: median of p50 {statistics.median(latency):.1f} ms")
    if report:
        figures = {"bare_ms": bare, "path_ms": path, "ratio": whole / one, "more_ms": whole - one}
        report.write_text(json.dumps({**figures, "numpy": np.__version__}, indent=2) + "\n")


if __name__ == "__main__":
    main()
