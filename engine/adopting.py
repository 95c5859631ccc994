"""Somebody else's network inside a graph that keeps our contract, so that every engine runs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..files import sha256, write_whole
from . import onnx_graph
from .building.output_checks import refuse_point
from .contract import EngineError
from .cpu.openvino_import import the_core
from .foreign_network import Hints, Understood, prepared, session, understand
from .operating_point import NOT_CALIBRATED, OperatingPoint, store_point
from .passport import passport

if TYPE_CHECKING:
    from onnx import ModelProto

THEIRS = "their/"  # before every name of theirs
OLDEST = 11  # opset: Resize, Pad and Slice are then as they are today
HALF = 10  # ONNX' number of float16
ROUNDING, HALF_ROUNDING = 1e-5, 2e-3  # of a confidence that two libraries compute in float32, in float16
APART = 1e-4  # of a mask's pixels: one in 10,000


class _Around:
    """Nodes and constants to put around the network."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Any, kind: type = np.float32) -> str:
        from onnx import numpy_helper

        name = f"smartca constant {len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        name = f"smartca {operator} {len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def slice(self, tensor: str, starts: list[int], ends: list[int], axes: list[int]) -> str:
        return self.add("Slice", tensor, *(self.constant(v, np.int64) for v in (starts, ends, axes)))

    def resize(self, tensor: str, shape: tuple[int, ...]) -> str:
        sizes = self.constant(shape, np.int64)
        empty = self.constant([])  # opset 11 wants it; later ones take it
        return self.add(
            "Resize", tensor, empty, empty, sizes, mode="linear", coordinate_transformation_mode="half_pixel"
        )

    def pad(self, tensor: str, rows: tuple[int, int], columns: tuple[int, int]) -> str:
        return self.add("Pad", tensor, self.constant([0, 0, rows[0], columns[0], 0, 0, rows[1], columns[1]], np.int64))


class _Fit:
    """The square to the network's picture and back.

    A picture that lies within the network's rectangle in the middle of the square is taken as it is; any other is
    made smaller as a whole, so that nothing is cut off and nothing is distorted.
    """

    def __init__(self, around: _Around, taken: Understood) -> None:
        self.around, self.taken, self.longer, self.least = around, taken, taken.longer, min(taken.rows, taken.columns)
        self.square = taken.rows == taken.columns
        self.outside = ""

    def into(self, image: str) -> str:
        a, taken, least, longer = self.around, self.taken, self.least, self.longer
        x = a.resize(image, (1, 1, longer, longer)) if longer != taken.side else image
        if self.square:
            return x
        blurred = int(longer != taken.side)  # a picture's edge then reaches one pixel further
        (top, bottom), (left, right) = _around(longer, taken.rows), _around(longer, taken.columns)
        bars = np.ones((1, 1, longer, longer), np.float32)
        bars[
            ...,
            max(top - blurred, 0) : longer - bottom + blurred,
            max(left - blurred, 0) : longer - right + blurred,
        ] = 0
        brightest = a.add("ReduceMax", a.add("Mul", x, a.constant(bars)), keepdims=0)
        self.outside = a.add("Greater", brightest, a.constant(0.0))
        cut = a.slice(x, [top, left], [top + taken.rows, left + taken.columns], [2, 3])
        small = a.pad(a.resize(x, (1, 1, least, least)), _around(taken.rows, least), _around(taken.columns, least))
        return a.add("Where", self.outside, small, cut)

    def back(self, q: str) -> str:
        a, taken, least, longer = self.around, self.taken, self.least, self.longer
        if not self.square:
            first = [_around(taken.rows, least)[0], _around(taken.columns, least)[0]]
            large = a.resize(a.slice(q, first, [n + least for n in first], [2, 3]), (1, 1, longer, longer))
            whole = a.pad(q, _around(longer, taken.rows), _around(longer, taken.columns))
            q = a.add("Where", self.outside, large, whole)
        return a.resize(q, (1, 1, taken.side, taken.side)) if longer != taken.side else q


def _around(outer: int, inner: int) -> tuple[int, int]:
    """Pixels before and behind `inner` in the middle of `outer`."""
    return (outer - inner) // 2, outer - inner - (outer - inner) // 2


def wrapped(model: ModelProto, taken: Understood, facts: dict[str, str]) -> bytes:
    """The network between our picture (1, 1, S, S) in 0..1 and q of the same shape, as ONNX bytes."""
    import onnx
    from onnx import helper

    versions = {one.domain: one.version for one in model.opset_import}
    if versions.get("", OLDEST) < OLDEST:
        model = onnx.version_converter.convert_version(model, 13)
    network = onnx.compose.add_prefix(model, THEIRS)
    around, graph, shape = _Around(), network.graph, [1, 1, taken.side, taken.side]
    fit = _Fit(around, taken)
    picture = _given(around, taken, fit.into("image"))
    around.nodes.append(helper.make_node("Identity", [picture], [THEIRS + taken.input]))
    before = len(around.nodes)
    q = fit.back(_confidence(around, taken, THEIRS + taken.output))
    around.nodes.append(helper.make_node("Reshape", [q, around.constant(shape, np.int64)], ["q"]))
    nodes = [*around.nodes[:before], *graph.node, *around.nodes[before:]]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("image", "q")]
    own = {tensor.name for tensor in graph.initializer}
    kept = [value for value in graph.input if value.name in own]
    made = helper.make_graph(nodes, "adopted", [ends[0], *kept], ends[1:], [*graph.initializer, *around.constants])
    whole = helper.make_model(made, opset_imports=network.opset_import, ir_version=max(8, network.ir_version))
    whole.functions.extend(network.functions)
    helper.set_model_props(whole, facts)
    return whole.SerializeToString()


