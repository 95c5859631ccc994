"""Several scanners on one engine, on one workstation: what each of them is shown, and how late.

    python benchmarks/scanners.py [--scanners 1,2,4,8] [--fps 30] [--seconds 10] [--engine E] [--report R.json]

One `smartca serve`; for every scanner one `smartca attach` that brings pictures of a phantom at --fps as a live feed
(the newest frame wins) and one headless `smartca view` that draws its outlines: all of them on this machine, so that
the figures hold what decoding and drawing take as well. Feeds take turns at the engine. `fps` is of each scanner's
shown frames, `share` how much of what was captured was shown, `least` of the scanner that was worst off.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from smartca.engine import SHIPPED_MODEL
from smartca.engine.machine import versions
from smartca.phantom import Phantom

DIFFERENT = 60  # pictures of the phantom; they repeat


def smartca(folder: Path, *arguments: object) -> subprocess.Popen[bytes]:
    """A command of its own; what it says goes to a file."""
    words = (folder / "words").open("ab")
    with words:
        return subprocess.Popen([sys.executable, "-m", "smartca", *map(str, arguments)], stderr=words, stdout=words)


def draw(folder: Path) -> list[Path]:
    """The phantom's pictures as PNG files."""
    files = []
    for number in range(DIFFERENT):
        files.append(folder / f"{number:03}.png")
        pixels = np.asarray(Phantom(90001).frame(240.0 * number / DIFFERENT).pixels, np.uint8)
        cv2.imwrite(str(files[-1]), pixels)
    return files


def measure(files: list[Path], scanners: int, fps: float, seconds: float, engine: list[str]) -> dict[str, Any]:
    """All scanners at once, once."""
    with tempfile.TemporaryDirectory(prefix="smartca-scanners-") as scratch:
        folder = Path(scratch)
        names = [f"scanner-{number}" for number in range(scanners)]
        for name in names:
            (folder / name).mkdir()
            for number in range(round(fps * seconds)):
                (folder / name / f"{number:06}.png").hardlink_to(files[number % len(files)])
        into, out = f"ipc://{folder}/in", f"ipc://{folder}/out"
        serve = smartca(folder, "serve", "--bind", into, "--publish", out, *engine)
        views = [
            smartca(folder, "view", "--from", out, "--source", name, "--headless", "--report", folder / f"{name}.json")
            for name in names
        ]
        attaches = [smartca(folder, "attach", folder / name, "--to", into, "--fps", fps) for name in names]
        try:
            codes = [process.wait() for process in [*attaches, *views]]
            serve.send_signal(signal.SIGINT)
            codes.append(serve.wait())
        finally:
            for process in (serve, *views, *attaches):
                process.kill()
        if any(codes):
            raise click.ClickException((folder / "words").read_text(errors="replace").strip().splitlines()[-1])
        return summary([json.loads((folder / f"{name}.json").read_text()) for name in names])


def summary(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Over the scanners of one run."""
    shares = [report["frames"]["shown"] / report["frames"]["captured"] for report in reports]
    speeds = [report["fps"] or 0.0 for report in reports]
    drops: Counter[str] = Counter()
    for report in reports:
        drops.update(report["frames"]["dropped"])
    return {
        "scanners": len(reports),
        "engine": reports[0]["engine"],
        "fps_together": round(sum(speeds), 1),
        "fps": round(statistics.median(speeds), 2),
        "fps_least": min(speeds),
        "share": round(statistics.mean(shares), 4),
        "share_least": round(min(shares), 4),
        "p50_ms": statistics.median(report["latency_ms"]["p50"] for report in reports),
        "p50_ms_worst": max(report["latency_ms"]["p50"] for report in reports),
        "p99_ms_worst": max(report["latency_ms"]["p99"] for report in reports),
        "captured": sum(report["frames"]["captured"] for report in reports),
        "shown": sum(report["frames"]["shown"] for report in reports),
        "dropped": dict(drops),
        "no_result": sum(report["states"]["no_result"] for report in reports),
    }


@click.command()
@click.option("--scanners", default="1,2,4,8", show_default=True, help="How many at once, one run each.")
@click.option("--fps", type=click.FloatRange(1, 240), default=30.0, show_default=True, help="Of each scanner.")
@click.option("--seconds", type=click.FloatRange(1, 600), default=10.0, show_default=True)
@click.option("--engine", default=str(SHIPPED_MODEL), help="As for smartca serve.  [default: the shipped model]")
@click.option("--precision", default="auto", show_default=True)
@click.option("--threads", default=0, help="Of the engine.  [default: all cores but one]")
@click.option("--report", type=click.Path(path_type=Path))
def main(
    scanners: str, fps: float, seconds: float, engine: str, precision: str, threads: int, report: Path | None
) -> None:
    """Measure and print."""
    load, runs = os.getloadavg()[0], []
    arguments = ["--engine", engine, "--precision", precision, "--threads", str(threads)]
    with tempfile.TemporaryDirectory() as scratch:
        files = draw(Path(scratch))
        for count in map(int, scanners.split(",")):
            runs.append(measure(files, count, fps, seconds, arguments))
            told = {key: value for key, value in runs[-1].items() if key not in ("engine", "dropped")}
            print("  ".join(f"{key} {value}" for key, value in told.items()), flush=True)
    print(f"load of the machine before: {load:.2f} on {os.cpu_count()} cores")
    if report:
        body = {"cores": os.cpu_count(), "fps": fps, "seconds": seconds, "load_before": load, "runs": runs}
        report.write_text(json.dumps({**body, "versions": versions()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
