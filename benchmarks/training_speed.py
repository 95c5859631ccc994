"""How fast SMART-CA trains beside a U-Net with the same encoder: the same batches, settings and loss, one process.

    python benchmarks/training_speed.py [--threads 1] [--rounds 15] [--json R.json]

A round is one whole training step of each network, first one then the other, turn about: a noisy machine slows both.
The ratio is the median over the rounds of how many samples a second the first does for one of the second's; beside it
stands the same of the processor's time, which is steadier where other programs run.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import click
import torch
from smartca.train.loss_names import loss
from smartca.train.nets.networks import build_network, describe, macs
from torch import Tensor, nn

TEAR_SHARE = 0.03
Step = Callable[[], tuple[float, float]]  # gives its seconds by the clock, and of the processor
WARM_UP = 2  # steps of each: memory is laid out and kernels are chosen in the first


def stepper(name: str, images: Tensor, masks: Tensor, half: bool) -> Step:
    """One training step of the network called `name`, as `smartca train` does it."""
    torch.manual_seed(0)
    device = images.device
    network = build_network(name).to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    wrong = loss("iplf").to(device)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, 1e-3, weight_decay=1e-2)

    def step() -> tuple[float, float]:
        started, busy = perf_counter(), process_time()
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            logits = network(images)
        value = wrong(logits, masks)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(weights, 5.0)
        optimiser.step()
        if not value.isfinite():  # on a GPU this also waits for the step
            raise RuntimeError(f"{name}: the loss is no number any more; its speed would mean nothing")
        return perf_counter() - started, process_time() - busy

    return step


def rounds_of(steps: list[Step], rounds: int) -> list[list[tuple[float, float]]]:
    """Both times of every step, by network; who goes first changes with every round."""
    for step in steps * WARM_UP:
        step()
    took: list[list[tuple[float, float]]] = [[] for _ in steps]
    for number in range(rounds):
        for place in range(len(steps))[:: 1 if number % 2 else -1]:
            took[place].append(steps[place]())
    return took


def half_here(device: str) -> bool:
    """bfloat16 is worth it: a GPU has it, of the CPUs those that multiply it."""
    return device != "cpu" or "bf16" in Path("/proc/cpuinfo").read_text()


@click.command()
@click.option("--network", default="smartca-lite", show_default=True, help="The network to judge.")
@click.option("--against", default="unet-lite", show_default=True, help="The one beside it.")
@click.option("--batch", default=16, show_default=True)
@click.option("--size", default=192, show_default=True, help="Pixels, a multiple of 32.")
@click.option("--rounds", default=15, show_default=True)
@click.option("--threads", default=1, show_default=True, help="Of a CPU.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--json", "report", type=click.Path(path_type=Path), help="Write the figures here too.")
def main(
    network: str, against: str, batch: int, size: int, rounds: int, threads: int, device: str, report: Path | None
) -> None:
    """Compare the training speed of two networks."""
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    images = torch.rand(batch, 1, size, size).to(device, memory_format=torch.channels_last)
    masks = (torch.rand(batch, 1, size, size) < TEAR_SHARE).float().to(device)
    half = half_here(device)
    names = (network, against)
    took = rounds_of([stepper(name, images, masks, half) for name in names], rounds)
    ratios, ratios_cpu = (
        sorted(theirs[kind] / ours[kind] for ours, theirs in zip(*took, strict=True)) for kind in (0, 1)
    )
    result: dict[str, object] = {
        "batch": batch,
        "size": size,
        "rounds": rounds,
        "threads": threads if device == "cpu" else None,
        "device": torch.cuda.get_device_name() if device != "cpu" else f"{platform.machine()}, {os.cpu_count()} cores",
        "dtype": "bfloat16" if half else "float32",
        "networks": {
            name: {
                "samples_per_second": round(batch / statistics.median(wall for wall, _ in times), 2),
                "step_ms": round(1e3 * statistics.median(wall for wall, _ in times), 1),
                "step_cpu_ms": round(1e3 * statistics.median(busy for _, busy in times), 1),
                "weights": describe(name)._asdict(),
                "macs": macs(name, size),
            }
            for name, times in zip(names, took, strict=True)
        },
        "ratio": round(statistics.median(ratios), 3),
        "ratio_quartiles": [round(ratios[len(ratios) // 4], 3), round(ratios[-1 - len(ratios) // 4], 3)],
        "ratio_cpu_time": round(statistics.median(ratios_cpu), 3),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if report:
        report.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
