"""What is written for a Triton server: every line of it read back as Triton reads it."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from smartca.engine import EngineError, OperatingPoint, plan
from smartca.engine import operating_point as points
from smartca.engine.triton.config import POINT, PRECISION, SHA256, Serving, model_version
from smartca.engine.triton.repository import write_repository
from smartca.engine.triton.session import client_package
from support.networks import brightness_network


def read(folder: Path) -> Any:
    """config.pbtxt as Triton's own message; what is no field of it raises ParseError."""
    pytest.importorskip("tritonclient.grpc", reason="the package tritonclient[grpc] is absent", exc_type=ImportError)
    client_package()
    text_format: Any = importlib.import_module("google.protobuf.text_format")
    messages: Any = importlib.import_module("tritonclient.grpc.model_config_pb2")
    return text_format.Parse((folder / "config.pbtxt").read_text(), messages.ModelConfig())


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_folder_names_its_weights(network: Path, tmp_path: Path) -> None:
    folder = write_repository(network, tmp_path / "models" / "here", "shoulder")
    config, digest = read(folder), digest_of(network)
    assert folder == tmp_path / "models" / "here" / "shoulder"
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*")) == sorted(
        ["config.pbtxt", model_version(digest), f"{model_version(digest)}/model.onnx"]
    )
    assert (folder / model_version(digest) / "model.onnx").read_bytes() == network.read_bytes()
    assert list(folder.parent.iterdir()) == [folder]
    assert (config.name, config.backend, config.max_batch_size) == ("shoulder", "onnxruntime", 0)
    assert list(config.version_policy.specific.versions) == [int(digest[:12], 16)]
    assert config.parameters[SHA256].string_value == digest
    assert config.parameters[PRECISION].string_value == "fp32"
    assert POINT not in config.parameters
    assert [(t.name, list(t.dims)) for t in [*config.input, *config.output]] == [
        ("image", [1, 1, 64, 64]),
        ("q", [1, 1, 64, 64]),
    ]


def test_the_queue_keeps_prefetching_unless_told_otherwise(network: Path, tmp_path: Path) -> None:
    """Any policy or priority would stop Triton's prefetching, which can cost half a second."""
    batching = read(write_repository(network, tmp_path)).dynamic_batching
    assert (batching.max_queue_delay_microseconds, list(batching.preferred_batch_size)) == (0, [])
    assert (batching.priority_levels, batching.default_priority_level) == (0, 0)
    assert not batching.HasField("default_queue_policy")
    assert not batching.priority_queue_policy


def test_a_strict_queue_turns_away_what_grows_old(network: Path, tmp_path: Path) -> None:
    serving = Serving(instances=3, strict_queue=True, queue=5, patience_ms=70, threads=2)
    config = read(write_repository(network, tmp_path, serving=serving))
    batching, policy = config.dynamic_batching, config.dynamic_batching.default_queue_policy
    assert (batching.max_queue_delay_microseconds, list(batching.preferred_batch_size)) == (0, [])
    assert (batching.priority_levels, batching.default_priority_level) == (2, 2)
    assert policy.TimeoutAction.Name(policy.timeout_action) == "REJECT"
    assert (policy.default_timeout_microseconds, policy.max_queue_size) == (70_000, 5)
    assert policy.allow_timeout_override
    (group,) = config.instance_group
    assert (group.count, group.Kind.Name(group.kind)) == (3, "KIND_CPU")
    assert config.parameters["intra_op_thread_count"].string_value == "2"
    (warm,) = config.model_warmup
    assert (warm.batch_size, warm.count) == (1, 3)
    assert list(warm.inputs["image"].dims) == [1, 1, 64, 64]
    assert warm.inputs["image"].zero_data


def test_the_operating_point_goes_along(tmp_path: Path) -> None:
    model = brightness_network(tmp_path / "more.onnx", tells_more=True)
    point = OperatingPoint(digest_of(model), 0.25, 1.2, strange_limit=3.0, fitted_on='a "folder" C:\\täglich')
    points.save_point(point, model)
    config = read(write_repository(model, tmp_path / "models"))
    text = config.parameters[POINT].string_value
    assert msgspec.json.decode(text, type=OperatingPoint) == point
    assert [(t.name, list(t.dims)) for t in config.output] == [("q", [1, 1, 64, 64]), ("picture", [1, 2])]


