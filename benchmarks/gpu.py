"""Everything a GPU can show of smartca, in one JSON: what ran, how fast, and whether it outlined the same tears.

    bash benchmarks/gpu.sh [--find-links WHEELS] [--report R.json]        makes the environment, then calls this
    python benchmarks/gpu.py [--report R.json] [--quick] [--parts more,torch,stream,feeds]   in one that is ready

For TensorRT and TensorRT-RTX in every precision: build, start-up, latency at batch 1 with and without copies, two
pictures in flight, memory, masks against fp32 on the CPU; 1 to 8 pictures at once; through pycuda and through
cuda-bindings alone. For torch eager, its CUDA graph and torch.compile the same on SMART-CA-lite (--checkpoint, or
random weights, held against themselves on the CPU). Then the whole stream (attach, serve, view) at 60 and 240 frames/s
offered, and 1 to 16 feeds at one engine, with the quickest GPU engine that outlines the same and with the CPU. Every
part (`gpu_parts.py`) is a process of its own, and the JSON is written anew after each. What cannot run is in the JSON
as well, with the reason in the library's own words; the exit code is 1 unless some engine ran on a GPU.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any

import click
from gpu_parts import Part, one_part
from smartca.engine import SHIPPED_MODEL
from smartca.engine.machine import gpus, processor

PACKAGES = (
    "smartca",
    "openvino",
    "onnx",
    "onnxruntime",
    "tensorrt",
    "tensorrt-rtx",
    "pycuda",
    "cuda-bindings",
    "torch",
)
FILES = ("file", "place", "checkpoint")  # what in a report is a path
PATIENCE_S = 420  # for one part
SAME = 0.995  # Dice with fp32's outlines, from which an engine may be called the same


def apart(work: Path, common: Part, name: str, python: str = sys.executable, **more: object) -> Part:
    """A part in a process of its own: whatever becomes of it, the next one starts sound."""
    told = {**more, "part": name}
    click.echo(f"{name} {' '.join(map(str, more.values()))}: ", nl=False)
    asked = json.dumps({"name": name, "work": str(work), **common, **more})
    started, said = time.perf_counter(), ""
    try:
        words = [python, __file__, "--part", asked]
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S)
        said = f"it ended with code {done.returncode}: {done.stderr.strip()[-400:]}"
        told |= json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        told |= {"state": "failed", "reason": f"no end within {PATIENCE_S} s"}
    except (OSError, IndexError, ValueError) as error:
        told |= {"state": "failed", "reason": said or str(error)}
    told["part_s"] = round(time.perf_counter() - started, 1)
    click.echo(told.get("reason") or told.get("state"))
    return told


def machine(notes: Path | None) -> Part:
    """What this ran on, and what could not be installed."""
    found = {"platform": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    gpu = [{"name": g.name, "target": g.target, "driver": g.driver, "memory_mb": g.memory} for g in gpus()]
    told = notes.read_text().splitlines() if notes and notes.is_file() else []
    return {**found, "processor": processor().name, "gpus": gpu, "versions": versions, "installing": told}


@dataclass(frozen=True)
class Asked:
    """What the command line asks for. torch_python: the Python for the parts in torch."""

    checkpoint: str
    torch_python: str
    precisions: list[str]
    parts: list[str]


def whole_program(work: Path, common: Part, asked: Asked) -> Iterator[Part]:
    """All parts, in order, as far as they are done."""
    told: Part = {"reference": apart(work, common, "reference"), "engines": []}
    for backend, precision in product(("tensorrt", "tensorrt-rtx"), asked.precisions):
        told["engines"].append(apart(work, common, "engine", backend=backend, precision=precision))
        yield told
    ran = [e for e in told["engines"] if e["state"] == "ran" and e["dice_with_fp32"] >= SAME]
    quickest = sorted(ran, key=lambda e: e["with_copies"]["p50_ms"])[:1]
    places = [common["model"], *(e["file"] for e in quickest)]
    if "more" in asked.parts and quickest:
        kind = {name: quickest[0][name] for name in ("backend", "precision")}
        told["batches"] = apart(work, common, "batches", **kind)
        packages = ("pycuda.driver", "cuda.bindings.driver")
        told["packages"] = [apart(work, common, "packages", place=places[-1], package=name) for name in packages]
        yield told
    if "stream" in asked.parts:
        told["stream"] = [apart(work, common, "stream", place=p, fps=fps) for p in places for fps in (60.0, 240.0)]
        yield told
    if "feeds" in asked.parts:
        told["feeds"] = [apart(work, common, "feeds", place=place) for place in reversed(places)]
        yield told
    if "torch" in asked.parts:
        for parts in torch_parts(work, common, asked.checkpoint, asked.torch_python):
            told["torch"] = parts
            yield told


def torch_parts(work: Path, common: Part, checkpoint: str, python: str) -> Iterator[list[Part]]:
    """Each way in each precision, as far as they are done."""
    told: list[Part] = []
    for way, precision in product(("eager", "graph", "compile"), ("fp32", "fp16")):
        before = told[-1] if told else {}
        if "finds no GPU" in before.get("reason", ""):  # torch takes long to say the same again
            told.append({**before, "way": way, "precision": precision})
        else:
            told.append(apart(work, common, "torch", python, way=way, precision=precision, checkpoint=checkpoint))
        yield told


def by_name(told: Any) -> Any:
    """The same with its files by their names: a report goes where nobody's folders belong."""
    if isinstance(told, dict):
        named = {key: Path(value).name if key in FILES and value else value for key, value in told.items()}
        return {key: by_name(value) for key, value in named.items()}
    return [by_name(each) for each in told] if isinstance(told, list) else told


