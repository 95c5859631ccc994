"""`smartca build --triton`: the folder a Triton Inference Server loads a network from.

    REPOSITORY/smartca/config.pbtxt           see config.py
    REPOSITORY/smartca/186312345678901/       the version: the digest of the weights as a number
                       model.onnx | model.plan

The version is the weights' digest so that every answer of the server names the weights that gave it, and a request
for other weights is refused by the server itself.
"""

from __future__ import annotations

import re
import shutil
import uuid
from dataclasses import replace
from pathlib import Path

from ... import onnx_bytes
from ...files import sha256
from .. import operating_point, plan
from ..contract import MAKES_MODELS, EngineError
from .config import ServedNetwork, Serving, file_name, model_version, network_config

PLANS = (".engine", ".plan", ".trt")


def write_repository(
    model: Path, repository: Path, name: str = "smartca", serving: Serving | None = None, source: Path | None = None
) -> Path:
    """Write `model` as `name` into the model repository at `repository`, all of it or nothing; returns its folder.

    model: an .onnx file, or a TensorRT engine with its build sheet as `smartca build` made it; source: where the .onnx
    file it was built from is now, if not where it was. What `smartca calibrate` stored beside the .onnx file goes
    along. A folder of that name is replaced.
    Raises EngineError for what cannot be served, ValueError for another network's operating point, OSError.
    """
    onnx, told = _origin(model, source)
    onnx_bytes.weight_files(onnx)  # one that is missing is named
    network = _look_at(onnx, told)
    serving = _settled(serving or Serving(), model, network, told)
    target = _target(repository, name)
    partial = repository / f".{name}.{uuid.uuid4().hex[:8]}"
    try:
        partial.mkdir(parents=True)
        weights = partial / file_name(serving.backend)
        shutil.copyfile(model, weights)
        others = _copy_weights(model, partial)
        digest = sha256(onnx if told else weights)  # of what was copied, whatever happens meanwhile
        if told and (digest, sha256(weights)) != (told.plan.onnx_sha256, told.engine_sha256):
            raise EngineError(f"{model.name} is not what was built from {onnx}: build it again with `smartca build`")
        stored = operating_point.stored_point(onnx) is not None
        point = operating_point.load_point(onnx, digest) if stored else None
        (partial / "config.pbtxt").write_text(network_config(name, network, serving, digest, point))
        version = partial / model_version(digest)
        version.mkdir()
        for file in (weights, *others):
            (version / file.relative_to(partial)).parent.mkdir(parents=True, exist_ok=True)
            file.rename(version / file.relative_to(partial))
        _swap(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _copy_weights(model: Path, folder: Path) -> list[Path]:
    """Copies in `folder` of the files beside an ONNX file that hold some of its weights."""
    if model.suffix != ".onnx":
        return []
    copies = []
    for file in onnx_bytes.weight_files(model):
        copies.append(folder / file.relative_to(model.parent))
        copies[-1].parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copies[-1])
    return copies


def _origin(model: Path, source: Path | None) -> tuple[Path, plan.BuildSheet | None]:
    """The ONNX file that says which weights these are, and what an engine's build sheet tells."""
    if not model.is_file():
        raise EngineError(f"there is no model at {model}; one is made by {MAKES_MODELS}")
    if model.suffix == ".onnx":
        return model, None
    if model.suffix not in PLANS:
        raise EngineError(f"{model.name} is neither an .onnx file nor a TensorRT engine ({', '.join(PLANS)})")
    told = plan.load_sheet(model)
    onnx = source or Path(told.model)
    if not onnx.is_file() or onnx.suffix != ".onnx":
        raise EngineError(f"there is no {onnx}, which {model.name} was built from: say where that .onnx file is now")
    return onnx, told


def _settled(serving: Serving, model: Path, network: ServedNetwork, told: plan.BuildSheet | None) -> Serving:
    """`serving` with nothing left to 'auto', checked against the file."""
    own = told.plan.precision if told else "int8" if network.quantised else "fp32"
    backend = serving.backend if serving.backend != "auto" else "tensorrt" if told else "onnxruntime"
    precision = serving.precision if serving.precision != "auto" else own
    if (told is not None) != (backend == "tensorrt"):
        needed = "an engine made by `smartca build --backend tensorrt`" if backend == "tensorrt" else "an .onnx file"
        raise EngineError(f"Triton's {backend} backend takes {needed}, not {model.name}")
    if told and told.plan.backend != "tensorrt":
        raise EngineError(f"Triton loads engines of TensorRT, not of {told.plan.backend}: use --backend tensorrt")
    if precision != own and (backend, precision) != ("openvino", "bf16"):
        raise EngineError(f"{model.name} computes in {own}; Triton's {backend} backend cannot make that {precision}")
    if serving.gpu and backend == "openvino":
        raise EngineError("Triton's OpenVINO backend runs on CPUs only; use onnxruntime or tensorrt on a GPU")
    most = told.plan.batch[2] if told else serving.max_batch if network.batches else 1
    if serving.max_batch > most:
        raise EngineError(f"{model.name} takes {most} picture(s) at a time: lower max_batch or build with --batch")
    return replace(serving, backend=backend, precision=precision)


def _look_at(onnx: Path, told: plan.BuildSheet | None) -> ServedNetwork:
    """The network's contract: image (1 or any, 1, S, S) -> q of that shape, perhaps picture (1 or any, 2)."""
    from ..cpu.openvino_import import the_core

    try:
        network = the_core().read_model(str(onnx))
    except (RuntimeError, UnicodeDecodeError) as error:  # its own words may quote the file
        raise EngineError(f"{onnx.name} is not a readable ONNX file; copy or export it again") from error
    shapes = {port.get_any_name(): port.partial_shape for port in [*network.inputs, *network.outputs]}
    first = shapes.get("image")
    fits = first is not None and first.rank.is_static and len(first) == 4 and all(d.is_static for d in list(first)[1:])
    known = len(network.inputs) == 1 and list(shapes) in (["image", "q"], ["image", "q", "picture"])
    if not fits or not known or shapes["q"] != first:
        raise EngineError(
            f"{onnx.name} has {', '.join(shapes)}; a SMART-CA network takes 'image' (1, 1, S, S) and gives 'q' of that "
            f"shape and perhaps 'picture': `smartca adopt {onnx.name}` makes one of anybody's segmentation network"
        )
    assert first is not None
    quantised = any(node.get_type_name() == "FakeQuantize" for node in network.get_ops())
    batches = told.plan.batch[2] > 1 if told else first[0].is_dynamic
    return ServedNetwork(first[2].get_length(), "picture" in shapes, batches, quantised)


def _target(repository: Path, name: str) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise EngineError(f"{name!r} cannot be a model's name; use letters, digits, '.', '_' and '-'")
    target = repository / name
    if target.exists() and not (target / "config.pbtxt").is_file():
        raise EngineError(f"{target} exists and is no folder of a Triton model: choose another name or repository")
    return target


def _swap(partial: Path, target: Path) -> None:
    """Put `partial` where `target` is; the old one comes back if that fails."""
    old = partial.with_name(partial.name + ".old")
    if target.exists():
        target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