def built(network: Path, path: Path, backend: str = "tensorrt", most: int = 1) -> Path:
    """An engine's file, whose bytes only a GPU would look into, and the build sheet that `smartca build` writes."""
    path.write_bytes(b"not looked into")
    sheet = plan.BuildSheet(
        plan=plan.EnginePlan(
            onnx_sha256=digest_of(network),
            backend=backend,
            backend_version="10.9",
            precision="fp16",
            batch=(1, 1, most),
        ),
        engine_sha256=digest_of(path),
        model=str(network),
        input=plan.Input("image", (-1 if most > 1 else 1, 1, 64, 64)),
        outputs=("q",),
        layers={},
    )
    plan.save_sheet(path, sheet)
    return path


def test_an_engine_is_known_by_the_network_it_was_built_from(network: Path, tmp_path: Path) -> None:
    engine = built(network, tmp_path / "fast.engine")
    folder = write_repository(engine, tmp_path / "models")
    config = read(folder)
    assert (config.backend, config.default_model_filename, config.max_batch_size) == ("tensorrt", "model.plan", 0)
    assert (folder / model_version(digest_of(network)) / "model.plan").read_bytes() == b"not looked into"
    assert list(config.input[0].dims) == [1, 1, 64, 64]
    assert config.parameters[SHA256].string_value == digest_of(network)
    assert config.parameters[PRECISION].string_value == "fp16"
    assert config.instance_group[0].Kind.Name(config.instance_group[0].kind) == "KIND_GPU"


def test_an_engine_of_batches_leaves_the_batch_to_triton(network: Path, tmp_path: Path) -> None:
    engine = built(network, tmp_path / "fast.engine", most=8)
    config = read(write_repository(engine, tmp_path / "models", serving=Serving(max_batch=8)))
    assert config.max_batch_size == 8
    assert list(config.input[0].dims) == [1, 64, 64]
    assert list(config.model_warmup[0].inputs["image"].dims) == [1, 64, 64]
    assert read(write_repository(engine, tmp_path / "models")).max_batch_size == 1


def test_a_network_of_batches_is_served_in_batches(tmp_path: Path) -> None:
    model = onnx.load(brightness_network(tmp_path / "one.onnx"))
    for tensor in [*model.graph.input, *model.graph.output]:
        tensor.type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.save(model, tmp_path / "many.onnx")
    one = read(write_repository(tmp_path / "many.onnx", tmp_path / "models"))
    four = read(write_repository(tmp_path / "many.onnx", tmp_path / "models", serving=Serving(max_batch=4)))
    assert (one.max_batch_size, four.max_batch_size) == (1, 4)
    assert list(four.input[0].dims) == [1, 64, 64]


def test_openvino_is_told_how_to_run(network: Path, tmp_path: Path) -> None:
    serving = Serving("openvino", "bf16", instances=2, threads=3)
    config = read(write_repository(network, tmp_path, serving=serving))
    told = {key: value.string_value for key, value in config.parameters.items() if not key.startswith("smartca")}
    assert told == {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "2",
        "INFERENCE_NUM_THREADS": "6",
        "HINT_BF16": "YES",
    }


def test_int8_is_seen_in_the_file(tmp_path: Path) -> None:
    from onnx import helper, numpy_helper

    model = onnx.load(brightness_network(tmp_path / "fp32.onnx"))
    graph = model.graph
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(1 / 127, np.float32), "scale"),
            numpy_helper.from_array(np.array(0, np.int8), "zero"),
        ]
    )
    graph.node[0].input[0] = "again"
    graph.node.insert(0, helper.make_node("DequantizeLinear", ["small", "scale", "zero"], ["again"]))
    graph.node.insert(0, helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["small"]))
    onnx.save(model, tmp_path / "int8.onnx")
    config = read(write_repository(tmp_path / "int8.onnx", tmp_path / "models"))
    assert config.parameters[PRECISION].string_value == "int8"


def test_a_new_network_takes_the_place_of_the_old(network: Path, tmp_path: Path) -> None:
    write_repository(network, tmp_path / "models")
    other = brightness_network(tmp_path / "other.onnx", (1, 1, 96, 96))
    folder = write_repository(other, tmp_path / "models")
    assert {p.name for p in folder.iterdir()} == {"config.pbtxt", model_version(digest_of(other))}
    assert list((tmp_path / "models").iterdir()) == [folder]


