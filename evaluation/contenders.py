"""Which engines of a model can run on this machine, and why the others cannot: what `smartca bench` compares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from ..engine.building.assembly import Options
from ..engine.building.build import build_engine
from ..engine.contract import Progress
from ..engine.cpu.capabilities import has_bf16
from ..engine.cpu.onnxruntime_runner import INSTALL
from ..engine.cpu.ready_int8 import place, why_not
from ..engine.machine import LIBRARIES, gpus, installed, library_version
from ..errors import SmartcaError, mendable, sentence

NVIDIA = ("tensorrt", "tensorrt-rtx")


class Contender(msgspec.Struct, frozen=True):
    """An engine to try: `engine` is a file, or a Triton server's address; precision 'auto' is what it was built in."""

    backend: str
    precision: str
    engine: str


class Missing(msgspec.Struct, frozen=True):
    """An engine that cannot run here, and why, in one sentence."""

    backend: str
    precision: str
    reason: str


def contenders(model: Path, backends: tuple[str, ...], progress: Progress) -> Iterator[Contender | Missing]:
    """OpenVINO in fp32 first, which is always there: the others are held against it; then those of `backends`.

    backends: of openvino, onnxruntime, tensorrt and tensorrt-rtx. Engines for an NVIDIA GPU are built on the way, or
    taken from the cache, and `progress` hears of it.
    """
    yield Contender("openvino", "fp32", str(model))
    int8 = _int8(model)
    if "openvino" in backends:
        if has_bf16():
            yield Contender("openvino", "bf16", str(model))
        else:
            yield Missing("openvino", "bf16", "this processor has no bf16 instructions: it would be fp32, only slower")
        yield _on_cpu("openvino", int8)
    if "onnxruntime" in backends:
        if installed("onnxruntime"):
            yield Contender("onnxruntime", "fp32", str(model))
            yield _on_cpu("onnxruntime", int8)
        else:
            yield Missing("onnxruntime", "fp32, int8", INSTALL)
    for backend in NVIDIA:
        if backend in backends:
            yield from _on_gpu(backend, model, int8, progress)


def _on_cpu(backend: str, int8: Path | str) -> Contender | Missing:
    if isinstance(int8, str):
        return Missing(backend, "int8", int8)
    return Contender(backend, "int8", str(int8))


def _on_gpu(backend: str, model: Path, int8: Path | str, progress: Progress) -> Iterator[Contender | Missing]:
    every = ", ".join(("fp32", "fp16", "int8"))
    if library_version(backend) is None:
        yield Missing(backend, every, f"{backend} is not installed: {LIBRARIES[backend][2]}")
        return
    if not gpus():
        yield Missing(backend, every, "there is no NVIDIA GPU with a driver here")
        return
    for precision, source in (("fp32", model), ("fp16", model), ("int8", int8)):
        if isinstance(source, str):
            yield Missing(backend, precision, source)
            continue
        try:
            engine = build_engine(source, Options(backend, precision), progress)
        except (SmartcaError, OSError) as error:
            if not mendable(error):
                raise
            yield Missing(backend, precision, sentence(error))
        else:
            yield Contender(backend, precision, str(engine))


def _int8(model: Path) -> Path | str:
    """The INT8 engine beside `model` that the gate let pass, or why there is none."""
    return why_not(model) or place(model)
