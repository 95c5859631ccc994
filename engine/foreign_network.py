"""Somebody else's segmentation ONNX: what can be known of it by looking and by trying, and what must be asked."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .contract import EngineError

if TYPE_CHECKING:
    from onnx import ModelProto

# mean and std of grey in 0..1
RANGES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "0..1": ((0.0,), (1.0,)),
    "0..255": ((0.0,), (1 / 255,)),
    "-1..1": ((0.5,), (0.5,)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
THROUGH = ("Identity", "Cast", "Transpose", "Reshape", "Resize", "Squeeze", "Unsqueeze", "Clip")
SUPPORTED = {1: np.float32, 10: np.float16, 2: np.uint8}  # ONNX' numbers of what an input may be


@dataclass(frozen=True, slots=True)
class Hints:
    """What a person says of the network; None where it is to be found out."""

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channels: str | None = None
    output: str | None = None
    output_name: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Understood:
    """What the network takes and gives. mean, std: of grey in 0..1, one a channel. form: logits, sigmoid or softmax."""

    input: str
    kind: int
    last: bool  # channels last (NHWC)
    batch: int
    channels: int
    rows: int
    columns: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    output: str
    output_last: bool
    form: str
    index: int
    raw: bool  # the activation is not yet in the network
    notes: tuple[str, ...]

    @property
    def side(self) -> int:
        """Side of SMART-CA's square that the network's picture lies in: a multiple of 16."""
        return max(32, -(-self.longer // 16) * 16)

    @property
    def longer(self) -> int:
        """The longer side of the network's picture."""
        return max(self.rows, self.columns)

    def sentences(self) -> list[str]:
        """What was understood, for people."""
        layout = "channels last" if self.last else "channels first"
        means, stds = (", ".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))
        return [
            f"takes {self.rows} x {self.columns} pixels, {self.channels} channel(s), {layout}",
            f"normalisation: (grey in 0..1 - {means}) / {stds}",
            f"its output {self.output} is read as {self.form}:{self.index}, {'to be ' if self.raw else ''}activated",
            *self.notes,
        ]


