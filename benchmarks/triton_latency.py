"""What a Triton server adds to each picture, with and without shared memory, and how long it is missed after kill -9.

    SMARTCA_PYTRITON=ENV python benchmarks/triton_latency.py [--rounds 300] [--streams 3] [--report R.json]

ENV is the environment that tests/support/triton_server.py describes. The same pictures go, in turn, to a local OpenVINO
runner, to the server through shared memory and to the server through the socket; the server runs the same OpenVINO
with the same precision and threads, and its answers are compared bit for bit. `added` is what a way takes more than
the local runner: in the median, the 99th percentile and the fastest tenth (what a machine without other work shows).
A network of one layer shows the way alone, with hardly any inference. Then the same ways under the whole stream:
`smartca demo --headless --fps 30`, capture to overlay, --streams runs of each in turn, medians of their percentiles.
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import click
import numpy as np
from smartca.engine import SHIPPED_MODEL, EngineError, Runner, open_runner, whole
from smartca.engine.letterbox import letterbox, to_input
from smartca.engine.triton.config import Serving
from smartca.engine.triton.repository import write_repository
from smartca.engine.triton.session import client_package
from smartca.engine.triton.triton_runner import TritonRunner
from smartca.phantom import Phantom

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
brightness_network: Any = importlib.import_module("support.networks").brightness_network
real: Any = importlib.import_module("support.triton_server")

TIMEOUT_S = 10.0  # what is too slow shall be in the figures, not missing from them
BLOCK = 10  # pictures in a row on each way
Figures = dict[str, float | int | bool]


def pictures(size: int) -> list[np.ndarray]:
    """float32 (1, 1, size, size) of a phantom."""
    frames = [np.asarray(Phantom(90001).frame(float(t)).pixels, np.uint8) for t in range(0, 240, 30)]
    return [to_input(letterbox(frame, whole(frame.shape), size)) for frame in frames]


def measure(model: Path, server: Any, threads: int, blocks: int) -> dict[str, Figures]:
    """Times in ms of every way: `blocks` of pictures in turn, after one that does not count."""
    with (
        open_runner(model, "fp32", threads) as local,
        TritonRunner(server.url, timeout_s=TIMEOUT_S) as shared,
        TritonRunner(f"{server.url}?memory=off", timeout_s=TIMEOUT_S) as plain,
    ):
        if not shared.shares_memory:
            raise click.ClickException("the server could not map shared memory; nothing to compare")
        images = pictures(local.info.size)
        wanted = [local.infer(image).q for image in images]
        ways = {"local": Way(local), "triton, shared memory": Way(shared), "triton, socket": Way(plain)}
        for block in range(-1, blocks):
            for way in ways.values():
                before = server.cpu_s()
                for number in range(BLOCK):
                    way.ask(images[number % len(images)], wanted[number % len(images)], block >= 0)
                way.server_s += server.cpu_s() - before if block >= 0 else 0.0
    return {name: way.figures(ways["local"]) for name, way in ways.items()}


class Way:
    """One way to an answer, and what it took."""

    def __init__(self, runner: Runner) -> None:
        self.runner, self.equal = runner, True
        self.spent: list[float] = []
        self.client_s = self.server_s = 0.0

    def ask(self, image: np.ndarray, wanted: np.ndarray, counts: bool) -> None:
        """One picture."""
        started, cpu = time.perf_counter(), time.process_time()
        q = self.runner.infer(image).q
        if counts:
            self.spent.append(1e3 * (time.perf_counter() - started))
            self.client_s += time.process_time() - cpu
        self.equal &= bool(np.array_equal(q, wanted))

    def figures(self, local: Way) -> Figures:
        """ms a picture. The processor's time, other than the clock's, does not depend on what else the machine does."""
        mine, its = np.array(self.spent), np.array(local.spent)
        count = len(mine)
        return {
            "median_ms": round(float(np.median(mine)), 2),
            "p99_ms": round(float(np.percentile(mine, 99)), 2),
            "fastest_tenth_ms": round(float(np.percentile(mine, 10)), 2),
            "added_median_ms": round(float(np.median(mine) - np.median(its)), 2),
            "added_p99_ms": round(float(np.percentile(mine, 99) - np.percentile(its, 99)), 2),
            "over_400_ms": int((mine > 400).sum()),
            "added_fastest_tenth_ms": round(float(np.percentile(mine, 10) - np.percentile(its, 10)), 2),
            "client_cpu_ms": round(1e3 * self.client_s / count, 2),
            "server_cpu_ms": round(1e3 * self.server_s / count, 2),
            "bit_for_bit": self.equal,
        }


def streams(server: Any, threads: int, frames: int, rounds: int) -> dict[str, Figures]:
    """Capture to overlay of the whole stream in ms, with the engine here and over there."""
    local = ["--engine", str(SHIPPED_MODEL), "--precision", "fp32", "--threads", str(threads)]
    ways = {
        "local": local,
        "triton, shared memory": ["--engine", server.url],
        "triton, socket": ["--engine", f"{server.url}?memory=off"],
    }
    reports: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, engine in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "r.json"
                stream = ["demo", "--headless", "--fps", "30", "--frames", str(frames), "--report", str(file)]
                command = [sys.executable, "-m", "smartca", *stream, *engine]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                reports[name].append(json.loads(file.read_text()))
    figures: dict[str, Figures] = {}
    for name, runs in reports.items():
        p50, p99 = (statistics.median(run["latency_ms"][p] for run in runs) for p in ("p50", "p99"))
        first = figures.get("local", {"p50_ms": p50, "p99_ms": p99})
        figures[name] = {
            "p50_ms": round(p50, 2),
            "p99_ms": round(p99, 2),
            "added_p50_ms": round(p50 - first["p50_ms"], 2),
            "added_p99_ms": round(p99 - first["p99_ms"], 2),
            "captured": sum(run["frames"]["captured"] for run in runs),
            "shown": sum(run["frames"]["shown"] for run in runs),
            "no_result": sum(run["states"]["no_result"] for run in runs),
            "restarts": sum(sum(run["restarts"].values()) for run in runs),
        }
    return figures


def abandoned(server: Any, deadline_s: float) -> Figures:
    """Ten pictures at once, all called off at a deadline that few can keep: on how many does the server still work?"""
    package = client_package()
    image = pictures(256)[0]
    tensor = package.InferInput("image", list(image.shape), "FP32")
    tensor.set_data_from_numpy(image)
    replies: SimpleQueue[bool] = SimpleQueue()
    with package.InferenceServerClient(server.url.split("/")[2]) as client:

        def worked_on() -> int:
            return client.get_inference_statistics("smartca").model_stats[0].execution_count

        before = worked_on()
        for _ in range(10):
            client.async_infer(
                "smartca", [tensor], lambda result, error: replies.put(error is None), client_timeout=deadline_s
            )
        in_time = sum(replies.get() for _ in range(10))
        while True:
            try:
                client.infer("smartca", [tensor])  # behind all of them
                break
            except package.InferenceServerException:  # a strict queue is still full
                time.sleep(0.05)
        return {"sent": 10, "answered_in_time": in_time, "worked_on": worked_on() - before - 1}


def failover(server: Any, size: int, rounds: int) -> Figures:
    """kill -9 in the middle of a picture: until the runner says so, and from the server's start until it answers."""
    image, said, back = pictures(size)[0], [], []
    with TritonRunner(server.url, timeout_s=TIMEOUT_S) as runner:
        for _ in range(rounds):
            server.freeze()
            runner.start(image)
            killed = time.perf_counter()
            server.kill()
            try:
                runner.finish()
            except EngineError:
                said.append(1e3 * (time.perf_counter() - killed))
            server.start()
            ready = time.perf_counter()
            while True:
                try:
                    runner.infer(image)
                    break
                except EngineError:
                    time.sleep(0.005)
            back.append(1e3 * (time.perf_counter() - ready))
    return {
        "kills": rounds,
        "said_after_kill_median_ms": round(statistics.median(said), 1),
        "said_after_kill_worst_ms": round(max(said), 1),
        "answers_after_server_ready_median_ms": round(statistics.median(back), 1),
        "answers_after_server_ready_worst_ms": round(max(back), 1),
    }


