"""What several tests need: frames with known contents, and networks small enough to build on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from smartca.engine import Sector
from smartca.stream.frame import Frame, Result, State, Trail


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


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A model file that outlines what is bright."""
    return brightness_network(tmp_path / "bright.onnx")


def make_frame(seq: int = 0, epoch: int = 7, live: bool = True, colour: bool = False, truth: bool = True) -> Frame:
    """A frame of 48 rows x 64 columns with a bright square, which is also its truth."""
    pixels = np.random.default_rng(seq).integers(30, 90, (48, 64), dtype=np.uint8)
    pixels[10:30, 20:44] = 255
    mask = np.zeros((48, 64), np.bool_)
    mask[10:30, 20:44] = True
    return Frame(
        np.repeat(pixels[:, :, None], 3, axis=2) if colour else pixels,
        "a feed",
        epoch,
        seq,
        1_000_000 * seq,
        live,
        Sector(4, 2, 56, 44),
        (0.1, 0.2),
        25.0,
        mask if truth else None,
        attached=Trail(epoch, seq + 1, {"newer frame at the scanner": 2}),
    )


def make_result(frame: Frame, state: State = State.TEAR_OUTLINED) -> Result:
    """A result for `frame`: its truth as mask, shifted by nothing."""
    served = Trail(99, frame.seq + 1, {})
    if state is State.NO_RESULT:
        return Result(state, reason="the engine failed", engine="abc", served=served)
    mask = np.zeros(frame.pixels.shape[:2], np.bool_)
    if state is State.TEAR_OUTLINED:
        mask[10:30, 20:44] = True
    return Result(state, mask, 0.9, "", "abc", 5_000_000, served)
