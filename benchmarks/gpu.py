"""Everything a GPU can show of smartca, in one JSON: what ran, how fast, and whether it outlined the same tears.

    bash benchmarks/gpu.sh [--find-links WHEELS] [--report R.json]        makes the environment, then calls this
    python benchmarks/gpu.py [--report R.json] [--quick]                  in an environment that is ready

For TensorRT and TensorRT-RTX in every precision: build, start-up, latency at batch 1 with and without copies, two
pictures in flight, memory, masks against fp32 on the CPU. For torch eager, its CUDA graph and torch.compile the same on
SMART-CA-lite (--checkpoint, or random weights, held against themselves on the CPU). Then the whole stream (attach,
serve, view) at 60 and 240 frames/s offered, and 1 to 16 feeds at one engine, with the quickest GPU engine that
outlines the same and with the CPU. Every part is a process of its own. What cannot run is in the JSON as well, with
the reason in the library's own words; the exit code is 1 unless some engine ran on a GPU.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from smartca.engine import SHIPPED_MODEL, EngineError, EngineInfo, Runner, Segmenter, open_runner, whole
from smartca.engine import operating_point as points
from smartca.engine.letterbox import letterbox, to_input
from smartca.engine.machine import gpus, processor
from smartca.files import sha256

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
AHEAD = ("sm80", "sm86", "sm89", "sm120")
PATIENCE_S = 420  # for one part
SAME = 0.995  # Dice with fp32's outlines, from which an engine may be called the same
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
    from smartca.engine.building.assembly import Options
    from smartca.engine.building.build import build_engine

    targets = ("current",) if gpus() or backend == "tensorrt" else AHEAD
    source, told = Path(model), Part()
    if precision == "int8":
        source = Path(model).with_name(f"{Path(model).stem}-int8.onnx")
        if not source.is_file():
            raise FileNotFoundError(f"there is no {source.name} beside the model: calibrate one first")
    out, started = work / f"{backend}-{precision}.engine", time.perf_counter()
    try:
        build_engine(source, Options(backend, precision, targets, out=out), lambda *_: None, work / "cache")
        told |= {"build_s": round(time.perf_counter() - started, 2), "engine_mb": round(out.stat().st_size / 1e6, 2)}
        return {**told, **run(work, lambda: open_runner(out), model, rounds, str(out))}
    except Exception as error:
        return {**told, "targets": targets, "state": "not run", "reason": str(error)}


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


def older_tensorrt(work: Path, model: str, rounds: int, count: int) -> Part:
    """TensorRT 8.6, for GPUs that newer flavours refuse: only the runtime half is ours, the network is weakly typed."""
    from smartca.engine.nvidia.compile import load_library, quiet_logger
    from smartca.engine.nvidia.tensorrt_runner import open_bytes

    trt = load_library("tensorrt")
    log, started = quiet_logger(trt), time.perf_counter()
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
    parser, config = trt.OnnxParser(network, log), builder.create_builder_config()
    if not parser.parse(Path(model).read_bytes()):
        raise RuntimeError(f"TensorRT {trt.__version__} cannot read {Path(model).name}: {parser.get_error(0).desc()}")
    config.clear_flag(trt.BuilderFlag.TF32)
    data = builder.build_serialized_network(network, config)
    if data is None:
        raise RuntimeError(f"TensorRT {trt.__version__} builds nothing: {' '.join(log.errors)}")
    size = int(network.get_input(0).shape[2])
    digest = sha256(Path(model))
    info = EngineInfo(f"tensorrt {trt.__version__}", "fp32", digest, (1, 1, size, size))
    told = {"build_s": round(time.perf_counter() - started, 2)}
    return {**told, **run(work, lambda: open_bytes(bytes(data), "tensorrt", info), model, rounds)}


def torch(work: Path, model: str, rounds: int, count: int, way: str, precision: str, checkpoint: str) -> Part:
    """The same kind of network in torch itself; see `gpu_torch.py`."""
    part: Callable[..., Part] = importlib.import_module("gpu_torch").part
    before = used_memory()
    told = part(way, precision, checkpoint, lambda work: times(work, rounds))
    after = used_memory()
    return {**told, "gpu_memory_mb": None if before is None or after is None else after - before}


def stream(work: Path, model: str, rounds: int, count: int, place: str, fps: float) -> Part:
    """attach, serve and view as processes, at `fps` offered: capture to overlay."""
    report, frames = work / f"stream-{fps}.json", int(fps * (2 if rounds < 100 else 10))
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
    few = ["--scanners", "1,2", "--seconds", "2"] if rounds < 100 else ["--scanners", "1,2,4,8,16", "--seconds", "8"]
    words = [*few, "--fps", "60", "--engine", place, "--report", str(report)]
    done = subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return {"state": "ran", "cores": os.cpu_count(), "runs": json.loads(report.read_text())["runs"]}


PARTS = {f.__name__: f for f in (reference, engine, older_tensorrt, torch, stream, feeds)}


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


def one_part(asked: Part) -> Part:
    """In the part's own process."""
    work = Path(asked.pop("work"))
    try:
        return {"state": "ran", **PARTS[asked.pop("name")](work, **asked)}
    except Exception as error:  # everything that can be wrong on a strange machine belongs in the JSON
        return {"state": "not run", "reason": " ".join(str(error).split())[:600] or type(error).__name__}


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


