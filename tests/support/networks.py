"""Networks small enough to build on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from smartca.engine import OperatingPoint, plan
from smartca.engine.operating_point import Setting, save_point
from smartca.files import sha256


def brightness_network(path: Path, shape: tuple[int, ...] = (1, 1, 64, 64), tells_more: bool = False) -> Path:
    """A network of one layer: q is high where the picture is bright (mean over 9 x 9 pixels above 0.6).

    With `tells_more` its second output is (the brightest q, ten times the picture's mean) as (tear, strange).
    """
    channels = shape[1]
    weights = np.full((1, channels, 9, 9), 1 / (81 * channels), np.float32)
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["mean"], pads=[4] * 4),
        helper.make_node("Mul", ["mean", "gain"], ["scaled"]),
        helper.make_node("Add", ["scaled", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["q"]),
    ]
    constants = [
        helper.make_tensor("w", TensorProto.FLOAT, weights.shape, weights.ravel()),
        helper.make_tensor("gain", TensorProto.FLOAT, [], [50.0]),
        helper.make_tensor("bias", TensorProto.FLOAT, [], [-30.0]),
    ]
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("q", TensorProto.FLOAT, [1, 1, *shape[2:]])]
    if tells_more:
        nodes += [
            helper.make_node("ReduceMax", ["q"], ["most"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("ReduceMean", ["image"], ["mean grey"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Mul", ["mean grey", "ten"], ["strange"]),
            helper.make_node("Concat", ["most", "strange"], ["flat"], axis=0),
            helper.make_node("Reshape", ["flat", "row"], ["picture"]),
        ]
        constants.append(helper.make_tensor("ten", TensorProto.FLOAT, [], [10.0]))
        constants.append(helper.make_tensor("row", TensorProto.INT64, [2], [1, 2]))
        outputs.append(helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 2]))
    graph = helper.make_graph(nodes, "brightness", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


def quantised(path: Path, source: Path, zero: int = 0) -> Path:
    """`source`, a brightness network, with Q/DQ nodes around its convolution: INT8, symmetric, its bias in fp32."""
    model = onnx.load(str(source))
    graph = model.graph
    weights = numpy_helper.to_array(graph.initializer[0])
    scale = float(np.abs(weights).max() / 127)
    for name, value in (("input scale", 1 / 127), ("weight scale", scale)):
        graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT, [], [value]))
    graph.initializer.append(helper.make_tensor("zero", TensorProto.INT8, [], [zero]))
    graph.initializer.append(numpy_helper.from_array(np.round(weights / scale).astype(np.int8), "w int8"))
    nodes = list(graph.node)
    nodes[0].input[:] = ["image dq", "w dq"]
    del graph.node[:]
    graph.node.append(helper.make_node("QuantizeLinear", ["image", "input scale", "zero"], ["image q"]))
    graph.node.append(helper.make_node("DequantizeLinear", ["image q", "input scale", "zero"], ["image dq"]))
    graph.node.append(helper.make_node("DequantizeLinear", ["w int8", "weight scale", "zero"], ["w dq"]))
    graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return path


def int8_beside(network: Path, gated: bool = True, weights: str | None = None) -> Path:
    """What `smartca build --precision int8 --calibrate` leaves beside a network, made by hand."""
    engine = quantised(network.with_name(f"{network.stem}-int8.onnx"), network)
    from smartca import __version__
    from smartca.engine.machine import library_version

    made = plan.EnginePlan(
        onnx_sha256=weights or sha256(network),
        backend="openvino",
        backend_version=library_version("openvino") or "",
        precision="int8",
        calibration="ab" * 32,
        smartca_version=__version__,
    )
    told = plan.BuildSheet(
        plan=made,
        engine_sha256=sha256(engine),
        model="elsewhere.onnx",
        input=plan.Input("image", (1, 1, 64, 64)),
        outputs=("q",),
        layers={},
    )
    plan.save_sheet(engine, told)
    if gated:
        plan.record_gate(engine, {"accepted": True, "dice_change": -0.001})
    return engine


def three_points(model: Path) -> Path:
    """The model, calibrated by hand: q of 0.2 is nothing to careful, unsure to balanced, outlined by searching."""
    points: dict[Literal["careful", "searching"], Setting] = {"careful": Setting(0.6), "searching": Setting(0.1)}
    save_point(OperatingPoint(sha256(model), 0.5, unsure=0.1, points=points), model)
    return model
