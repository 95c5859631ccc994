"""What this machine has: NVIDIA GPUs, versions of the engines' libraries, the processor. Imports none of them."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata, util
from importlib.metadata import version
from pathlib import Path

from ..version import __version__

# backend -> (module, names under which package registries know it, the command that installs it)
LIBRARIES = {
    "tensorrt": (
        "tensorrt",
        ("tensorrt", "tensorrt-cu13", "tensorrt-cu12", "tensorrt-cu13-bindings", "tensorrt-cu12-bindings"),
        "pip install tensorrt",
    ),
    "tensorrt-rtx": (
        "tensorrt_rtx",
        ("tensorrt-rtx", "tensorrt-rtx-cu13", "tensorrt-rtx-cu13-bindings"),
        "pip install tensorrt-rtx",
    ),
    "openvino": ("openvino", ("openvino",), "pip install openvino"),
}
BUILDERS = tuple(LIBRARIES)  # what `smartca build` makes engines for
BACKENDS = (*BUILDERS, "onnxruntime")  # the last is compared with, and serves in Triton
WANTED_INSTRUCTIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "avx512_fp16": "AVX-512 FP16",
    "amx_int8": "AMX INT8",
    "amx_bf16": "AMX BF16",
    "asimd": "NEON",
    "asimddp": "NEON dot product",
    "bf16": "Arm BF16",
    "i8mm": "Arm I8MM",
    "sve": "SVE",
}
# CUDA's own order is by speed, nvidia-smi's is this one: both must mean the same GPU by its number
os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
# kernels are loaded when first called: TensorRT carries hundreds of megabytes that no network of ours calls
os.environ.setdefault("CUDA_MODULE_LOADING", "LAZY")
IDENTITY = re.compile(r"^\s*(\d+)\s*,\s*((?:GPU|MIG)-[^\s,]+)\s*,\s*(.+)")  # what nvidia-smi's line begins with
PATIENCE = 10.0  # seconds for nvidia-smi, which is slow while a driver starts


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU as its driver tells of it; `target` is like sm86, `memory` in MiB."""

    name: str
    target: str
    driver: str
    memory: int


def gpus() -> list[Gpu]:
    """NVIDIA GPUs that the driver's own tool lists and CUDA sees, in CUDA's order; none where it is absent or fails."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    asked = "--query-gpu=index,uuid,name,compute_cap,driver_version,memory.total"
    try:
        done = subprocess.run(
            [tool, asked, "--format=csv,noheader,nounits"], capture_output=True, text=True, timeout=PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    if done.returncode != 0:
        return []
    return read_gpus(visible(done.stdout.splitlines(), os.environ.get("CUDA_VISIBLE_DEVICES")))


def visible(lines: Iterable[str], mask: str | None) -> list[str]:
    """Of nvidia-smi's lines 'index, uuid, name, ...' those from the name on that CUDA_VISIBLE_DEVICES leaves, in order.

    mask: the variable: numbers and beginnings of UUIDs, up to the first that means no GPU or several; a GPU named
    twice leaves none. None: all. A part of a GPU (MIG-...) does not tell which GPU it is of, so all are left.
    """
    if mask is None or mask.strip().startswith("MIG-"):
        return [IDENTITY.sub(r"\3", line) for line in lines]
    found = [(match[1], match[2], match[3]) for match in map(IDENTITY.fullmatch, lines) if match]
    chosen: list[int] = []
    for wanted in (entry.strip() for entry in mask.split(",")):
        meant = [
            place
            for place, (index, uuid, _) in enumerate(found)
            if (wanted.startswith("GPU-") and uuid.startswith(wanted))
            or (wanted.isdecimal() and int(wanted) == int(index))
        ]
        if len(meant) != 1:
            break
        if meant[0] in chosen:
            return []
        chosen += meant
    return [found[place][2] for place in chosen]


def read_gpus(lines: Iterable[str]) -> list[Gpu]:
    """From nvidia-smi's lines 'name, 8.6, 550.54, 24564'; what reads otherwise is left out."""
    found = []
    for line in lines:
        parts = [part.strip() for part in line.rsplit(",", 3)]
        if len(parts) == 4 and parts[1].replace(".", "", 1).isdigit():
            memory = int(parts[3]) if parts[3].isdigit() else 0
            found.append(Gpu(parts[0], "sm" + parts[1].replace(".", ""), parts[2], memory))
    return found


def installed(module: str) -> bool:
    """Whether `module` could be imported, as far as that is known without importing it."""
    try:
        return util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def library_version(backend: str) -> str | None:
    """Version of a backend's library from its package's papers; None where it is not installed."""
    module, packages, _ = LIBRARIES[backend]
    if not installed(module):
        return None
    for package in packages:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return "of unknown version"


@dataclass(frozen=True, slots=True)
class Processor:
    """The CPU's name and those of its instruction sets that matter here; None where the system does not tell."""

    name: str
    instructions: tuple[str, ...] | None


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor:
    """From Linux' /proc/cpuinfo; elsewhere only the name is known."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return Processor(platform.processor() or platform.machine(), None)
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = set((facts.get("flags") or facts.get("Features") or "").split())
    name = facts.get("model name") or platform.processor() or platform.machine()
    return Processor(name, tuple(words for flag, words in WANTED_INSTRUCTIONS.items() if flag in flags))


def versions() -> dict[str, str]:
    """What this ran on."""
    packages = ("openvino", "numpy", "opencv-python-headless", "pyzmq", "av")
    return {
        "smartca": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: version(name) for name in packages},
    }
