"""What `smartca build --triton` adds to `smartca build`: its options, and the way into a model repository."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..options import FILE, say

NAME = "smartca"
ONNX = ("onnxruntime", "openvino")  # Triton's backends that take the .onnx file


@dataclass(frozen=True, slots=True)
class Repository:
    """Where a Triton server will find the network, under which name, and how it shall run it."""

    folder: Path
    name: str = NAME
    instances: int = 1
    strict_queue: bool = False
    gpu: bool = False

    def backend(
        self, asked: str | None, target: tuple[str, ...], batch: int, workspace: int | None, out: Path | None
    ) -> str:
        """Which of Triton's backends will run it. Raises UsageError where that is none or cannot do what is asked."""
        from ...engine.machine import gpus, library_version

        if out is not None:
            raise click.UsageError("-o and --triton are two places for one engine: leave one of them out")
        if asked == "tensorrt-rtx":
            raise click.UsageError("Triton loads engines of TensorRT, not of TensorRT-RTX: use another --backend")
        backend = asked or ("tensorrt" if gpus() and library_version("tensorrt") else "onnxruntime")
        if backend in ONNX and (target or workspace or batch > 1):
            raise click.UsageError(
                f"Triton's {backend} backend takes the .onnx file, which fits any machine and one picture at a time: "
                "leave --target, --workspace and --batch out, or use --backend tensorrt"
            )
        if self.gpu and backend == "openvino":
            raise click.UsageError("Triton's OpenVINO backend runs on CPUs only: leave --server-gpu out")
        return backend

    def builder(self, backend: str) -> str:
        """What builds, checks and gates it here before Triton gets it: OpenVINO for every .onnx file."""
        return "openvino" if backend in ONNX else backend

    def precision(self, asked: str | None, backend: str, calibrated: bool) -> str:
        """What it computes in. Raises UsageError where the backend cannot."""
        fitting = {"onnxruntime": ("fp32", "int8"), "openvino": ("fp32", "bf16", "int8")}.get(backend)
        if asked is not None and fitting is not None and asked not in fitting:
            raise click.UsageError(
                f"Triton's {backend} backend computes in {', '.join(fitting)}, not in {asked}: change --precision"
            )
        return asked or ("int8" if calibrated else "fp32" if fitting else "fp16")

    def write(self, engine: Path, model: Path, backend: str, precision: str, batch: int, calibrated: bool) -> Path:
        """Write the network's folder, all of it or nothing; `engine` is what was built of `model`."""
        from ...engine.cpu.ready_int8 import built_from
        from ...engine.triton.config import Serving
        from ...engine.triton.repository import write_repository

        model = built_from(model, precision, calibrated)
        serving = Serving(backend, precision, self.instances, self.gpu, 0, batch, self.strict_queue)
        # in fp32 and bf16 the engine of a CPU is the model itself, whose operating point is then the model's own
        weights = engine if backend == "tensorrt" or calibrated else model
        source = model if backend == "tensorrt" else None
        folder = write_repository(weights, self.folder, self.name, serving, source)
        say(f"serve it with  tritonserver --model-repository={self.folder} --grpc-address=127.0.0.1 --allow-http=false")
        say(f"then try       smartca demo --engine triton://127.0.0.1:8001/{self.name}")
        return folder


def triton_options(command: Callable[..., None]) -> Callable[..., None]:
    """--triton and what belongs to it; the command gets them as `repository`, None without --triton."""

    @functools.wraps(command)
    def collected(
        triton: Path | None, name: str | None, instances: int | None, strict_queue: bool, server_gpu: bool, **more: Any
    ) -> None:
        if triton is None:
            alone = {"--name": name, "--instances": instances, "--strict-queue": strict_queue}
            for option, value in {**alone, "--server-gpu": server_gpu}.items():
                if value:
                    raise click.UsageError(f"{option} belongs to --triton: give that too, or leave {option} out")
            if more["backend"] == "onnxruntime":
                raise click.UsageError("--backend onnxruntime belongs to --triton: here, --backend openvino is faster")
            command(repository=None, **more)
            return
        _check(triton, name or NAME)
        command(repository=Repository(triton, name or NAME, instances or 1, strict_queue, server_gpu), **more)

    for option in (
        click.option("--server-gpu", is_flag=True, help="ONNX Runtime there computes on the server's GPU."),
        click.option(
            "--strict-queue", is_flag=True, help="Turn away pictures that would wait too long; live feeds go first."
        ),
        click.option("--instances", type=click.IntRange(1, 64), help="Copies that work at once.  [default: 1]"),
        click.option("--name", metavar="NAME", help=f"What the server calls it.  [default: {NAME}]"),
        click.option(
            "--triton",
            type=FILE,
            metavar="REPO",
            help="Write a Triton model repository: a TensorRT engine, or the .onnx file for ONNX Runtime or OpenVINO.",
        ),
    ):
        collected = option(collected)
    return collected


def _check(repository: Path, name: str) -> None:
    """Find out before an engine is built that its folder could not be written. Raises UsageError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise click.UsageError(f"{name!r} cannot be a model's name; use letters, digits, '.', '_' and '-' for --name")
    if repository.exists() and not repository.is_dir():
        raise click.UsageError(f"{repository} is a file; give --triton a folder")
    target = repository / name
    if target.exists() and not (target / "config.pbtxt").is_file():
        raise click.UsageError(f"{target} exists and is no folder of a Triton model: choose another --name or --triton")
