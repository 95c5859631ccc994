"""What is changed in memory for speed changes no answer: enlargement, posterior, unsigned bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.utils import Extractor
from smartca.engine import SHIPPED_MODEL
from smartca.engine.cpu.openvino_import import ov, the_core
from smartca.engine.cpu.quick_confidence import shorten
from smartca.engine.cpu.quick_int8 import enlarge_quickly, make_quick
from smartca.engine.cpu.ready_int8 import place
from smartca.phantom import HELD_OUT_FROM, Phantom

SCORE = "upsample_bilinear2d_3"
SIDE = 256


def tail() -> onnx.ModelProto:
    """The shipped network from the score of every pixel to q."""
    return Extractor(onnx.load(str(SHIPPED_MODEL))).extract_model([SCORE], ["q"])


def answers(network: ov.Model, *inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    compiled = the_core().compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": ov.Type.f32})
    request = compiled.create_infer_request()
    return [np.array(next(iter(request.infer([one]).values()))) for one in inputs]


def read(model: onnx.ModelProto, path: Path) -> ov.Model:
    onnx.save(model, str(path))
    return the_core().read_model(str(path))


def test_the_short_posterior_is_the_same_for_every_score(tmp_path: Path) -> None:
    scores = np.linspace(-60, 60, SIDE * SIDE, dtype=np.float32).reshape(1, 1, SIDE, SIDE)
    long, short = (read(tail(), tmp_path / "tail.onnx") for _ in range(2))
    assert shorten(short) and not shorten(short)
    kinds = [node.get_type_name() for node in short.get_ops()]
    assert kinds.count("SoftPlus") == 1 and "Log" not in kinds and "Select" not in kinds
    (before,), (after,) = answers(long, scores), answers(short, scores)
    assert np.isfinite(after).all() and (before.min(), before.max()) == (pytest.approx(0, abs=1e-6), 1.0)
    assert np.abs(before - after).max() < 2e-6


def exchanged(value: float, by: float, path: Path) -> ov.Model:
    """The tail with one number exchanged, where it is taken last."""
    model = tail()
    (found,) = [t for t in model.graph.initializer if np.allclose(numpy_helper.to_array(t), value)]
    taker = [node for node in model.graph.node if found.name in node.input][-1]
    model.graph.initializer.append(numpy_helper.from_array(np.array(by, np.float32), "another"))
    taker.input[list(taker.input).index(found.name)] = "another"
    return read(model, path)


@pytest.mark.parametrize(("value", "by"), [(20.0, 21.0), (-12.0, -11.0), (40.0, 80.0), (-40.0, -80.0)])
def test_another_posterior_is_left_alone(tmp_path: Path, value: float, by: float) -> None:
    assert not shorten(exchanged(value, by, tmp_path / "tail.onnx"))


@pytest.mark.parametrize(("value", "by"), [(2.0, 3.0), (0.6931472, 0.0)])
def test_other_parameters_of_the_loss_are_understood(tmp_path: Path, value: float, by: float) -> None:
    scores = np.linspace(-30, 30, SIDE * SIDE, dtype=np.float32).reshape(1, 1, SIDE, SIDE)
    network = exchanged(value, by, tmp_path / "tail.onnx")
    (shipped,), (before,) = answers(read(tail(), tmp_path / "shipped.onnx"), scores), answers(network, scores)
    assert np.abs(shipped - before).max() > 0.01
    assert shorten(network)
    assert np.abs(before - answers(network, scores)[0]).max() < 2e-6


def test_quick_enlargement_is_bilinear() -> None:
    network = the_core().read_model(str(SHIPPED_MODEL))
    picture = np.random.default_rng(0).random((1, 1, SIDE, SIDE), np.float32)
    (before,) = answers(network, picture)
    large = [node for node in network.get_ops() if node.get_type_name() == "Interpolate"]
    for node in large:
        enlarge_quickly(node)
    left = [node for node in network.get_ops() if node.get_type_name() == "Interpolate"]
    assert len(left) == len(large) - 1  # that of one channel
    assert np.abs(before - answers(network, picture)[0]).max() < 1e-5


def test_the_int8_network_answers_as_its_file_says() -> None:
    """Unsigned bytes behind ReLU are finer steps of the same range: closer to fp32, if anything."""
    picture = Phantom(HELD_OUT_FROM + 1, kind="full").frame(0).pixels
    square = np.zeros((SIDE, SIDE), np.float32)
    rows, columns = min(SIDE, picture.shape[0]), min(SIDE, picture.shape[1])
    square[:rows, :columns] = picture[:rows, :columns] / np.float32(255)
    exact, written, quick = (the_core().read_model(str(path)) for path in (SHIPPED_MODEL, *[place(SHIPPED_MODEL)] * 2))
    make_quick(quick)
    assert "Log" not in [node.get_type_name() for node in quick.get_ops()]
    q = [answers(network, square[None, None])[0] for network in (exact, written, quick)]
    assert q[0].max() > 0.5  # there is a tear to see
    assert np.abs(q[0] - q[2]).mean() <= np.abs(q[0] - q[1]).mean() * 1.1 + 1e-4
    assert ((q[0] > 0.5) != (q[2] > 0.5)).mean() < 0.005
