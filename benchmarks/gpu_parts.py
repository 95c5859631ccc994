"""The parts of `gpu.py`, each of which runs in a process of its own."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from smartca.engine import EngineError, Runner, Segmenter, open_runner, whole
from smartca.engine import operating_point as points
from smartca.engine.letterbox import letterbox, to_input
from smartca.engine.machine import gpus
from smartca.files import sha256

AHEAD = ("sm80", "sm86", "sm89", "sm120")
BATCHES = (1, 2, 4, 8)
CACHE = "SMARTCA_GPU_CACHE"  # a folder for engines, so that a second run need not build them again
Part = dict[str, Any]


def times(work: Callable[[], object], rounds: int) -> Part:
    """p50 and p99 of `work` in ms, after a tenth of the rounds to settle."""
    spent = np.empty(rounds)
    for number in range(-max(3, rounds // 10), rounds):
        started = time.perf_counter()
        work()
        if number >= 0:
            spent[number] = time.perf_counter() - started
    return {
        "p50_ms": round(1e3 * float(np.median(spent)), 3),
        "p99_ms": round(1e3 * float(np.quantile(spent, 0.99)), 3),
    }


def pictures(count: int) -> list[NDArray[np.uint8]]:
    """Simulated shoulders, some of them torn."""
    from smartca.phantom import Phantom

    return [np.asarray(Phantom(90001 + number % 3).frame(17.0 * number).pixels, np.uint8) for number in range(count)]


def used_memory() -> int | None:
    """MiB in use on the GPU, by all."""
    try:
        asked = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        return int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()[0])
    except (OSError, ValueError, IndexError, subprocess.CalledProcessError):
        return None


def answers(segmenter: Segmenter, frames: list[NDArray[np.uint8]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """q and masks of all frames."""
    size = segmenter.runner.info.size
    found = [segmenter.runner.infer(to_input(letterbox(f, whole(f.shape), size))).q for f in frames]
    return np.stack(found), np.stack([segmenter(f, whole(f.shape)).mask for f in frames])


def reference(work: Path, model: str, rounds: int, count: int) -> Part:
    """fp32 in OpenVINO: what all others are held against."""
    frames, started = pictures(count), time.perf_counter()
    with open_runner(Path(model), "fp32") as runner:
        opened = time.perf_counter() - started
        q, masks = answers(Segmenter(runner, runner.point()), frames)
        np.savez(work / "reference.npz", frames=np.stack(frames), q=q, masks=masks)
        image = to_input(letterbox(frames[0], whole(frames[0].shape), runner.info.size))
        report = runner.info.as_report()
        latency = times(lambda: runner.infer(image), min(rounds, 100))
    return {"engine": report, "open_s": round(opened, 3), "latency": latency, "outlined_pixels": int(masks.sum())}


def agreement(work: Path, runner: Runner, model: str, digest: str) -> Part:
    """How far q and outlines are from the reference's, at the model's own operating point."""
    with np.load(work / "reference.npz") as kept:
        wanted_q, wanted, frames = kept["q"], kept["masks"], list(kept["frames"])
    q, masks = answers(Segmenter(runner, points.load_point(Path(model), digest)), frames)
    both = int((masks & wanted).sum())
    return {
        "frames": len(frames),
        "q_largest_difference": round(float(np.abs(q - wanted_q).max()), 5),
        "pixels_that_differ": round(float((masks != wanted).mean()), 7),
        "dice_with_fp32": round(2 * both / max(1, int(masks.sum() + wanted.sum())), 5),
    }


def engine(work: Path, model: str, rounds: int, count: int, backend: str, precision: str) -> Part:
    """Build an engine and run it: what must fail, fails with the library's words."""
    told = Part()
    try:
        out, told = made(work, model, backend, precision)
        return {**told, **run(work, lambda: open_runner(out), model, rounds, str(out))}
    except Exception as error:
        return {**told, "state": "not run", "reason": str(error)}


def made(work: Path, model: str, backend: str, precision: str, batch: int = 1) -> tuple[Path, Part]:
    """An engine for the GPU that is here, else, by TensorRT-RTX, for others; how long it took, unless it was there."""
    from smartca.engine.building.assembly import Options
    from smartca.engine.building.build import build_engine

    source, targets = Path(model), ("current",) if gpus() or backend == "tensorrt" else AHEAD
    if precision == "int8":
        source = Path(model).with_name(f"{Path(model).stem}-int8.onnx")
        if not source.is_file():
            raise FileNotFoundError(f"there is no {source.name} beside the model: calibrate one first")
    out = work / f"{backend}-{precision}-{batch}.engine"
    options = Options(backend, precision, targets, batch=batch, out=out)
    steps, started = list[str](), time.perf_counter()
    build_engine(source, options, lambda phase, *_: steps.append(phase), Path(os.environ.get(CACHE, work / "cache")))
    took = round(time.perf_counter() - started, 2) if steps else None
    return out, {"build_s": took, "engine_mb": round(out.stat().st_size / 1e6, 2)}


