"""`smartca doctor`: what is here, what is missing, and the command that brings it. Nothing is installed or changed."""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import click
from packaging.requirements import Requirement
from platformdirs import user_cache_dir
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..engine import operating_point as points
from ..engine import usual
from ..engine.contract import SHIPPED_MODEL, EngineError
from ..engine.cpu.capabilities import quick_int8
from ..engine.machine import LIBRARIES, gpus, installed, library_version, processor
from ..engine.paths import cache_folder
from ..errors import SmartcaError
from ..files import sha256
from .options import FILE, say, writable, write_report

FindingState = Literal["ok", "missing", "note", "broken"]
# the vendor's own words, in the licence that comes with the package
MEDICAL = (
    "NVIDIA's licence: \"NVIDIA products are not designed, authorized, or warranted to be suitable for use in medical, "
    'military, aircraft, space, or life support equipment"'
)
# packages whose module has another name
MODULES = {"opencv-python-headless": "cv2", "pillow": "PIL", "pynrrd": "nrrd", "pyzmq": "zmq"}
# module -> what it is for, and the command that installs it
MORE = {
    "onnx": ("smartca build", "pip install onnx"),
    "onnxruntime": ("INT8 by smartca build --calibrate", "pip install onnxruntime"),
    "cuda.bindings": ("running TensorRT engines, with CUDA graphs", "pip install cuda-bindings"),
    "pycuda": ("the same a little quicker; pip compiles it with NVIDIA's CUDA toolkit", "pip install pycuda"),
    "tritonclient": ("--engine triton://", "pip install 'tritonclient[grpc]'"),
    "torch": ("training", "pip install 'smartca[train]'"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. needed: `smartca run` does not work unless it is ok; cure: a command, or empty."""

    part: str
    state: FindingState
    words: str
    cure: str = ""
    needed: bool = False

    def as_report(self) -> dict[str, str | bool]:
        """JSON types."""
        return asdict(self)


def examine() -> list[Finding]:
    """Look at everything, most needed first."""
    looks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python,
        _packages,
        _openvino,
        _model,
        _usual,
        _cache,
        _cpu,
        _gpus,
        _tensorrt,
        _more,
    )
    return [finding for look in looks for finding in look()]


def fit_to_run(findings: list[Finding]) -> bool:
    """Whether everything that `smartca run` needs is there."""
    return all(finding.state == "ok" for finding in findings if finding.needed)


def _python() -> Iterator[Finding]:
    from ..version import __version__

    words = f"{__version__}, on Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield Finding("smartca", "ok", words)


def _packages() -> Iterator[Finding]:
    """What smartca's own papers ask for, by importing it: a package can be there and not load."""
    try:
        asked = [Requirement(line) for line in metadata.requires("smartca") or []]
    except metadata.PackageNotFoundError:
        yield Finding("packages", "note", "smartca is not installed as a package: cannot tell what it asks for")
        return
    # what only an extra, another system or another Python asks for is not asked for here
    names = [one.name for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = {name: said for name in names if name != "openvino" and (said := _does_not_load(name))}
    for name, said in wrong.items():
        yield Finding(name, "missing", said, f"pip install {name}", needed=True)
    if not wrong:
        yield Finding("packages", "ok", f"all {len(names)} that smartca run asks for", needed=True)


def _does_not_load(name: str) -> str:
    """Why a package's module cannot be imported; empty where it can."""
    try:
        importlib.import_module(MODULES.get(name, name.replace("-", "_")))
    except Exception as error:  # a broken binary raises whatever it likes, and this is where it is told
        return _first_line(error)
    return ""


def _openvino() -> Iterator[Finding]:
    cure = LIBRARIES["openvino"][2]
    try:
        from ..engine.cpu.openvino_import import ov, the_core

        core = the_core()
        devices = [str(device) for device in core.available_devices]
    except Exception as error:
        yield Finding("openvino", "missing", _first_line(error), cure, needed=True)
        return
    if "CPU" not in devices:
        yield Finding("openvino", "broken", "it finds no CPU device", f"{cure} --force-reinstall", needed=True)
    else:
        yield Finding("openvino", "ok", ov.__version__.split("-")[0], needed=True)
    for device in devices:
        try:
            name = core.get_property(device, "FULL_DEVICE_NAME")
            can = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
        except RuntimeError as error:  # a GPU whose driver is half there
            yield Finding(f"openvino {device}", "broken", _first_line(error))
            continue
        kinds = ", ".join(sorted(kind for kind in can if re.fullmatch(r"(FP|BF|INT)\d+", kind)))
        yield Finding(f"openvino {device}", "ok", f"{name}: {kinds}")


def _model(model: Path = SHIPPED_MODEL) -> Iterator[Finding]:
    """The shipped weights against the digest in their operating point."""
    again = "pip install --force-reinstall --no-deps smartca"
    try:
        digest = sha256(model)
        stored = points.load_point(model, digest)
    except (SmartcaError, OSError):
        said = f"{model.name} is missing or not the one that was shipped"
        yield Finding("shipped model", "broken", said, again, needed=True)
        return
    if not points.point_path(model).is_file():
        yield Finding("shipped model", "broken", f"{model.name} lost its operating point", again, needed=True)
        return
    words = f"{model.name} {digest[:12]} is intact; threshold {stored.threshold:.3f}, {stored.fitted_on}"
    yield Finding("shipped model", "ok", words, needed=True)


def _usual() -> Iterator[Finding]:
    """Which weights run where none are named."""
    try:
        told, model = usual.recorded(), usual.usual_model()
    except SmartcaError as error:
        yield Finding("weights that run", "broken", str(error), "smartca adapt --back", needed=True)
        return
    if told is None:
        yield Finding("weights that run", "ok", f"{model.name}, the shipped ones", needed=True)
    else:
        words = f"{model} {told.sha256[:12]}, recorded by `smartca adapt --use`"
        yield Finding("weights that run", "ok", words, needed=True)


def _cache() -> Iterator[Finding]:
    """Where compiled networks and engines are kept; without it a start only takes longer."""
    folder = Path(user_cache_dir("smartca"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        said = f"{folder} cannot be written ({error.strerror}): starts take longer, and smartca build cannot work"
        yield Finding("cache", "broken", said, f"chmod u+rwx {folder}" if folder.exists() else "")
        return
    engines = [path for path in cache_folder().glob("*/*") if path.suffix in (".engine", ".onnx")]
    size = sum(path.stat().st_size for path in engines)
    free = shutil.disk_usage(folder).free
    words = f"{folder}: {len(engines)} engines, {size / 1e6:.0f} MB; {free / 1e9:.0f} GB free"
    yield Finding("cache", "ok", words)


def _cpu() -> Iterator[Finding]:
    found = processor()
    cores = f"{found.name}, {os.cpu_count()} cores"
    if found.instructions is None:
        yield Finding("processor", "note", f"{cores}; this system does not tell its instruction sets")
        return
    quick = quick_int8(found)
    words = "; ".join((cores, ", ".join(found.instructions) or "no instruction set that helps"))
    yield Finding("processor", "ok" if quick else "note", words + ("" if quick else "; INT8 brings little here"))


def _gpus() -> Iterator[Finding]:
    found = gpus()
    if not found:
        lacking = "no NVIDIA GPU" if shutil.which("nvidia-smi") else "no nvidia-smi, so no NVIDIA GPU with a driver"
        yield Finding("gpu", "note", f"{lacking}: engines run in OpenVINO")
    for gpu in found:
        yield Finding("gpu", "ok", f"{gpu.name}, {gpu.target}, {gpu.memory} MB, driver {gpu.driver}")


def _tensorrt() -> Iterator[Finding]:
    from ..engine.nvidia.compile import load_library

    for backend in ("tensorrt", "tensorrt-rtx"):
        remark = f"; {MEDICAL}" if backend == "tensorrt-rtx" else ""
        version, install = library_version(backend), LIBRARIES[backend][2]
        if version is None:
            yield Finding(backend, "missing", f"not installed{remark}", install)
            continue
        try:
            library = load_library(backend)
        except EngineError as error:
            yield Finding(backend, "broken", f"{error}{remark}", f"{install} --force-reinstall")
            continue
        yield Finding(backend, "ok", f"{version}{_fits(library)}{remark}")


def _fits(library: object) -> str:
    """What TensorRT-RTX builds for, and whether the GPU that is here is among it."""
    capability = getattr(library, "ComputeCapability", None)
    if capability is None:
        return ""
    targets = [name.lower() for name in capability.__members__ if name.startswith("SM")]
    strangers = sorted({gpu.target for gpu in gpus()} - set(targets))
    lacking = f", which leaves out the {', '.join(strangers)} that is here" if strangers else ""
    return f"; builds for {', '.join(targets)}{lacking}"


def _more() -> Iterator[Finding]:
    for module, (purpose, install) in MORE.items():
        there = installed(module)
        words = f"{'here' if there else 'not installed'}, for {purpose}"
        yield Finding(module, "ok" if there else "missing", words, "" if there else install)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@click.command()
@click.option("--report", type=FILE, help="Write the findings as JSON.")
def doctor(report: Path | None) -> None:
    """Say what is here, what is missing, and the command that brings it.

    The exit code is 0 where everything is there that `smartca run` needs.
    """
    writable(report, "--report")
    findings = examine()
    colours = {"ok": "green", "missing": "yellow", "note": "cyan", "broken": "red"}
    table = Table("part", "state", "found")
    for finding in findings:
        colour = "red" if finding.needed and finding.state != "ok" else colours[finding.state]
        cure = f"\n[bold]{escape(finding.cure)}[/]" if finding.cure else ""
        table.add_row(finding.part, f"[{colour}]{finding.state}[/]", escape(finding.words) + cure)
    Console().print(table)
    fit = fit_to_run(findings)
    write_report({"fit_to_run": fit, "findings": [finding.as_report() for finding in findings]}, report)
    say("everything that smartca run needs is here" if fit else "smartca run will not work here: see the table")
    if not fit:
        raise click.exceptions.Exit(1)
