"""What can be read from and changed in a network's ONNX file before an engine is made of it.

The package `onnx` is imported only when a function here is called: running a network does not need it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import onnx_bytes
from ..errors import MissingPackage, SmartcaError
from .contract import EngineError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, ValueInfoProto

CONTRACT = "float32 (1, 1, S, S) -> q of the same shape, and perhaps (1, 2) beside it"
QUANTISED = ("QuantizeLinear", "DequantizeLinear")
NOT_LAYERS = ("Cast", *QUANTISED)
SHORT = {"FLOAT": "fp32", "FLOAT16": "fp16", "BFLOAT16": "bf16"}
ALONE = "its graph ties pictures of one batch together; leave out --batch, and export it with a free batch for more"


@dataclass(frozen=True, slots=True)
class Contract:
    """Names and shapes at a network's ends."""

    input: str
    outputs: tuple[str, ...]
    size: int


def need_onnx() -> None:
    """Raises ImportError with the cure where the package `onnx` is absent."""
    try:
        import onnx  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPackage(
            "building an engine needs the package onnx: uv sync --extra build, or pip install 'smartca[build]'"
        ) from error


def whole_bytes(model: Path) -> bytes:
    """The ONNX file's bytes with all of its weights inside, also where it keeps them in files beside it.

    Raises MissingFile for one that is not there, EngineError where they do not fit into one file.
    """
    data = model.read_bytes()
    if not onnx_bytes.weight_files(model, data):
        return data
    need_onnx()
    import onnx

    with damage_told(data, model.name):
        network = onnx.load_model_from_string(data)
        onnx.load_external_data_for_model(network, str(model.parent))
        try:
            return network.SerializeToString()
        except Exception as error:  # protobuf's, of a class of its own: 2 GB is its limit
            raise EngineError(f"{model.name} does not fit into one ONNX file with its weights ({error})") from error


def read_network(data: bytes, name: str) -> ModelProto:
    """Parse an ONNX file's bytes. Raises EngineError where they are cut short or something else."""
    need_onnx()
    import onnx
    from google.protobuf.message import DecodeError

    broken = f"{name} is cut short or is no ONNX file; copy or export it again"
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise EngineError(broken) from error
    if not model.graph.node or not model.graph.output:
        raise EngineError(broken)
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise EngineError(f"{name} keeps its weights in other files; `smartca adopt` writes all into one")
    return model


@contextmanager
def damage_told(data: bytes, name: str) -> Iterator[None]:
    """Turns what goes wrong with an ONNX file's bytes into EngineError, if ONNX' own check finds them damaged.

    It is asked only then: it takes time, and refuses files of newer versions that work.
    """
    try:
        yield
    except SmartcaError:
        raise
    except Exception as error:  # the package onnx takes a file for sound, and raises what its bytes lead to
        import onnx

        try:
            onnx.checker.check_model(data)
        except onnx.checker.ValidationError as found:
            reason = str(found).strip().split("\n")[0]
            raise EngineError(f"{name} is damaged ({reason}); copy or export it again") from error
        raise


def contract(model: ModelProto, name: str) -> Contract:
    """Sizes and names at the network's ends. Raises EngineError where it is no SMART-CA network."""
    from onnx import TensorProto

    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    ends = [*inputs, *model.graph.output]
    shapes = [_shape(value) for value in ends]
    wrong = f"{name} is no SMART-CA network ({CONTRACT}); `smartca adopt {name}` makes one of it"
    if len(inputs) != 1 or any(v.type.tensor_type.elem_type != TensorProto.FLOAT for v in ends):
        raise EngineError(wrong)
    square = len(shapes[0]) == 4 and shapes[0][:2] == (1, 1) and shapes[0][2] == shapes[0][3] > 0
    if not square or shapes[1] != shapes[0] or shapes[2:] not in ([], [(1, 2)]):
        raise EngineError(wrong)
    return Contract(inputs[0].name, tuple(value.name for value in model.graph.output), shapes[0][2])


def is_quantised(model: ModelProto) -> bool:
    """Whether the graph holds Q/DQ nodes, and with them its own INT8 ranges."""
    return any(node.op_type in QUANTISED for node in model.graph.node)