def whole_program(work: Path, common: Part, checkpoint: str, older: str | None) -> Part:
    """All parts, in order."""
    told: Part = {"reference": apart(work, common, "reference")}
    told["engines"] = [
        apart(work, common, "engine", backend=backend, precision=precision)
        for backend in ("tensorrt", "tensorrt-rtx")
        for precision in ("fp32", "fp16", "int8")
    ]
    if older:
        told["engines"].append(apart(work, common, "older_tensorrt", older))
    told["torch"] = []
    for way, precision in ((way, precision) for way in ("eager", "graph", "compile") for precision in ("fp32", "fp16")):
        before = told["torch"][-1] if told["torch"] else {}
        if "finds no GPU" in before.get("reason", ""):  # torch takes long to say the same again
            told["torch"].append({**before, "way": way, "precision": precision})
            continue
        told["torch"].append(apart(work, common, "torch", way=way, precision=precision, checkpoint=checkpoint))
    sound = [e for e in told["engines"] if e["state"] == "ran" and e["file"] and e["dice_with_fp32"] >= SAME]
    places = [common["model"]]
    places += [e["file"] for e in sorted(sound, key=lambda e: e["with_copies"]["p50_ms"])[:1]]
    told["stream"] = [apart(work, common, "stream", place=p, fps=fps) for p in places for fps in (60.0, 240.0)]
    told["feeds"] = [apart(work, common, "feeds", place=place) for place in places]
    return told


@click.command()
@click.option("--model", type=click.Path(path_type=Path), default=SHIPPED_MODEL)
@click.option("--checkpoint", default="", help="Weights for the torch parts.  [default: random ones]")
@click.option("--report", type=click.Path(path_type=Path), default=Path("gpu.json"), show_default=True)
@click.option("--quick", is_flag=True, help="Few rounds: does it run at all?")
@click.option("--older", metavar="PYTHON", help="A Python with TensorRT 8.6 and smartca, to try that as well.")
@click.option("--notes", type=click.Path(path_type=Path), help="What gpu.sh could not install.")
@click.option("--part", hidden=True)
def main(
    model: Path, checkpoint: str, report: Path, quick: bool, older: str | None, notes: Path | None, part: str | None
) -> None:
    """Run all parts and write the JSON."""
    if part is not None:
        print(json.dumps(one_part(json.loads(part)), default=str))
        return
    common = {"model": str(model.resolve()), "rounds": 30 if quick else 500, "count": 4 if quick else 24}
    told: Part = {"machine": machine(notes)}
    with tempfile.TemporaryDirectory(prefix="smartca-gpu-") as scratch:
        told |= whole_program(Path(scratch), common, checkpoint, older)
    ran = [e for e in told["engines"] if e["state"] == "ran"]
    reasons = [
        f"{e['backend']}: {e['reason']}" for e in told["engines"] if e.get("precision") == "fp32" and e not in ran
    ]
    verdict = f"{len(ran)} TensorRT engines ran" if ran else f"no TensorRT engine ran ({'; '.join(reasons)})"
    report.write_text(json.dumps({"verdict": verdict, **told}, indent=2) + "\n")
    click.echo(f"{verdict}; all of it is in {report}")
    sys.exit(0 if ran else 1)


if __name__ == "__main__":
    main()
