"""IPLF's posterior in a third of its steps, in memory: the same confidence from the same score of every pixel.

As exported (`train.losses`), with score x and the loss' beta and gamma as its constants:
logit(q) = logaddexp(x, log softplus(x) + log b) - g softplus(-x). Written so it cannot overflow, and slow, as OpenVINO
has no quick logarithm. With x held within +-40, as it is, the same is q = t / (1 + t),
t = (exp(x) + b softplus(x)) exp(g (x - softplus(x))).
"""

from __future__ import annotations

import numpy as np

from .openvino_import import ov

HELD = 40.0  # the exported score lies within +- this, so that exp(x) is a float32
SOFTPLUS = "Select(Greater({0},#),{0},SoftPlus({0}))"
LOW = "Minimum(#,Maximum(#,x))"  # the score once more, held away from the logarithm of 0
LOG_SOFTPLUS = f"Add(Select(Less(x,#),x,Log({SOFTPLUS.format(LOW)})),#)"
BOTH = f"x,{LOG_SOFTPLUS}"
LOGIT = (
    f"Add(Subtract(#,Multiply({SOFTPLUS.format('Negative(x)')},#)),"
    f"Add(Maximum({BOTH}),Log(Add(Exp(Subtract(Minimum({BOTH}),Maximum({BOTH}))),#))))"
)
BLOCK = LOG_SOFTPLUS.count("#")
LARGE = 20.0  # from here on the export's softplus is its argument
LOW_ENOUGH = -10.0  # below it log softplus(x) is x to within 3e-5
DEEPEST = 16  # operations from q to the score: more would not be this posterior
MOST = float(np.finfo(np.float32).max)


def shorten(network: ov.Model) -> bool:
    """Replace the posterior where it is exactly the one above; whether it was."""
    sigmoids = [node for node in network.get_ordered_ops() if node.get_type_name() == "Sigmoid"]
    return any(_shorten(node) for node in sigmoids)


def _shorten(sigmoid: ov.Node) -> bool:
    score = _score(sigmoid)
    numbers: list[float] = []
    if score is None or _spelt(sigmoid.input_value(0).get_node(), score, numbers) != LOGIT:
        return False
    zero, large, exponent, *rest = numbers
    blocks = [rest[start : start + BLOCK] for start in range(0, 3 * BLOCK, BLOCK)]
    low, *bounds, shift = blocks[0]
    known = [MOST, low, LARGE, MOST, low, MOST, low]
    if (zero, large, rest[-1]) != (0.0, LARGE, 1.0) or blocks != [blocks[0]] * 3 or bounds != known or low > LOW_ENOUGH:
        return False
    weight = float(np.exp(shift))
    opset = ov.opset13
    x = score.output(0)
    soft = opset.softplus(x)
    power = opset.exp(opset.multiply(opset.subtract(x, soft), opset.constant(np.float32(exponent))))
    odds = opset.multiply(opset.add(opset.exp(x), opset.multiply(soft, opset.constant(np.float32(weight)))), power)
    q = opset.divide(odds, opset.add(odds, opset.constant(np.float32(1.0))))
    sigmoid.output(0).replace(q.output(0))
    return True


def _score(sigmoid: ov.Node) -> ov.Node | None:
    """The score that the posterior is of, if it is held within bounds, as Minimum(HELD, Maximum(-HELD, ...))."""
    node = sigmoid.input_value(0).get_node()
    for kind, port in (("Add", 1), ("Add", 0), ("Maximum", 0)):
        if node.get_type_name() != kind:
            return None
        node = node.input_value(port).get_node()
    held = node.get_type_name() == "Minimum" and _number(node.input_value(0)) == HELD
    below = node.input_value(1).get_node() if held else node
    return node if held and below.get_type_name() == "Maximum" and _number(below.input_value(0)) == -HELD else None


def _spelt(node: ov.Node, score: ov.Node, numbers: list[float], deep: int = DEEPEST) -> str:
    """The expression as a string: x for the score, # for a number, which is put into `numbers`, else '?'."""
    if node.get_friendly_name() == score.get_friendly_name():
        return "x"
    if deep == 0:
        return "?"
    if node.get_type_name() == "Constant":
        value = _number(node.output(0))
        numbers.append(np.nan if value is None else value)
        return "?" if value is None else "#"
    inside = ",".join(_spelt(value.get_node(), score, numbers, deep - 1) for value in node.input_values())
    return f"{node.get_type_name()}({inside})"


def _number(tensor: ov.Output) -> float | None:
    node = tensor.get_node()
    if node.get_type_name() != "Constant":
        return None
    values = np.asarray(node.get_data(), np.float64)
    return float(values.ravel()[0]) if values.size == 1 else None
