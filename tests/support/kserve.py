"""A server small enough to misbehave on purpose, speaking Triton's protocol over real gRPC: q is the picture itself."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pytest
from smartca.engine import OperatingPoint
from smartca.engine.triton.config import POINT, PRECISION, SHA256, model_version
from smartca.engine.triton.session import client_package

from support.ports import free_port
from support.waiting import PATIENCE_S

pytest.importorskip("tritonclient.grpc", reason="the package tritonclient[grpc] is absent", exc_type=ImportError)

client_package()  # silences what protobuf says about the age of the messages
grpc: Any = importlib.import_module("grpc")
service_pb2: Any = importlib.import_module("tritonclient.grpc.service_pb2")
service_pb2_grpc: Any = importlib.import_module("tritonclient.grpc.service_pb2_grpc")

SIZE = 32
DIGEST = "00beef" + "0" * 58  # begins with zeros, which a version number must survive
Change = Callable[[Any, Any], None]  # of an answer, given the request


def describe(digest: str = DIGEST, outputs: tuple[str, ...] = ("q",), point: OperatingPoint | None = None) -> Any:
    """The configuration a sound server tells."""
    config = service_pb2.ModelConfigResponse().config
    config.name, config.backend = "smartca", "identity"
    add(config.input, "image", [1, 1, SIZE, SIZE])
    for name in outputs:
        add(config.output, name, [1, 1, SIZE, SIZE] if name == "q" else [1, 2])
    config.parameters[SHA256].string_value = digest
    config.parameters[PRECISION].string_value = "fp32"
    if point is not None:
        config.parameters[POINT].string_value = msgspec.json.encode(point).decode()
    return config


def add(tensors: Any, name: str, dims: list[int]) -> None:
    """One more tensor of a configuration."""
    tensor = tensors.add()
    tensor.name = name
    tensor.dims.extend(dims)


@dataclass
class Behaviour:
    """What the server holds, and what it does to its answers. Requests are kept in `asked`, cancelled ones counted."""

    config: Any = field(default_factory=describe)
    version: str = "2.51.0"
    change: Change | None = None
    delay_s: float = 0.0
    complaint: tuple[Any, str] | None = None
    maps_memory: bool = False
    asked: list[Any] = field(default_factory=list)
    done: int = 0
    called_off: int = 0


class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):
    """The calls TritonRunner makes."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.its = behaviour

    def ServerMetadata(self, request: Any, context: Any) -> Any:
        return service_pb2.ServerMetadataResponse(name="small", version=self.its.version)

    def ModelConfig(self, request: Any, context: Any) -> Any:
        if request.name != "smartca":
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{request.name}' is not found")
        return service_pb2.ModelConfigResponse(config=self.its.config)

    def ModelReady(self, request: Any, context: Any) -> Any:
        return service_pb2.ModelReadyResponse(ready=request.version == self._version())

    def SystemSharedMemoryRegister(self, request: Any, context: Any) -> Any:
        if not self.its.maps_memory:
            context.abort(grpc.StatusCode.INTERNAL, f"Unable to open shared memory region: '{request.key}'")
        return service_pb2.SystemSharedMemoryRegisterResponse()

    def SystemSharedMemoryUnregister(self, request: Any, context: Any) -> Any:
        return service_pb2.SystemSharedMemoryUnregisterResponse()

    def ModelInfer(self, request: Any, context: Any) -> Any:
        self.its.asked.append(request)
        time.sleep(self.its.delay_s)
        self.its.called_off += not context.is_active()
        self.its.done += 1
        if self.its.complaint is not None:
            context.abort(*self.its.complaint)
        response = service_pb2.ModelInferResponse(model_name="smartca", model_version=self._version(), id=request.id)
        if request.raw_input_contents:  # else the picture is in shared memory, which this server never looks at
            image = np.frombuffer(request.raw_input_contents[0], np.float32)
            for output in self.its.config.output:
                put(response, output.name, image if output.name == "q" else np.array([0.25, 3.5]), list(output.dims))
        if self.its.change is not None:
            self.its.change(response, request)
        return response

    def _version(self) -> str:
        return model_version(self.its.config.parameters[SHA256].string_value)


def put(response: Any, name: str, values: np.ndarray, shape: list[int]) -> None:
    """One more output."""
    output = response.outputs.add()
    output.name, output.datatype = name, "FP32"
    output.shape.extend(shape)
    response.raw_output_contents.append(values.astype(np.float32).tobytes())


class SmallServer:
    """A server in a thread; `stop` breaks its connections as a killed process would."""

    def __init__(self, behaviour: Behaviour, port: int = 0, credentials: Any = None) -> None:
        self.its = behaviour
        self.port = port or free_port()
        self._server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer(behaviour), self._server)
        address = f"127.0.0.1:{self.port}"
        if credentials is None:
            self._server.add_insecure_port(address)
        else:
            self._server.add_secure_port(address, credentials)
        self._server.start()

    @property
    def url(self) -> str:
        """Where TritonRunner finds it."""
        return f"triton://127.0.0.1:{self.port}/smartca"

    def stop(self) -> None:
        """Break off everything."""
        self._server.stop(0).wait(PATIENCE_S)