def run(work: Path, opened: Callable[[], Any], model: str, rounds: int, place: str = "") -> Part:
    """Start-up, agreement, latency and memory of a TensorRT runner."""
    before, started = used_memory(), time.perf_counter()
    with opened() as runner:
        told: Part = {"state": "ran", "file": place, "open_s": round(time.perf_counter() - started, 3)}
        told |= {"cuda_graph": runner.without_graph or True, "engine": runner.info.as_report()}
        told |= agreement(work, runner, model, sha256(Path(model)))
        image = np.random.default_rng(0).random(runner.info.input, np.float32)
        lane = runner.lanes[0]

        def without_copies() -> None:
            lane.compute()  # by a graph as well, where the lane has one
            lane.wait()

        def next_of_two() -> None:
            runner.start(image)
            runner.finish()

        told["with_copies"] = times(lambda: runner.infer(image), rounds)
        runner.start(image)
        two = times(next_of_two, rounds)
        runner.finish()
        told["two_in_flight"] = {**two, "frames_per_second": round(1e3 / two["p50_ms"], 1)}
        after = used_memory()
        told["gpu_memory_mb"] = None if before is None or after is None else after - before
        try:  # at last: it captures a second graph from the lane's context
            told["without_copies"] = times(without_copies, rounds)
        except EngineError as error:
            told["without_copies"] = {"state": "not run", "reason": str(error)}
        return told


def batches(work: Path, model: str, rounds: int, count: int, backend: str, precision: str) -> Part:
    """1 to 8 pictures at once in one engine, with copies: would several scanners gain by being computed together?"""
    from smartca.engine.nvidia.device import open_device
    from smartca.engine.nvidia.lane import Lane
    from smartca.engine.nvidia.network import TensorRtNetwork

    most = BATCHES[-1]
    out, told = made(work, model, backend, precision, most)
    told["runs"] = []
    for pictures in BATCHES:
        device = open_device()
        network = TensorRtNetwork(out.read_bytes(), backend, device, pictures=pictures)
        lane = Lane(device, network)
        lane.warm_up(5)

        def once(lane: Lane = lane) -> None:
            lane.launch()
            lane.wait()

        taken = times(once, rounds)
        per_second = round(1e3 * pictures / taken["p50_ms"])
        told["runs"].append({"pictures": pictures, **taken, "pictures_per_second": per_second})
        lane.close()
        network.close()
        device.close()
    return told


def packages(work: Path, model: str, rounds: int, count: int, place: str, package: str) -> Part:
    """The engine at `place` through one package to the driver alone."""
    if not package.startswith("pycuda"):  # which would come first
        sys.modules["pycuda"] = None  # type: ignore[assignment]
    importlib.import_module(package)
    return run(work, lambda: open_runner(Path(place)), model, rounds, place)


def torch(work: Path, model: str, rounds: int, count: int, way: str, precision: str, checkpoint: str) -> Part:
    """The same kind of network in torch itself; see `gpu_torch.py`."""
    part: Callable[..., Part] = importlib.import_module("gpu_torch").part
    before = used_memory()
    told = part(way, precision, checkpoint, lambda work: times(work, rounds))
    after = used_memory()
    return {**told, "gpu_memory_mb": None if before is None or after is None else after - before}


def stream(work: Path, model: str, rounds: int, count: int, place: str, fps: float) -> Part:
    """attach, serve and view as processes, at `fps` offered: capture to overlay."""
    report, frames = work / f"stream-{fps}.json", int(fps * (2 if rounds < 100 else 6))
    words = ["demo", "--headless", "--fps", str(fps), "--frames", str(frames), "--engine", place]
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "smartca", *words, "--report", str(report)], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    found = json.loads(report.read_text())
    kept = ("engine", "frames", "states", "latency_ms", "fps", "first_overlay_s", "restarts")
    told = {"state": "ran", "fps_offered": fps, "wall_s": round(time.perf_counter() - started, 1)}
    return {**told, **{name: found.get(name) for name in kept}}


def feeds(work: Path, model: str, rounds: int, count: int, place: str) -> Part:
    """1 to 16 feeds at one engine."""
    script, report = Path(__file__).with_name("scanners.py"), work / "feeds.json"
    few = ["--scanners", "1,2", "--seconds", "2"] if rounds < 100 else ["--scanners", "1,4,16", "--seconds", "4"]
    words = [*few, "--fps", "60", "--engine", place, "--report", str(report)]
    done = subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return {"state": "ran", "cores": os.cpu_count(), "runs": json.loads(report.read_text())["runs"]}


PARTS = {f.__name__: f for f in (reference, engine, batches, packages, torch, stream, feeds)}


def one_part(asked: Part) -> Part:
    """In the part's own process."""
    work = Path(asked.pop("work"))
    try:
        return {"state": "ran", **PARTS[asked.pop("name")](work, **asked)}
    except Exception as error:  # everything that can be wrong on a strange machine belongs in the JSON
        return {"state": "not run", "reason": " ".join(str(error).split())[:600] or type(error).__name__}