def test_the_old_stays_where_the_new_cannot_be_written(network: Path, tmp_path: Path) -> None:
    folder = write_repository(network, tmp_path / "models")
    before = (folder / "config.pbtxt").read_text()
    other = brightness_network(tmp_path / "other.onnx", (1, 1, 96, 96))
    points.save_point(OperatingPoint("0" * 64), other)
    with pytest.raises(ValueError, match="other weights"):
        write_repository(other, tmp_path / "models")
    assert (folder / "config.pbtxt").read_text() == before
    assert list((tmp_path / "models").iterdir()) == [folder]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"backend": "pytorch"}, "no Triton backend 'pytorch'"),
        ({"precision": "int4"}, "no precision 'int4'"),
        ({"instances": 0}, "instances is 0"),
        ({"threads": -1}, "threads is -1"),
        ({"backend": "tensorrt"}, "takes an engine made by"),
        ({"precision": "bf16"}, "cannot make that bf16"),
        ({"backend": "openvino", "gpu": True}, "CPUs only"),
        ({"max_batch": 4}, "takes 1 picture"),
    ],
)
def test_what_cannot_be_served_is_refused(network: Path, tmp_path: Path, settings: Any, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        write_repository(network, tmp_path / "models", serving=Serving(**settings))
    assert not (tmp_path / "models").exists()


def test_files_that_are_no_networks_are_refused(network: Path, tmp_path: Path) -> None:
    models, broken = tmp_path / "models", tmp_path / "cut.onnx"
    broken.write_bytes(network.read_bytes()[:200])
    with pytest.raises(EngineError, match="no model at"):
        write_repository(tmp_path / "missing.onnx", models)
    with pytest.raises(EngineError, match="nor a TensorRT engine"):
        write_repository(Path(__file__), models)
    with pytest.raises(EngineError, match="not a readable ONNX file"):
        write_repository(broken, models)
    with pytest.raises(EngineError, match="SMART-CA network takes"):
        write_repository(brightness_network(tmp_path / "rgb.onnx", (1, 3, 64, 64)), models)
    assert not models.exists()


def test_engines_that_are_not_what_they_say_are_refused(network: Path, tmp_path: Path) -> None:
    models, engine = tmp_path / "models", built(network, tmp_path / "fast.engine")
    moved = network.rename(tmp_path / "moved.onnx")
    with pytest.raises(EngineError, match="say where"):
        write_repository(engine, models)
    write_repository(engine, tmp_path / "sound", source=moved)
    with pytest.raises(EngineError, match="is not what was built from"):
        write_repository(engine, models, source=brightness_network(tmp_path / "other.onnx", (1, 1, 96, 96)))
    with pytest.raises(EngineError, match="openvino backend takes an"):
        write_repository(engine, models, source=moved, serving=Serving("openvino"))
    with pytest.raises(EngineError, match="computes in fp16"):
        write_repository(engine, models, source=moved, serving=Serving(precision="fp32"))
    with pytest.raises(EngineError, match=r"takes 1 picture\(s\)"):
        write_repository(engine, models, source=moved, serving=Serving(max_batch=2))
    with pytest.raises(EngineError, match="not of tensorrt-rtx"):
        write_repository(built(moved, tmp_path / "rtx.engine", "tensorrt-rtx"), models)
    engine.write_bytes(b"exchanged")
    with pytest.raises(EngineError, match="is not what was built from"):
        write_repository(engine, models, source=moved)
    plan.sheet_path(engine).unlink()
    with pytest.raises(EngineError, match="has no build sheet"):
        write_repository(engine, models, source=moved)
    assert not list(models.iterdir()) if models.exists() else True


def test_a_folder_of_something_else_is_not_replaced(network: Path, tmp_path: Path) -> None:
    (tmp_path / "smartca").mkdir()
    (tmp_path / "smartca" / "thesis.txt").write_text("mine")
    with pytest.raises(EngineError, match="no folder of a Triton model"):
        write_repository(network, tmp_path)
    assert (tmp_path / "smartca" / "thesis.txt").read_text() == "mine"
    with pytest.raises(EngineError, match="cannot be a model's name"):
        write_repository(network, tmp_path, "../elsewhere")