def on_server(env: Path, model: str, serving: Serving, work: Callable[[Any, Path], None]) -> None:
    """Start a server of `model`, do `work` and end it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        path = brightness_network(folder / "one.onnx", (1, 1, 256, 256)) if model == "one layer" else SHIPPED_MODEL
        real.for_python_backend(write_repository(path, folder / "models", serving=serving))
        server = real.RealServer(env, folder / "models", folder)
        try:
            server.start()
            work(server, path)
        finally:
            server.kill()


@click.command()
@click.option("--rounds", type=click.IntRange(20), default=300, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Of the engine, here and there.")
@click.option("--kills", type=click.IntRange(1), default=3, show_default=True)
@click.option("--streams", "runs", type=click.IntRange(0), default=3, show_default=True, help="Whole streams a way.")
@click.option("--frames", type=click.IntRange(30), default=300, show_default=True, help="Of each stream.")
@click.option("--report", type=click.Path(path_type=Path))
def main(rounds: int, threads: int, kills: int, runs: int, frames: int, report: Path | None) -> None:
    """Measure and print."""
    env = real.environment()
    if env is None:
        raise click.ClickException(real.HOW)
    load = os.getloadavg()[0]
    results: dict[str, Any] = {"cores": os.cpu_count(), "threads": threads, "rounds": rounds, "load_before": load}

    def measured(name: str) -> Callable[[Any, Path], None]:
        def work(server: Any, path: Path) -> None:
            results[name] = measure(path, server, threads, rounds // BLOCK)
            for way, figures in results[name].items():
                print(f"{name:30} {way:22} " + "  ".join(f"{key} {value}" for key, value in figures.items()))
            if name != "one layer":
                deadline_s = 2.5e-3 * float(results[name]["local"]["median_ms"])
                results[f"abandoned, {name}"] = abandoned(server, deadline_s)
            if name == "shipped network":
                results["kill -9"] = failover(server, 256, kills)
                if runs:
                    results["whole stream"] = streams(server, threads, frames, runs)

        return work

    on_server(env, "one layer", Serving(threads=threads), measured("one layer"))
    on_server(env, "shipped", Serving(threads=threads), measured("shipped network"))
    strict = Serving(threads=threads, strict_queue=True, patience_ms=int(1e3 * TIMEOUT_S))
    on_server(env, "shipped", strict, measured("shipped network, strict queue"))
    for way, figures in results.get("whole stream", {}).items():
        print(f"{'whole stream':30} {way:22} " + "  ".join(f"{key} {value}" for key, value in figures.items()))
    for name in ("abandoned, shipped network", "abandoned, shipped network, strict queue", "kill -9"):
        print(f"{name}: {results[name]}")
    print(f"load of the machine before: {load:.2f} on {os.cpu_count()} cores")
    if report:
        report.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
