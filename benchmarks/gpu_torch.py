"""SMART-CA-lite in torch on a GPU, for `gpu.py`: eager, as a CUDA graph, and compiled, against itself on the CPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from smartca.train.export import Confident, load_network
from smartca.train.nets import networks
from torch import Tensor, nn

SIZE = 256
Timed = Callable[[Callable[[], object]], dict[str, float]]  # p50 and p99 of some work


def part(way: str, precision: str, checkpoint: str, timed: Timed) -> dict[str, Any]:
    """`way`: eager, graph or compile. Without a checkpoint weights are random. Raises RuntimeError without a GPU."""
    if not torch.cuda.is_available():
        raise RuntimeError(f"torch {torch.__version__} finds no GPU: torch.cuda.is_available() is False")
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32
    made = load_network(Path(checkpoint))[0] if checkpoint else networks.build_network("smartca-lite", pretrained=False)
    network, image = Confident(made).eval(), torch.rand(1, 1, SIZE, SIZE)
    kind = {"fp32": torch.float32, "fp16": torch.float16}[precision]
    with torch.inference_mode():
        wanted = network(image)[0].numpy()
        started = time.perf_counter()
        network = network.to("cuda", kind).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        held = image.pin_memory()
        there = held.to("cuda", kind)
        go = ready(way, network, there)
        q = go()
        torch.cuda.synchronize()
        told: dict[str, Any] = {"open_s": round(time.perf_counter() - started, 3)}
        found = q.float().cpu().numpy()

        def with_copies() -> None:
            there.copy_(held, non_blocking=True)
            go().cpu()

        def without_copies() -> None:
            go()
            torch.cuda.synchronize()

        told |= {"with_copies": timed(with_copies), "without_copies": timed(without_copies)}
    middle = float(np.median(wanted))
    return {
        **told,
        "gpu": torch.cuda.get_device_name(),
        "weights": checkpoint or "random",
        "q_largest_difference": round(float(np.abs(found - wanted).max()), 5),
        "pixels_that_differ_at_the_median": float(np.mean((found >= middle) != (wanted >= middle))),
    }


def ready(way: str, network: nn.Module, there: Tensor) -> Callable[[], Tensor]:
    """Warm: what computes q of the picture that is `there`."""
    asked: Callable[[Tensor], Any] = torch.compile(network, mode="max-autotune") if way == "compile" else network
    if way != "graph":
        for _ in range(3):
            asked(there)
        return lambda: asked(there)[0]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # a graph wants what it records to have run before, elsewhere
        for _ in range(3):
            asked(there)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        q = asked(there)[0]

    def replay() -> Tensor:
        graph.replay()
        return q

    return replay
