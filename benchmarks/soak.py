"""Does a stream that runs for long grow, or lose count?

    python benchmarks/soak.py [--minutes 60] [--fps 60] [--kill-every 10] [--json R.json]

One `smartca run` of the simulated shoulder, live and headless. Once a second the memory (RSS), threads and open files
of each of its processes are read. Compared are the medians of the second minute and of the last. With --kill-every one
of the three processes is killed (-9) every so many seconds, in turn; then all processes are young, and only the count
of frames is judged. Targets: memory grows by less than 1 %, threads and files by none, and each captured frame
is shown or has its cause in the report.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import click
from smartca.engine.machine import processor

GROWS = 0.01
WARM_UP_S = 60


class Reading(NamedTuple):
    """Of all processes of the run, summed."""

    at_s: float
    memory_mb: float
    threads: int
    files: int


def family(pid: int) -> list[int]:
    """The run's processes."""
    found = [pid]
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(entry.read_text().rsplit(") ", 1)[1].split()[1]) == pid:
                found.append(int(entry.parent.name))
        except (OSError, IndexError, ValueError):
            continue
    return found


def read(pids: list[int], began: float) -> Reading:
    """Their memory, threads and files now."""
    memory, threads, files = 0.0, 0, 0
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            files += len(list(Path(f"/proc/{pid}/fd").iterdir()))
        except OSError:
            continue
        memory += int(status.split("VmRSS:")[1].split()[0]) / 1024
        threads += int(status.split("Threads:")[1].split()[0])
    return Reading(time.monotonic() - began, memory, threads, files)


def soaked(minutes: float, fps: float, kill_every: float) -> dict[str, object]:
    """Run, and read."""
    readings: list[Reading] = []
    killed = 0
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "r.json"
        words = ["run", "phantom:seed=90001", "--headless", "--fps", str(fps), "--report", str(report)]
        with (Path(folder) / "words").open("wb") as said:
            run = subprocess.Popen([sys.executable, "-m", "smartca", *words], stdout=said, stderr=said)
        began = time.monotonic()
        while time.monotonic() - began < 60 * minutes and run.poll() is None:
            time.sleep(1.0)
            pids = family(run.pid)
            readings.append(read(pids, began))
            if kill_every and readings[-1].at_s > WARM_UP_S / 2 + kill_every * (killed + 1):
                os.kill(pids[1 + killed % (len(pids) - 1)], signal.SIGKILL)
                killed += 1
        run.send_signal(signal.SIGINT)
        run.wait(60)
        found = json.loads(report.read_text())
    frames = found["frames"]
    first = [one for one in readings if WARM_UP_S <= one.at_s < 2 * WARM_UP_S]
    last = [one for one in readings if one.at_s >= readings[-1].at_s - 60]

    def both(what: str) -> list[float]:
        return [statistics.median(getattr(one, what) for one in part) for part in (first, last)]

    return {
        "minutes": minutes,
        "fps": fps,
        "killed": killed,
        "restarts": found["restarts"],
        "frames": frames,
        "unaccounted": frames["captured"] - frames["shown"] - sum(frames["dropped"].values()),
        "latency_ms": found["latency_ms"],
        "memory_mb": both("memory_mb"),
        "threads": both("threads"),
        "files": both("files"),
    }


@click.command()
@click.option("--minutes", default=60.0, show_default=True, help="At least 3.")
@click.option("--fps", default=60.0, show_default=True)
@click.option("--kill-every", default=0.0, show_default=True, help="Seconds; 0 kills nothing.")
@click.option("--json", "out", type=click.Path(path_type=Path))
def main(minutes: float, fps: float, kill_every: float, out: Path | None) -> None:
    """See the module's words."""
    load = os.getloadavg()[0]
    found = soaked(minutes, fps, kill_every)
    for name, value in found.items():
        print(f"{name:12} {value}")
    memory, threads, files = (found[name] for name in ("memory_mb", "threads", "files"))
    assert isinstance(memory, list) and isinstance(threads, list) and isinstance(files, list)
    grew = memory[1] / memory[0] - 1
    steady = bool(kill_every) or (grew < GROWS and threads[0] == threads[1] and files[0] == files[1])
    well = steady and found["unaccounted"] == 0
    print(f"memory grew by {grew:+.2%}; {'as wanted' if well else 'NOT as wanted'}")
    print(f"load of the machine before: {load:.2f} on {os.cpu_count()} cores")
    if out is not None:
        body = {**found, "grew": grew, "well": well, "load": load, "processor": processor()}
        out.write_text(json.dumps({**body, "python": platform.python_version()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