def verdict(told: Part) -> str:
    """In one sentence."""
    ran = [e for e in told["engines"] if e["state"] == "ran"]
    if ran:
        return f"{len(ran)} TensorRT engines ran"
    fp32 = [e for e in told["engines"] if e.get("precision") == "fp32"]
    reasons = "; ".join(f"{e['backend']}: {e['reason']}" for e in fp32)
    return f"no TensorRT engine ran ({reasons})"


@click.command()
@click.option("--model", type=click.Path(path_type=Path), default=SHIPPED_MODEL)
@click.option("--checkpoint", default="", help="Weights for the torch parts.  [default: random ones]")
@click.option("--report", type=click.Path(path_type=Path), default=Path("gpu.json"), show_default=True)
@click.option("--quick", is_flag=True, help="Few rounds: does it run at all?")
@click.option("--torch", "torch_python", metavar="PYTHON", default=sys.executable, help="A Python with torch.")
@click.option("--precisions", default="fp32,fp16,int8", show_default=True, help="Which engines, with commas.")
@click.option(
    "--parts", default="more,torch,stream,feeds", show_default=True, help="What to try besides engines, with commas."
)
@click.option("--notes", type=click.Path(path_type=Path), help="What gpu.sh could not install.")
@click.option("--part", hidden=True)
def main(
    model: Path,
    checkpoint: str,
    report: Path,
    quick: bool,
    torch_python: str,
    precisions: str,
    parts: str,
    notes: Path | None,
    part: str | None,
) -> None:
    """Run all parts and write the JSON."""
    if part is not None:
        print(json.dumps(one_part(json.loads(part)), default=str))
        return
    common = {"model": str(model.resolve()), "rounds": 30 if quick else 500, "count": 4 if quick else 24}
    told: Part = {"machine": machine(notes)}
    asked = Asked(checkpoint, torch_python, precisions.split(","), parts.split(","))
    with tempfile.TemporaryDirectory(prefix="smartca-gpu-") as scratch:
        for done in whole_program(Path(scratch), common, asked):
            told |= done  # what is done is kept, whatever becomes of the rest
            report.write_text(json.dumps({"verdict": verdict(told), **by_name(told)}, indent=2) + "\n")
    click.echo(f"{verdict(told)}; all of it is in {report}")
    sys.exit(0 if verdict(told).endswith("ran") else 1)


if __name__ == "__main__":
    main()
