"""Anybody's segmentation network: what it is told to be, and the same masks as in plain onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from smartca.cli import main
from smartca.engine import open_segmenter
from smartca.engine.building.assembly import Options
from smartca.engine.building.build import build_engine
from smartca.engine.passport import read_passport

MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
IMAGENET = ("--range", "imagenet")
PLAIN = ("--range", "0..1")


class Form(NamedTuple):
    """How a network stands in its file, and what `smartca adopt` must be told of it."""

    options: tuple[str, ...]
    shape: tuple[int | str, ...] = (1, 3, 96, 96)  # as declared
    classes: int = 1
    end: str = ""  # the operator it ends in
    scale: str = "imagenet"
    tear: int = 0  # the tear's class
    kind: int = TensorProto.FLOAT
    stride: int = 1
    others: tuple[str, ...] = ()  # further outputs
    opset: int = 17
    size: tuple[int, int] = (96, 96)
    axis: int = 1  # of the channels


FORMS = {
    "logits, ImageNet": Form(IMAGENET),
    "sigmoid": Form(IMAGENET, end="Sigmoid"),
    "one channel": Form(PLAIN, (1, 1, 96, 96), scale="0..1"),
    "bytes as floats": Form(("--range", "0..255"), (1, 1, 96, 96), scale="0..255"),
    "mean and std of 0..255": Form(("--mean", "123.675,116.28,103.53", "--std", "58.395 57.12 57.375")),
    "bytes": Form((), (1, 3, 96, 96), scale="0..255", kind=TensorProto.UINT8),
    "half precision": Form(IMAGENET, kind=TensorProto.FLOAT16),
    "two classes, probabilities": Form(IMAGENET, classes=2, end="Softmax", tear=1),
    "two classes, raw": Form(IMAGENET, classes=2, tear=1),
    "the first class": Form((*IMAGENET, "--output", "softmax:0"), classes=2),
    "five classes": Form((*IMAGENET, "--output", "softmax:3"), classes=5, tear=3),
    "landscape": Form(PLAIN, (1, 3, 64, 112), scale="0..1", size=(64, 112)),
    "portrait": Form(PLAIN, (1, 1, 112, 64), scale="0..1", size=(112, 64)),
    "any size and number": Form((*IMAGENET, "--size", "96"), ("n", 3, "h", "w")),
    "any channels": Form((*IMAGENET, "--size", "96", "--channels", "rgb"), ("n", "c", "h", "w")),
    "four at once": Form(IMAGENET, (4, 3, 96, 96)),
    "channels last": Form(IMAGENET, (1, 96, 96, 3), axis=3),
    "channels last, classes": Form(IMAGENET, (1, 96, 96, 3), 2, "Softmax", tear=1, axis=3),
    "a quarter of the size": Form(IMAGENET, stride=4),
    "several outputs": Form((*IMAGENET, "--output-name", "mask"), others=("aux", "boxes")),
    "an old file": Form(IMAGENET, opset=11),
}


def network(path: Path, form: Form) -> Path:
    """A convolution over 5 x 5 pixels, class by class, in that form."""
    rng, nodes = np.random.default_rng(3), []
    channels = 1 if 1 in (form.shape[1], form.shape[3])[:1] else 3
    weights = (rng.normal(size=(form.classes, channels, 5, 5)) / 5).astype(np.float32)
    weights -= 0.98 * weights.mean((2, 3), keepdims=True)  # about as many pixels above the threshold as below
    weights *= 4 if form.classes > 2 else 1  # one of many must win clearly to be above .5
    if form.scale == "0..255":
        weights /= 255
    last, x = form.axis == 3, "picture"
    if form.kind == TensorProto.UINT8:
        nodes.append(helper.make_node("Cast", [x], ["floats"], to=1))
        x = "floats"
    if last:
        nodes.append(helper.make_node("Transpose", [x], ["first"], perm=[0, 3, 1, 2]))
        x = "first"
    half = form.kind == TensorProto.FLOAT16
    kernel = numpy_helper.from_array(weights.astype(np.float16 if half else np.float32), "w")
    nodes.append(helper.make_node("Conv", [x, "w"], ["raw"], pads=[2] * 4, strides=[form.stride] * 2))
    x = "raw"
    if last:
        nodes.append(helper.make_node("Transpose", [x], ["last"], perm=[0, 2, 3, 1]))
        x = "last"
    end = helper.make_node(form.end or "Identity", [x], ["mask"])
    end.attribute.extend([helper.make_attribute("axis", form.axis)] if form.end == "Softmax" else [])
    nodes.append(end)
    nodes += [helper.make_node("GlobalAveragePool", ["raw"], [name]) for name in form.others]
    float_kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    ends = [
        helper.make_tensor_value_info(name, float_kind, None) for name in (*form.others[:1], "mask", *form.others[1:])
    ]
    graph = helper.make_graph(
        nodes, "theirs", [helper.make_tensor_value_info("picture", form.kind, form.shape)], ends, [kernel]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", form.opset)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


def plain_mask(path: Path, form: Form, grey: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """What its maker would do with onnxruntime: scale, run, take the class, outline at .5."""
    channels = 1 if form.shape[1] == 1 else 3
    x = np.repeat(grey[None].astype(np.float32), channels, 0)
    if form.scale != "0..255":
        x /= 255
    if form.scale == "imagenet":
        x = (x - MEAN[:, None, None]) / STD[:, None, None]
    x = x.transpose(1, 2, 0)[None] if form.axis == 3 else x[None]
    kinds: dict[int, Any] = {TensorProto.UINT8: np.uint8, TensorProto.FLOAT16: np.float16}
    batch = form.shape[0] if isinstance(form.shape[0], int) else 1
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    fed = np.repeat(x, batch, 0).astype(kinds.get(form.kind, np.float32))
    (values,) = session.run(["mask"], {"picture": fed})
    values = np.moveaxis(np.asarray(values)[0], -1, 0) if form.axis == 3 else np.asarray(values)[0]
    values = values.astype(np.float32)
    if form.classes > 1 and form.end != "Softmax":
        values = np.exp(values) / np.exp(values).sum(0)
    one = cv2.resize(values[form.tear], grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return one >= (0.0 if form.classes == 1 and not form.end else 0.5)


def adopt(capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["adopt", *map(str, words)])
    return int(ended.value.code or 0), "".join(capfd.readouterr())


def pictures(size: tuple[int, int]) -> Sequence[NDArray[np.uint8]]:
    rng = np.random.default_rng(5)
    smooth = [cv2.GaussianBlur(rng.integers(0, 256, size).astype(np.uint8), (0, 0), s) for s in (0.8, 2.0)]
    return [np.asarray(cv2.normalize(one, one, 0, 255, cv2.NORM_MINMAX), np.uint8) for one in smooth]


@pytest.mark.parametrize("name", FORMS)
def test_masks_are_those_of_plain_onnxruntime(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    form = FORMS[name]
    theirs, ours = network(tmp_path / "theirs.onnx", form), tmp_path / "ours.onnx"
    code, told = adopt(capfd, theirs, *form.options, "-o", ours)
    assert code == 0, told
    assert f"{form.size[0]} x {form.size[1]} pixels" in told
    with open_segmenter(ours, precision="fp32") as segmenter:
        assert segmenter.point.threshold == 0.5 and "adopted from theirs.onnx" in segmenter.point.fitted_on
        for grey in pictures(form.size):
            wanted = plain_mask(theirs, form, grey)
            assert 0.02 < wanted.mean() < 0.98  # else it would prove nothing
            rounding = 1e-3 if form.kind == TensorProto.FLOAT16 else 1e-4
            assert np.mean(segmenter(grey).mask != wanted) <= rounding
    assert read_passport(ours)["adopted"] == "theirs.onnx"
    engine = build_engine(ours, Options("openvino", "fp16"), lambda *_: None, tmp_path / "cache")
    with open_segmenter(engine) as segmenter:
        grey = pictures(form.size)[1]
        assert np.mean(segmenter(grey).mask != plain_mask(theirs, form, grey)) <= 0.01


def test_nothing_of_a_picture_of_another_shape_is_cut_off(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A square picture in a network for broad ones: a bright spot at its upper edge is still found."""
    weights = np.full((1, 1, 3, 3), 1 / 9, np.float32)
    form = FORMS["landscape"]._replace(shape=(1, 1, 64, 112))
    theirs = network(tmp_path / "t.onnx", form)
    model = onnx.load(str(theirs))
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w"))
    model.graph.node[0].attribute[0].ints[:] = [1] * 4
    onnx.save(model, str(theirs))
    code, told = adopt(capfd, theirs, *PLAIN, "--output", "sigmoid", "-o", tmp_path / "o.onnx")
    assert code == 0, told
    grey = np.full((224, 224), 60, np.uint8)
    grey[2:40, 90:140] = 255
    with open_segmenter(tmp_path / "o.onnx", precision="fp32") as segmenter:
        mask = segmenter(grey).mask
    assert mask[10:35, 97:133].all() and not mask[60:].any()


