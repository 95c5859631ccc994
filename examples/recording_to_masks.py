"""A recording's masks as PNG files, and its states and times as a table. Prints where they are.

    python examples/recording_to_masks.py [RECORDING.mp4 [FOLDER]]

A recording is what `smartca run ... --record RECORDING.mp4` wrote. Without one, ten frames of the simulated shoulder
are recorded first. FOLDER is masks by default.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import smartca


def record(film: str) -> None:
    """What a person would type."""
    command = ["smartca", "run", "phantom:frames=10", "--headless", "--record", film]
    subprocess.run([sys.executable, "-m", *command], check=True)


def main(film: str = "", folder: str = "masks") -> None:
    """Write a PNG a frame (white is tear) and times.csv; a frame without a result has no PNG."""
    if not film:
        record(film := "recording.mp4")
    place = Path(folder)
    place.mkdir(exist_ok=True)
    with (place / "times.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["frame", "captured_ns", "latency_ms", "state", "confidence"])
        for frame in smartca.read_recording(film):
            rows.writerow([frame.seq, frame.captured_ns, frame.latency_ms, frame.state.value, frame.confidence])
            if frame.mask is not None:
                cv2.imwrite(str(place / f"{frame.seq:05}.png"), frame.mask.astype(np.uint8) * 255)
    print(f"{place}: {len(list(place.glob('*.png')))} masks, and times.csv")


if __name__ == "__main__":
    main(*sys.argv[1:])
