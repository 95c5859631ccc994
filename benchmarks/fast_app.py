"""FAST's side of `vs_fast.py`: one pass over a folder of frames, in FAST's own environment. It imports nothing of ours.

    python benchmarks/fast_app.py --model M.onnx --frames DIR/frame_#.png --size 432 --out R.json [--draw]

The pipeline is the one of FAST's own examples: ImageFileStreamer -> SegmentationNetwork (OpenVINO on the CPU, all its
cores, nothing set by us) -> with --draw ImageRenderer and SegmentationRenderer -> RenderToImage, offscreen. FAST reads
files in a thread of its own; every frame is processed, and each result is taken by `DataStream` as soon as it is there.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="ONNX file with one input and one output")
    parser.add_argument("--frames", required=True, help="pattern with # for the number, from 0")
    parser.add_argument("--size", type=int, required=True, help="side of the drawn picture, in pixels")
    parser.add_argument("--threshold", type=float, default=0.5, help="of the network's output")
    parser.add_argument("--out", type=Path, required=True, help="JSON with the time of every result")
    parser.add_argument("--draw", action="store_true", help="draw mask and frame offscreen")
    parser.add_argument("--heatmaps", type=Path, help="write the network's output for every frame instead of masks")
    parser.add_argument("--last", type=Path, help="write the last result as a .npy file")
    return parser.parse_args()


def pipeline(fast: Any, asked: argparse.Namespace) -> Any:
    """The last process object of the pipeline."""
    # FAST takes 8-bit grey PNG files for colour; raw MetaImages it takes as they are
    grey = not asked.frames.endswith(".mhd")
    streamer = fast.ImageFileStreamer.create(asked.frames, loop=False, grayscale=grey)
    network = fast.SegmentationNetwork.create(
        asked.model,
        scaleFactor=1.0 / 255.0,
        heatmapOutput=asked.heatmaps is not None,
        threshold=asked.threshold,
        hasBackgroundClass=False,
        inferenceEngine="OpenVINO",
    ).connect(streamer)
    if not asked.draw:
        return network
    picture = fast.ImageRenderer.create().connect(streamer)
    mask = fast.SegmentationRenderer.create().connect(network)
    return fast.RenderToImage.create(fast.Color.Black(), asked.size, asked.size).connect([picture, mask])


def main() -> None:
    """Run the pipeline once and write when each result was there."""
    asked = options()
    fast: Any = importlib.import_module("fast")
    sink = pipeline(fast, asked)
    ready_ns = time.monotonic_ns()
    numpy: Any = importlib.import_module("numpy") if asked.heatmaps or asked.last else None
    stamps, kept, result = [], [], None
    for result in fast.DataStream(sink):
        stamps.append(time.monotonic_ns())
        if asked.heatmaps:
            kept.append(numpy.asarray(result).squeeze().copy())
    if asked.heatmaps:
        numpy.save(asked.heatmaps, numpy.array(kept))
    if asked.last:
        numpy.save(asked.last, numpy.asarray(result))
    found = {"fast": metadata.version("pyfast"), "python": sys.version.split()[0], "ready_ns": ready_ns}
    asked.out.write_text(json.dumps({**found, "stamps_ns": stamps}))
    sys.stdout.flush()
    os._exit(0)  # its window system takes seconds to end, or never does; that shall not count against it


if __name__ == "__main__":
    main()
