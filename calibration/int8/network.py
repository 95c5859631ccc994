"""An ONNX network run exactly as it is written, Q/DQ nodes included, with its inner tensors in sight."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...engine.contract import Answer, EngineError
from ...engine.letterbox import to_input
from ...errors import MissingPackage
from ...pictures.pixels import Grey

if TYPE_CHECKING:
    from onnx import ModelProto

NEEDS_ONNXRUNTIME = "INT8 ranges are found with onnxruntime, which is not installed: pip install 'smartca[build]'"


def need_onnxruntime() -> Any:
    """The package onnxruntime, without its usage reports. Raises ImportError with the cure where it is absent."""
    try:
        runtime: Any = importlib.import_module("onnxruntime")
        importlib.import_module("onnxruntime.quantization")
    except ModuleNotFoundError as error:
        raise MissingPackage(NEEDS_ONNXRUNTIME) from error
    runtime.disable_telemetry_events()
    return runtime


class WatchedNetwork:
    """`model` in onnxruntime, no layer fused with another; `watched` names tensors inside it."""

    def __init__(self, model: ModelProto, watched: Sequence[str] = (), threads: int = 1) -> None:
        runtime = need_onnxruntime()
        settings = runtime.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
        settings.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        settings.log_severity_level = 3
        self._watched = list(watched)
        self._outputs = [output.name for output in model.graph.output]
        try:
            data = _showing(model, self._watched).SerializeToString()
            self._session = runtime.InferenceSession(data, settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no other base
            raise EngineError(f"onnxruntime cannot run the network: {str(error).splitlines()[0]}") from error
        self._input = self._session.get_inputs()[0].name

    def __call__(self, square: Grey) -> Answer:
        """What the network says of a picture, uint8 (size, size)."""
        q, *more = self._session.run(self._outputs, {self._input: to_input(square)})
        return Answer(q[0, 0], *more[0].ravel().tolist()) if more else Answer(q[0, 0])

    def answers(self, squares: Iterable[Grey]) -> list[Answer]:
        """Of every picture."""
        return [self(square) for square in squares]

    def watch(self, squares: Iterable[Grey]) -> Iterator[dict[str, NDArray[np.float32]]]:
        """The watched tensors, picture by picture."""
        for square in squares:
            values = self._session.run(self._watched, {self._input: to_input(square)})
            yield dict(zip(self._watched, values, strict=True))


class CpuNetwork(WatchedNetwork):
    """The same in OpenVINO as `engine.cpu` runs it: unsigned where that is quicker, layers fused, one thread."""

    def __init__(self, model: ModelProto, watched: Sequence[str] = (), threads: int = 1) -> None:
        from ...engine.cpu.openvino_import import ov, the_core
        from ...engine.cpu.quick_int8 import is_quantised, make_quick

        core = the_core()
        try:
            network = core.read_model(_showing(model, list(watched)).SerializeToString())
            if is_quantised(network):
                make_quick(network)
            settings = {"INFERENCE_PRECISION_HINT": ov.Type.f32, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
            self._session = _Compiled(core.compile_model(network, "CPU", settings))
        except RuntimeError as error:
            raise EngineError(f"OpenVINO cannot run the network: {str(error).strip().splitlines()[-1]}") from error
        self._watched, self._outputs = list(watched), [output.name for output in model.graph.output]
        self._input = "image"


class _Compiled:
    """OpenVINO's network asked as onnxruntime's is."""

    def __init__(self, compiled: Any) -> None:
        self._request = compiled.create_infer_request()
        self._ports = {name: port for port in compiled.outputs for name in port.get_names()}

    def run(self, outputs: Sequence[str], inputs: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        self._request.infer(list(inputs.values()))
        return [self._request.get_tensor(self._ports[name]).data.copy() for name in outputs]


def _showing(model: ModelProto, tensors: Sequence[str]) -> ModelProto:
    """A copy with these tensors among its outputs."""
    from onnx import ModelProto, TensorProto, helper

    copy = ModelProto()
    copy.CopyFrom(model)
    shown = {output.name for output in copy.graph.output}
    more = [name for name in tensors if name not in shown]
    copy.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in more)
    return copy
