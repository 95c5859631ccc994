"""What OpenVINO needs to be quick with a Q/DQ network: changed in memory, while the file stays what TensorRT takes.

TensorRT wants signed INT8 without a zero point everywhere. x86 multiplies unsigned by signed bytes, so where a tensor
cannot be negative (behind ReLU and the like) its range is told as 0..255 instead of -128..127: the same range in steps
half as wide, and no zero point for the convolutions to make up for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .openvino_import import ov
from .quick_confidence import shorten

KEEPS_SIGN = ("Interpolate", "MaxPool", "AvgPool", "ReduceMean", "ReduceMax", "Convert", "Reshape", "FakeQuantize")
NEVER_NEGATIVE = ("Relu", "Sigmoid", "SoftPlus", "Softmax", "Exp", "Sqrt")
STEPS = 127.0  # of a signed range on one side
FINE_STEPS = 255.0


def is_quantised(network: ov.Model) -> bool:
    """Whether the network brings INT8 ranges of its own."""
    return any(node.get_type_name() == "FakeQuantize" for node in network.get_ops())


def make_quick(network: ov.Model) -> None:
    """Change a Q/DQ network, as read from its file, so that OpenVINO computes it quickly on a CPU."""
    sign = _Sign()
    for node in network.get_ordered_ops():
        kind = node.get_type_name()
        if kind == "FakeQuantize" and _is_signed_byte(node) and sign.never_negative(node.input_value(0)):
            _tell_unsigned(node)
        elif kind == "Interpolate":
            enlarge_quickly(node)
    shorten(network)
    network.validate_nodes_and_infer_types()


class _Sign:
    """Which tensors cannot be negative, as far as that can be told from the layers before them."""

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}

    def never_negative(self, tensor: ov.Output) -> bool:
        node = tensor.get_node()
        name = node.get_name()
        if name not in self._known:
            self._known[name] = self._look(node)
        return self._known[name]

    def _look(self, node: ov.Node) -> bool:
        kind, inputs = node.get_type_name(), node.input_values()
        if kind in NEVER_NEGATIVE:
            return True
        if kind == "Constant":
            return bool(np.all(_values(node) >= 0))
        if kind == "Clamp":
            return node.get_attributes()["min"] >= 0
        if kind in KEEPS_SIGN:
            return self.never_negative(inputs[0])
        if kind == "Maximum":
            return any(map(self.never_negative, inputs))
        if kind == "Subtract":  # of a zero point of 0, in a DequantizeLinear
            zero = _constant(inputs[1])
            return zero is not None and not zero.any() and self.never_negative(inputs[0])
        if kind in ("Minimum", "Multiply", "Add", "Concat"):
            return all(map(self.never_negative, inputs))
        return False


def _is_signed_byte(quantise: ov.Node) -> bool:
    """Whether a computed tensor, not a weight, becomes signed INT8 in one range for all its channels."""
    low, high = _constant(quantise.input_value(3)), _constant(quantise.input_value(4))
    computed = quantise.input_value(0).get_node().get_type_name() != "Constant"
    whole = all(_constant(quantise.input_value(port)) is not None for port in (1, 2))
    return computed and whole and low is not None and high is not None and (low == -128).all() and (high == 127).all()


def _tell_unsigned(quantise: ov.Node) -> None:
    """Signed INT8 behind `quantise` becomes unsigned of the same largest value; anything unusual is left as it is."""
    opset = ov.opset13
    top = _constant(quantise.input_value(2))
    pairs = _dequantised(quantise)
    if top is None or top.size != 1 or float(top.max()) <= 0 or not pairs:
        return
    highest = float(top.max())

    def number(value: float) -> ov.Node:
        return opset.constant(np.float32(value))

    ends = number(0.0), number(highest), number(0.0), number(FINE_STEPS)
    bytes_ = opset.convert(opset.fake_quantize(quantise.input_value(0), *ends, 256), "u8")
    for multiply in pairs:
        again = opset.multiply(opset.convert(bytes_, "f32"), number(highest / FINE_STEPS))
        multiply.output(0).replace(again.output(0))


def _dequantised(quantise: ov.Node) -> list[ov.Node]:
    """The Multiply at the end of every DequantizeLinear behind `quantise`; none where something else takes its bytes.

    ONNX' QuantizeLinear is read as FakeQuantize, Convert; DequantizeLinear as Convert, perhaps Subtract, Multiply.
    """
    found: list[ov.Node] = []
    for convert in _takers(quantise):
        if convert.get_type_name() != "Convert":
            return []
        for back in _takers(convert):
            chain = [back, *_takers(back)]
            if len(chain) != 2:
                return []
            if chain[1].get_type_name() == "Subtract":
                zero = _constant(chain[1].input_value(1))
                if zero is None or zero.any():
                    return []
                chain += _takers(chain[1])
            if chain[0].get_type_name() != "Convert" or chain[-1].get_type_name() != "Multiply":
                return []
            found.append(chain[-1])
    return found


def enlarge_quickly(resize: ov.Node) -> None:
    """Twofold bilinear enlargement of one channel: columns by a product, rows by blending; a fifth of the time.

    Equal to 2e-7.
    """
    before, after = resize.input_value(0).get_partial_shape(), resize.output(0).get_partial_shape()
    if before.is_dynamic or after.is_dynamic:
        return
    (pictures, channels, rows, columns), large = before.to_shape(), after.to_shape()
    told = resize.get_attributes()
    usual = told.get("mode") == "linear_onnx" and told.get("coordinate_transformation_mode") == "half_pixel"
    if not usual or (pictures, channels) != (1, 1) or list(large)[2:] != [2 * rows, 2 * columns]:
        return
    opset = ov.opset13
    wide = opset.matmul(resize.input_value(0), opset.constant(_twice(columns)), False, True)

    def part(start: int, end: int) -> ov.Node:
        return opset.slice(wide, *(opset.constant(np.array([n], np.int64)) for n in (start, end, 1, 2)))

    def share(node: ov.Node, weight: float) -> ov.Node:
        return opset.multiply(node, opset.constant(np.float32(weight)))

    above = opset.concat([part(0, 1), part(0, rows - 1)], 2)
    below = opset.concat([part(1, rows), part(rows - 1, rows)], 2)
    even, odd = (opset.add(share(wide, 0.75), share(other, 0.25)) for other in (above, below))
    shape = opset.constant(np.array([1, 1, 2 * rows, 2 * columns], np.int64))
    resize.output(0).replace(opset.reshape(opset.concat([even, odd], 3), shape, False).output(0))


def _twice(size: int) -> NDArray[np.float32]:
    """(2 size, size): row i holds the weights of the pixels that enlarged pixel i lies between."""
    weights = np.zeros((2 * size, size), np.float32)
    for place in range(2 * size):
        centre = (place + 0.5) / 2 - 0.5
        left = int(np.floor(centre))
        for pixel, weight in ((left, left + 1 - centre), (left + 1, centre - left)):
            weights[place, min(max(pixel, 0), size - 1)] += weight
    return weights


def _takers(node: ov.Node) -> list[ov.Node]:
    return [port.get_node() for port in node.output(0).get_target_inputs()]


def _constant(tensor: ov.Output) -> NDArray[np.float64] | None:
    """A constant's values, also behind a Convert; None for what is computed."""
    node = tensor.get_node()
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return _values(node) if node.get_type_name() == "Constant" else None


def _values(node: ov.Node) -> NDArray[np.float64]:
    return np.asarray(node.get_data(), np.float64)