def _given(around: _Around, taken: Understood, grey: str) -> str:
    """Grey (1, 1, rows, columns) as the network takes it."""
    x = around.add("Concat", *[grey] * taken.channels, axis=1) if taken.channels > 1 else grey
    spread = (1, taken.channels, 1, 1)
    std, mean = (np.array(v, np.float32).reshape(spread) for v in (taken.std, taken.mean))
    x = around.add("Div", around.add("Sub", x, around.constant(mean)), around.constant(std))
    if taken.kind != 1:
        x = around.add("Cast", around.add("Round", x) if taken.kind == 2 else x, to=taken.kind)
    x = around.add("Transpose", x, perm=[0, 2, 3, 1]) if taken.last else x
    return around.add("Concat", *[x] * taken.batch, axis=0) if taken.batch > 1 else x


def _confidence(around: _Around, taken: Understood, answer: str) -> str:
    """The network's answer as q (1, 1, rows, columns)."""
    x = around.add("Cast", answer, to=1)
    x = around.slice(x, [0], [1], [0]) if taken.batch > 1 else x
    last = x if taken.output_last else around.add("Transpose", x, perm=[0, 2, 3, 1])
    if taken.form == "softmax" and taken.raw:
        last = around.add("Softmax", last, axis=3)
    x = around.add("Transpose", around.slice(last, [taken.index], [taken.index + 1], [3]), perm=[0, 3, 1, 2])
    x = around.resize(x, (1, 1, taken.rows, taken.columns))
    if taken.form == "logits":
        x = around.add("Sigmoid", x)
    return around.add("Clip", x, around.constant(0.0), around.constant(1.0))


def plainly(opened: Any, taken: Understood, grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """q (rows, columns) of grey of that shape in plain onnxruntime and numpy: what the wrapped network must say."""
    (answer,) = opened.run([taken.output], {taken.input: prepared(taken, grey)})
    values = answer[0].astype(np.float32)
    values = values if taken.output_last else values.transpose(1, 2, 0)
    if taken.form == "softmax" and taken.raw:
        values = np.exp(values - values.max(2, keepdims=True))
        values /= values.sum(2, keepdims=True)
    one = np.ascontiguousarray(values[..., taken.index])
    if one.shape != grey.shape:
        one = np.asarray(cv2.resize(one, grey.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    return (1 / (1 + np.exp(-one))).astype(np.float32) if taken.form == "logits" else one


def adopt(model: Path, hints: Hints, threshold: float) -> tuple[bytes, Understood, float]:
    """The wrapped network of the ONNX file `model`, what was understood, and the share of mask pixels that differ.

    That is against plain onnxruntime, at `threshold`. Raises EngineError where more than one in 10,000 do, or the
    network is no segmentation or does not tell what must be known; MissingFile for weights that are not there.
    """
    data = onnx_graph.whole_bytes(model)
    network = onnx_graph.read_network(data, model.name)
    with onnx_graph.damage_told(data, model.name):
        taken = understand(network, data, hints, model.name)
        told = "; ".join(taken.sentences())
        ready = wrapped(network, taken, passport(model.stem, taken.side, adopted=model.name, understood=told))
    apart = _apart(ready, data, taken, threshold, model.name)
    if apart > APART:
        raise EngineError(f"{model.name} cannot be adopted: {apart:.2%} of its masks' pixels differ from onnxruntime's")
    return ready, taken, apart


def _apart(ready: bytes, data: bytes, taken: Understood, threshold: float, name: str) -> float:
    core, opened = the_core(), session(data, name)
    try:
        compiled = core.compile_model(core.read_model(ready), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as error:
        raise EngineError(f"OpenVINO cannot run {name}: {str(error).strip().splitlines()[-1]}") from error
    rng, flat, differing, count = np.random.default_rng(0), True, 0, 0
    for grain in (1, 4, 16):
        coarse = rng.integers(0, 256, (-(-taken.rows // grain), -(-taken.columns // grain))).astype(np.float32) / 255
        grey = np.kron(coarse, np.ones((grain, grain), np.float32))[: taken.rows, : taken.columns]
        square = _scaled(_placed(grey, taken.longer), taken.side)
        seen = _scaled(square, taken.longer)[_middle(taken)]
        theirs = plainly(opened, taken, np.ascontiguousarray(seen))
        flat = flat and float(np.ptp(theirs)) == 0.0
        ours = compiled(square[None, None])[0][0, 0]
        # within rounding of the threshold either library may say either
        told = _scaled(_placed(theirs, taken.longer), taken.side)
        sure = np.abs(told - threshold) > (HALF_ROUNDING if taken.kind == HALF else ROUNDING)
        differing += int(np.count_nonzero(sure & ((ours >= threshold) != (told >= threshold))))
        count += taken.rows * taken.columns
    if flat:
        raise EngineError(f"{name} answers with one number everywhere: is the normalisation the right one?")
    return differing / count


def _middle(taken: Understood) -> tuple[slice, slice]:
    """Where the network's rectangle lies in the square around it."""
    top, left = _around(taken.longer, taken.rows)[0], _around(taken.longer, taken.columns)[0]
    return slice(top, top + taken.rows), slice(left, left + taken.columns)


def _placed(picture: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """`picture` in the middle of a black square."""
    return np.pad(picture, [_around(side, n) for n in picture.shape])


def _scaled(square: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    if square.shape == (side, side):
        return square
    return np.asarray(cv2.resize(square, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)


def deliver_adopted(ready: bytes, out: Path, name: str, threshold: float) -> None:
    """Write the wrapped network with its operating point inside and beside it. Raises InputError for a foreign file."""
    refuse_point(out)
    write_whole(out, ready)
    store_point(OperatingPoint(sha256(out), threshold, fitted_on=f"{NOT_CALIBRATED}; adopted from {name}"), out)