@pytest.mark.parametrize("size", [(101, 101), (75, 101)])
def test_a_size_that_is_no_multiple_of_16(
    size: tuple[int, int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The square is a little larger than the network, so its masks are nearly those of the network alone."""
    form = Form(PLAIN, (1, 1, *size), scale="0..1", size=size)
    theirs = network(tmp_path / "theirs.onnx", form)
    code, told = adopt(capfd, theirs, *PLAIN, "-o", tmp_path / "ours.onnx")
    assert code == 0, told
    grey = np.asarray(cv2.GaussianBlur(np.random.default_rng(5).random(size).astype(np.float32), (0, 0), 4), np.float32)
    grey = ((grey - grey.min()) / np.ptp(grey) * 255).astype(np.uint8)
    with open_segmenter(tmp_path / "ours.onnx", precision="fp32") as segmenter:
        wanted, found = plain_mask(theirs, form, grey), segmenter(grey).mask
    assert 2 * np.count_nonzero(wanted & found) / (wanted.sum() + found.sum()) > 0.9


ASKED = {
    "scaling": ((), Form(()), "--range"),
    "class": (IMAGENET, Form((), classes=3), "--output softmax:INDEX"),
    "channels": (IMAGENET, Form((), ("n", "c", "h", "w")), "--channels"),
    "no such class": ((*IMAGENET, "--output", "softmax:7"), Form((), classes=3), "there is no softmax:7"),
    "no sigmoid": ((*IMAGENET, "--output", "sigmoid"), Form(()), "these are logits"),
    "no such form": ((*IMAGENET, "--output", "argmax"), Form(()), "is not understood"),
    "no such output": ((*IMAGENET, "--output-name", "x"), Form(()), "--output-name"),
    "numbers": (("--mean", "a"), Form(()), "is not understood"),
    "too many numbers": (("--mean", "1,2", "--std", "1"), Form(()), "one number, or one for each"),
    "both": (("--range", "0..1", "--mean", "0"), Form(()), "one of the two"),
    "three of one": ((*PLAIN, "--channels", "rgb"), Form((), (1, 1, 96, 96)), "takes one channel"),
}


@pytest.mark.parametrize("what", ASKED)
def test_what_cannot_be_known_is_asked_in_one_sentence(
    what: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options, form, words = ASKED[what]
    theirs = network(tmp_path / "theirs.onnx", form)
    code, told = adopt(capfd, theirs, *options, "-o", tmp_path / "ours.onnx")
    assert code == 2 and words in told and "Traceback" not in told, told
    assert not (tmp_path / "ours.onnx").exists()
    assert theirs.is_file()


def test_what_is_no_onnx_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no network")
    code, told = adopt(capfd, bad, *PLAIN, "-o", tmp_path / "ours.onnx")
    assert code == 2 and "is no ONNX file" in told
    code, told = adopt(capfd, tmp_path / "absent.onnx", *PLAIN, "-o", tmp_path / "ours.onnx")
    assert code == 2 and "there is no file" in told
    theirs = network(tmp_path / "theirs.onnx", FORMS["sigmoid"])
    before = theirs.read_bytes()
    code, told = adopt(capfd, theirs, *IMAGENET, "-o", theirs)
    assert code == 2 and theirs.read_bytes() == before


def test_weights_in_another_file_come_into_one(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    theirs = network(tmp_path / "theirs.onnx", FORMS["sigmoid"])
    onnx.save(
        onnx.load(str(theirs)), str(theirs), save_as_external_data=True, location="theirs.onnx.data", size_threshold=0
    )
    code, told = adopt(capfd, theirs, *IMAGENET, "-o", tmp_path / "ours.onnx")
    assert code == 0, told
    (tmp_path / "theirs.onnx.data").unlink()
    open_segmenter(tmp_path / "ours.onnx").close()
    code, told = adopt(capfd, theirs, *IMAGENET, "-o", tmp_path / "ours.onnx")
    assert code == 2 and "theirs.onnx.data, which is not beside it" in told
