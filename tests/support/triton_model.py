"""The network in Triton's Python backend, run by OpenVINO as OpenVinoRunner runs it.

Copied beside model.onnx as model.py: nvidia-pytriton brings a real server with no other backend. Runs in the
server's own Python environment.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any, cast

cast(dict[str, Any], sys.modules)["openvino_telemetry"] = None  # no usage reports
ov: Any = importlib.import_module("openvino")
pb: Any = importlib.import_module("triton_python_backend_utils")


class TritonPythonModel:
    """What the backend looks for."""

    def initialize(self, args: dict[str, str]) -> None:
        """Compile the network."""
        config = json.loads(args["model_config"])
        threads = config["parameters"]["intra_op_thread_count"]["string_value"]
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": ov.Type.f32,
            "ENABLE_CPU_PINNING": False,
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": int(threads),
        }
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self._request = ov.Core().compile_model(str(path), "CPU", settings).create_infer_request()
        self._names = [output["name"] for output in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """One answer a request."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        found = self._request.infer([pb.get_input_tensor_by_name(request, "image").as_numpy()])
        return pb.InferenceResponse([pb.Tensor(name, found[at]) for at, name in enumerate(self._names)])