def with_free_batch(model: ModelProto, name: str) -> ModelProto:
    """A copy whose first dimension is free at the input and at every output.

    Raises EngineError where a fixed shape inside the graph forbids that.
    """
    from onnx import ModelProto

    free = ModelProto()
    free.CopyFrom(model)
    _set_batch(free, "batch")
    _free_reshapes(free.graph)
    if _batches_out_of(free, 3) != [3] * len(free.graph.output):
        raise EngineError(f"{name} takes one picture at a time: {ALONE}")
    return free


def layer_counts(model: ModelProto) -> Counter[tuple[str, str]]:
    """How many layers of each kind compute in each precision: (operator, precision) -> number.

    A layer fed by a DequantizeLinear counts as int8, another by the type of what it takes in; casts and Q/DQ nodes
    themselves are no layers.
    """
    kinds = _element_types(model)
    dequantised = {n.output[0] for n in model.graph.node if n.op_type == "DequantizeLinear"}
    counts: Counter[tuple[str, str]] = Counter()
    for node in model.graph.node:
        if node.op_type in NOT_LAYERS:
            continue
        fed = {tensor for tensor in node.input if tensor in dequantised}
        known = [kinds[t] for t in [*node.output, *node.input] if kinds.get(t) in SHORT.values()]
        counts[node.op_type, "int8" if fed else next(iter(known), "other")] += 1
    return counts


def _element_types(model: ModelProto) -> dict[str, str]:
    """Tensor name -> fp32, fp16, bf16 or the ONNX name of another type, by ONNX' own inference."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {v.name: v.type.tensor_type.elem_type for v in [*graph.input, *graph.output, *graph.value_info]}
    names = {name: onnx.TensorProto.DataType.Name(kind) for name, kind in types.items()}
    return {name: SHORT.get(kind, kind.lower()) for name, kind in names.items()}


def _shape(value: ValueInfoProto) -> tuple[int, ...]:
    """Dimensions; 0 for one that is free."""
    return tuple(d.dim_value for d in value.type.tensor_type.shape.dim)


def _set_batch(model: ModelProto, batch: str | int) -> None:
    """Write the first dimension at every end; what was inferred between them no longer holds."""
    weights = {tensor.name for tensor in model.graph.initializer}
    del model.graph.value_info[:]
    for value in [*(v for v in model.graph.input if v.name not in weights), *model.graph.output]:
        first = value.type.tensor_type.shape.dim[0]
        if isinstance(batch, int):
            first.dim_value = batch
        else:
            first.dim_param = batch


def _free_reshapes(graph: GraphProto) -> None:
    """Let a Reshape to (1, ...) keep the batch it finds: 0 means 'as it came'."""
    import onnx

    shapes = {tensor.name: tensor for tensor in graph.initializer}
    freed: dict[str, str] = {}
    for node in [n for n in graph.node if n.op_type == "Reshape" and n.input[1] in shapes]:
        old = node.input[1]
        wanted = onnx.numpy_helper.to_array(shapes[old])
        if any(a.name == "allowzero" and a.i for a in node.attribute) or wanted.size < 2 or wanted[0] != 1:
            continue
        if old not in freed:
            freed[old] = f"{old}.any_batch"
            keeping = np.array([0, *wanted[1:]], np.int64)
            graph.initializer.append(onnx.numpy_helper.from_array(keeping, freed[old]))
        node.input[1] = freed[old]


def _batches_out_of(model: ModelProto, batch: int) -> list[int]:
    """First dimensions that ONNX infers for the outputs when `batch` pictures go in; 0 where it cannot tell."""
    import onnx

    trial = onnx.ModelProto()
    trial.CopyFrom(model)
    _set_batch(trial, batch)
    for output in trial.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(trial, strict_mode=True, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return []
    return [(_shape(output) or (0,))[0] for output in inferred.graph.output]


def in_order(network: ModelProto) -> ModelProto:
    """The same network, its nodes each behind those whose outputs they take, as ONNX asks for; changed in place."""
    waiting, made, ordered = list(network.graph.node), set[str](), []
    computed = {tensor for node in waiting for tensor in node.output}
    while waiting:
        free = (at for at, node in enumerate(waiting) if made.issuperset(computed.intersection(node.input)))
        at = next(free, None)
        if at is None:
            raise EngineError("the network's nodes wait for each other in a circle; export it again")
        ordered.append(waiting.pop(at))
        made.update(ordered[-1].output)
    del network.graph.node[:]
    network.graph.node.extend(ordered)
    return network