def scaling(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of a usual way to scale pictures; one of RANGES."""
    return RANGES[name]


def normalisation(hints: Hints, channels: int, kind: int, name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of grey in 0..1 for each channel. Raises EngineError where nobody can know them but the person."""
    mean, std = hints.mean, hints.std
    if mean is None and std is None:
        if kind == 2:  # bytes are as they come
            return (0.0,) * channels, (1 / 255,) * channels
        raise EngineError(
            f"{name} does not say how its pictures are to be scaled: give --range 0..1, --range 0..255, --range -1..1, "
            "--range imagenet, or --mean and --std as it was trained with"
        )
    mean, std = mean or (0.0,), std or (1.0,)
    if max(*map(abs, mean), *std) > 2:  # given for grey in 0..255
        mean, std = tuple(v / 255 for v in mean), tuple(v / 255 for v in std)
    if min(std) <= 0 or len(mean) not in (1, channels) or len(std) not in (1, channels):
        raise EngineError(f"{name} takes {channels} channel(s): give --mean and --std one number, or one for each")
    return (mean * channels)[:channels], (std * channels)[:channels]


def understand(model: ModelProto, data: bytes, hints: Hints, name: str) -> Understood:
    """Look at the network and try it. Raises EngineError, in one sentence, for what is no segmentation or must be said.

    data: the model's bytes, weights inside.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        raise EngineError(f"{name} takes {len(inputs)} inputs; a network that segments a picture takes one")
    kind = inputs[0].type.tensor_type.elem_type
    dims = [dim.dim_value for dim in inputs[0].type.tensor_type.shape.dim]
    if len(dims) != 4 or kind not in SUPPORTED:
        raise EngineError(f"{name} takes no picture: its input must be float32, float16 or uint8, of four dimensions")
    last = dims[1] not in (1, 3) and dims[3] in (1, 3)
    batch, (rows, columns) = dims[0], dims[1:3] if last else dims[2:]
    channels = dims[3] if last else dims[1] or {"grey": 1, "rgb": 3, "bgr": 3}.get(hints.channels or "", 0)
    if channels not in (1, 3):
        raise EngineError(f"{name} does not say how many channels it takes: give --channels rgb or grey (1 or 3)")
    if hints.channels in ("rgb", "bgr") and channels == 1:
        raise EngineError(f"{name} takes one channel: --channels grey, or leave it out")
    mean, std = normalisation(hints, channels, kind, name)
    free = hints.size or 256
    taken = Understood(
        inputs[0].name,
        kind,
        last,
        batch or 1,
        channels,
        rows or free,
        columns or free,
        mean,
        std,
        "",
        last,
        "logits",
        0,
        True,
        (),
    )
    return _output(model, taken, trial(data, taken, name), hints, name)


def prepared(taken: Understood, grey: NDArray[np.float32]) -> NDArray[Any]:
    """Grey (rows, columns) in 0..1 as the network takes it, by numpy alone."""
    planes = np.stack([(grey - m) / s for m, s in zip(taken.mean, taken.std, strict=True)])[None]
    planes = np.repeat(planes.transpose(0, 2, 3, 1) if taken.last else planes, taken.batch, 0)
    return np.rint(planes).astype(np.uint8) if taken.kind == 2 else planes.astype(SUPPORTED[taken.kind])


def session(data: bytes, name: str) -> Any:
    """The network in plain onnxruntime. Raises EngineError where it does not run there."""
    try:
        ort: Any = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise EngineError("adopting a network needs onnxruntime: pip install 'smartca[build]'") from error
    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    try:
        return ort.InferenceSession(data, settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no other base
        raise EngineError(f"{name} does not run in onnxruntime ({str(error).splitlines()[0]})") from error


def trial(data: bytes, taken: Understood, name: str) -> dict[str, NDArray[Any]]:
    """What the network answers to noise, by the names of its outputs."""
    opened = session(data, name)
    grey = np.random.default_rng(0).random((taken.rows, taken.columns), dtype=np.float32)
    names = [output.name for output in opened.get_outputs()]
    try:
        return dict(zip(names, opened.run(names, {taken.input: prepared(taken, grey)}), strict=True))
    except Exception as error:  # as above
        size = f"{taken.rows} x {taken.columns}"
        raise EngineError(f"{name} does not take {size} pixels ({str(error).splitlines()[0]}); try --size") from error


def _output(
    model: ModelProto, taken: Understood, found: dict[str, NDArray[Any]], hints: Hints, name: str
) -> Understood:
    maps = {key: part for key, part in found.items() if np.ndim(part) == 4 and part.dtype.kind == "f"}
    chosen = hints.output_name or ("out" if "out" in maps else next(iter(maps), ""))
    if chosen not in maps:
        told = ", ".join(f"{key} {np.shape(part)}" for key, part in found.items())
        raise EngineError(
            f"{name} gives no map of confidences ({told}): give --output-name, or export it without its end"
        )
    values = maps[chosen]
    if not np.isfinite(values).all():
        raise EngineError(f"{name} answers with NaN or infinity in {chosen}; is the normalisation the right one?")
    shape = values.shape
    near = taken.rows // min(taken.rows, 8), taken.columns // min(taken.columns, 8)
    last = taken.last and shape[3] < 64 and shape[1] >= near[0] and shape[2] >= near[1]
    classes = shape[3] if last else shape[1]
    form, index = _form(hints.output, values, classes, _ends_in(model, chosen), name)
    if index >= classes:
        raise EngineError(f"{name} has {classes} class(es), counted from 0: there is no {form}:{index}")
    inside = bool(values.min() >= 0 and values.max() <= 1)
    sums = values.sum(3 if last else 1)
    raw = form == "logits" or (form == "softmax" and not (inside and np.allclose(sums, 1, atol=1e-3)))
    if form == "sigmoid" and not inside:
        raise EngineError(f"{name} answers from {values.min():.3g} to {values.max():.3g}: these are logits, no sigmoid")
    notes = [f"of {len(found)} outputs {chosen} is taken"] if len(found) > 1 else []
    notes += ["of two classes the second is the tear"] if classes == 2 and hints.output is None else []
    return replace(taken, output=chosen, output_last=last, form=form, index=index, raw=raw, notes=tuple(notes))


def _form(asked: str | None, values: NDArray[Any], classes: int, end: str, name: str) -> tuple[str, int]:
    """(form, class). Raises EngineError where only the person can know."""
    if asked is not None:
        form, _, number = asked.partition(":")
        if form not in ("logits", "sigmoid", "softmax") or not (number or "0").isdigit():
            raise EngineError(f"--output {asked} is not understood; write logits, sigmoid or softmax:INDEX")
        return form, int(number or (1 if form == "softmax" and classes == 2 else 0))
    if classes > 2:
        raise EngineError(f"{name} tells {classes} classes apart: say which one is the tear, --output softmax:INDEX")
    if classes == 2:
        return ("sigmoid" if end == "Sigmoid" else "softmax"), 1
    if end == "Sigmoid":
        return "sigmoid", 0
    if values.min() < 0 or values.max() > 1:
        return "logits", 0
    raise EngineError(f"{name} may end in logits or in a confidence: give --output logits or --output sigmoid")


def _ends_in(model: ModelProto, output: str) -> str:
    """The operator that makes `output`, behind those that only move numbers."""
    makers = {tensor: node for node in model.graph.node for tensor in node.output}
    while output in makers and makers[output].op_type in THROUGH:
        output = makers[output].input[0]
    return makers[output].op_type if output in makers else ""
