"""What a model means travels with its weights: moved alone it keeps its point, with other weights it loses it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from smartca import onnx_bytes
from smartca.engine import EngineError, OperatingPoint, open_runner, open_segmenter, plan
from smartca.engine import operating_point as points
from smartca.engine.building.assembly import Options
from smartca.engine.building.build import build_engine, make_plan
from smartca.engine.operating_point import POINT_NAMES, Setting
from smartca.engine.passport import passport, read_passport
from smartca.engine.triton.repository import write_repository
from smartca.errors import InputError, MissingFile
from smartca.files import sha256
from support.networks import brightness_network

RUN_ON: list[Callable[[Path], object]] = [
    open_runner,
    lambda model: open_runner(model, backend="onnxruntime"),
    lambda model: points.load_point(model, sha256(model)),
    lambda model: write_repository(model, model.parent / "served"),
]


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return brightness_network(tmp_path / "bright.onnx")


def calibrated(model: Path) -> OperatingPoint:
    """A point unlike the usual one in everything, stored for `model`."""
    point = OperatingPoint(
        sha256(model),
        0.31,
        1.2,
        -0.1,
        7,
        tear_threshold=0.2,
        strange_limit=3.0,
        unsure=0.1,
        points={"careful": Setting(0.6, 9), "searching": Setting(0.2)},
        fitted_on="Zahnärztin's pictures",
    )
    points.store_point(point, model)
    return point


def in_two_files(model: Path, name: str = "two.onnx") -> Path:
    """The same network with its weights in NAME.data."""
    loaded, path = onnx.load(str(model)), model.with_name(name)
    for tensor in loaded.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    onnx.save(loaded, str(path), save_as_external_data=True, location=f"{name}.data", size_threshold=0)
    return path


def test_metadata_round_trip(network: Path) -> None:
    before = network.read_bytes()
    data = before
    for key, value in (("a", "1"), ("smartca.b", "é" * 300), ("a", "2"), ("c", "")):
        data = onnx_bytes.with_metadata(data, key, value)
    wanted = {"a": "2", "smartca.b": "é" * 300, "c": ""}
    assert onnx_bytes.metadata(data) == wanted
    model = onnx.load_model_from_string(data)  # as ONNX itself reads it
    assert {entry.key: entry.value for entry in model.metadata_props} == wanted
    assert onnx_bytes.metadata(model.SerializeToString()) == wanted
    for key in wanted:
        data = onnx_bytes.with_metadata(data, key, None)
    assert data == before


def test_a_file_says_what_it_is(network: Path) -> None:
    model = onnx.load(str(network))
    facts = passport("smartca-lite", 64, tells_more=True)
    onnx.helper.set_model_props(model, facts)
    onnx.save(model, str(network))
    calibrated(network)
    assert {f"smartca.{name}": value for name, value in read_passport(network).items()} == facts
    assert {"version", "input", "normalisation", "output", "labels"} <= set(read_passport(network))


def test_a_model_moved_alone_keeps_its_points(network: Path, tmp_path: Path) -> None:
    plain = sha256(network)
    point = calibrated(network)
    assert sha256(network) == plain  # what was found for the weights is no part of them
    (tmp_path / "elsewhere").mkdir()
    moved = Path(shutil.copy(network, tmp_path / "elsewhere" / "other.onnx"))
    assert not points.point_path(moved).exists()
    assert points.load_point(moved, sha256(moved)) == point
    for name in POINT_NAMES:
        with open_segmenter(moved, point=name) as segmenter:
            assert segmenter.point == point.at(name)


def test_the_file_beside_a_model_counts(network: Path) -> None:
    point = msgspec.structs.replace(calibrated(network), threshold=0.4)
    points.point_path(network).write_bytes(msgspec.json.encode(point))
    assert points.load_point(network, sha256(network)).threshold == 0.4


def test_other_weights_refuse_the_point_inside(network: Path) -> None:
    calibrated(network)
    points.point_path(network).unlink()
    model = onnx.load(str(network))
    model.graph.initializer[1].float_data[0] *= 2
    onnx.save(model, str(network))
    with pytest.raises(EngineError, match=r"inside bright.onnx was made for other weights.*smartca calibrate"):
        open_segmenter(network)


def test_a_damaged_point_inside_is_one_sentence(network: Path) -> None:
    network.write_bytes(onnx_bytes.with_metadata(network.read_bytes(), onnx_bytes.POINT_KEY, '{"threshold": 7}'))
    with pytest.raises(EngineError, match=r"inside bright.onnx is not an operating point"):
        open_segmenter(network)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("kept", [".json", ".onnx.json", ""])
def test_a_built_engine_without_its_point_file_keeps_it(
    kept: str, precision: str, network: Path, tmp_path: Path
) -> None:
    """It is inside the engine, and a copy is in its build sheet, whichever of the two is left behind."""
    point = calibrated(network)
    engine = build_engine(network, Options("openvino", precision), lambda *_: None, tmp_path / "cache")
    (tmp_path / "elsewhere").mkdir()
    moved = Path(shutil.copy(engine, tmp_path / "elsewhere" / "e.onnx"))
    if kept:
        shutil.copy(engine.with_suffix(kept), moved.with_suffix(kept))
    with open_segmenter(moved) as segmenter:
        assert segmenter.point.threshold == point.threshold and segmenter.point.min_area == point.min_area
        assert segmenter.point.fitted_on.startswith("Zahnärztin")


def sheet_for(engine: Path, model: Path, point: OperatingPoint | None) -> None:
    """The build sheet of a pretended engine of TensorRT that was built with an operating point."""
    made = make_plan(model, model.read_bytes(), Options("openvino", "fp32"))
    assert made.operating_point is not None
    told = plan.BuildSheet(
        plan=made,
        engine_sha256=sha256(engine),
        model="bright.onnx",
        input=plan.Input("image", (1, 1, 64, 64)),
        outputs=("q",),
        layers={},
        point=point,
    )
    plan.save_sheet(engine, told)


def test_an_engine_that_is_no_onnx_file_takes_its_sheets_copy_or_is_refused(network: Path, tmp_path: Path) -> None:
    calibrated(network)
    engine = tmp_path / "e.engine"
    engine.write_bytes(b"what a library wrote")
    own = OperatingPoint(sha256(engine), 0.31)
    sheet_for(engine, network, own)
    assert points.load_point(engine, sha256(engine)) == own
    for copy in (None, OperatingPoint("0" * 64, 0.31)):
        sheet_for(engine, network, copy)
        with pytest.raises(InputError, match=r"e.engine.point.json is not beside it: put it back, or build"):
            points.load_point(engine, sha256(engine))


def test_a_plan_is_the_same_wherever_the_point_stands(network: Path) -> None:
    calibrated(network)
    beside = make_plan(network, network.read_bytes(), Options("openvino", "fp32"))
    points.point_path(network).unlink()
    assert make_plan(network, network.read_bytes(), Options("openvino", "fp32")) == beside


def test_swapped_weights_in_another_file_are_other_weights(network: Path) -> None:
    model = in_two_files(network)
    point = calibrated(model)
    assert points.load_point(model, sha256(model)) == point
    data = model.with_name("two.onnx.data")
    image = np.random.default_rng(0).random((1, 1, 64, 64), dtype=np.float32)
    with open_runner(model) as runner, open_runner(network) as whole:
        assert np.array_equal(runner.infer(image).q, whole.infer(image).q)
    values = np.frombuffer(data.read_bytes(), np.float32).copy()
    values[:81] /= 2
    data.write_bytes(values.tobytes())
    with pytest.raises(EngineError, match=r"was made for other weights than two.onnx"):
        open_segmenter(model)
    points.point_path(model).unlink()
    with pytest.raises(EngineError, match=r"was made for other weights than two.onnx"):
        open_segmenter(model)


@pytest.mark.parametrize("ask", RUN_ON)
def test_a_missing_file_of_weights_is_named(ask: Callable[[Path], object], network: Path) -> None:
    model = in_two_files(network)
    calibrated(model)
    model.with_name("two.onnx.data").unlink()
    with pytest.raises((EngineError, MissingFile), match=r"keeps its weights in two.onnx.data, which is not beside it"):
        ask(model)


def test_weights_outside_the_models_folder_are_not_read(network: Path, tmp_path: Path) -> None:
    model = in_two_files(network)
    model.write_bytes(model.read_bytes().replace(b"two.onnx.data", b"../e/w.o.data"))
    with pytest.raises(EngineError, match=r"outside its folder"):
        open_runner(model)


def test_a_server_gets_the_weights_in_another_file_too(network: Path, tmp_path: Path) -> None:
    model = in_two_files(network)
    folder = write_repository(model, tmp_path / "served")
    (version,) = (path for path in folder.iterdir() if path.is_dir())
    assert {path.name for path in version.iterdir()} == {"model.onnx", "two.onnx.data"}
    assert sha256(version / "model.onnx") == sha256(model)


def test_the_digest_of_a_plain_file_is_its_sha256(network: Path) -> None:
    assert sha256(network) == hashlib.sha256(network.read_bytes()).hexdigest()
    broken = network.with_name("broken.onnx")
    broken.write_bytes(b"\x08\xff\xff" + onnx_bytes.POINT_KEY.encode())
    assert sha256(broken) == hashlib.sha256(broken.read_bytes()).hexdigest()
    assert onnx_bytes.metadata(broken.read_bytes()) == {}
