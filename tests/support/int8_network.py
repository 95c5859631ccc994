"""Four convolutions that outline what is bright, and pictures with something bright in them, for the tests of INT8."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper
from smartca.calibration.int8.picture_choice import CalibrationPicture
from smartca.pictures.pixels import Grey

SIZE = 64
LAYERS = ("stem", "body", "neck", "head")


def layered(loud: float = 1.0, heads: bool = False, squeeze: bool = False) -> ModelProto:
    """q is high where the picture is bright (about 0.6 and more), by way of stem, body, neck and head.

    loud: by how much the first channel between stem and body is greater than the second. The body looks at the second
    only, so that the answer is the same for any; in INT8 both have one range, which then leaves the second nothing.
    heads: (tear, strange) beside q, of what is pooled behind the neck. squeeze: the neck gets the body's channels
    each times its mean.
    """
    nodes = [
        *_convolution("image", "stem"),
        *_convolution("stem", "body"),
        *_convolution("squeezed" if squeeze else "body", "neck"),
        *_convolution("neck", "head", activation="Sigmoid", output="q"),
    ]
    if squeeze:
        nodes[4:4] = [
            helper.make_node("GlobalAveragePool", ["body"], ["mean"], "pool of the body"),
            helper.make_node("Mul", ["body", "mean"], ["squeezed"]),
        ]
    outputs = [helper.make_tensor_value_info("q", onnx.TensorProto.FLOAT, [1, 1, SIZE, SIZE])]
    constants = _weights(loud)
    if heads:
        nodes += [
            helper.make_node("ReduceMean", ["neck"], ["pooled"], axes=[2, 3], keepdims=0),
            helper.make_node("Mul", ["pooled", "gain"], ["scaled"]),
            helper.make_node("Sigmoid", ["scaled"], ["picture"]),
        ]
        outputs.append(helper.make_tensor_value_info("picture", onnx.TensorProto.FLOAT, [1, 2]))
        constants["gain"] = np.array([[5.0, 0.5]])
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()]
    inputs = [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 1, SIZE, SIZE])]
    model = helper.make_model(
        helper.make_graph(nodes, "layered", inputs, outputs, tensors),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _convolution(taken: str, name: str, activation: str = "Relu", output: str = "") -> list[onnx.NodeProto]:
    wanted = [taken, f"network.{name}.weight", f"network.{name}.bias"]
    return [
        helper.make_node("Conv", wanted, [f"{name} sum"], pads=[1] * 4),
        helper.make_node(activation, [f"{name} sum"], [output or name]),
    ]


def _weights(loud: float) -> dict[str, NDArray[np.float64]]:
    smooth, middle, nothing = np.full((3, 3), 1 / 9), np.zeros((3, 3)), np.zeros((3, 3))
    middle[1, 1] = 1.0
    kernels = {
        "stem": [[loud * middle], [smooth]],
        "body": [[nothing, smooth], [nothing, middle]],
        "neck": [[middle / 2, middle / 2], [middle, nothing]],
        "head": [[50 * middle, nothing]],
    }
    biases = {"stem": [0.0, 0.0], "body": [0.01, 0.02], "neck": [0.0, 0.01], "head": [-31.0]}
    found = {f"network.{name}.weight": np.array(kernel) for name, kernel in kernels.items()}
    return found | {f"network.{name}.bias": np.array(bias) for name, bias in biases.items()}


def clip(folder: Path, squares: Sequence[Grey]) -> Path:
    """A new folder with these pictures."""
    folder.mkdir()
    for number, square in enumerate(squares):
        cv2.imwrite(str(folder / f"{number:03}.png"), square)
    return folder


def saved(folder: Path, model: ModelProto) -> Path:
    """The network as a file."""
    path = folder / "layered.onnx"
    onnx.save(model, str(path))
    return path


def shown(seed: int, truth: bool = True) -> CalibrationPicture:
    """Noise between dark and half bright with one bright rectangle in it, which is the truth."""
    random = np.random.default_rng(seed)
    square = random.integers(100, 120, (SIZE, SIZE), dtype=np.uint8)
    top, left, height, width = random.integers((4, 4, 14, 14), (30, 30, 30, 30))
    inside = np.zeros(square.shape, np.bool_)
    inside[top : top + height, left : left + width] = True
    square[inside] += 90
    return CalibrationPicture(square, inside if truth else None)


def several(seeds: range, truth: bool = True) -> list[CalibrationPicture]:
    """One picture for each seed."""
    return [shown(seed, truth) for seed in seeds]
