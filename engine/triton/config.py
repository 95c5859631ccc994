"""A network's config.pbtxt for a Triton Inference Server. Nothing of Triton is needed to write it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from ..contract import PRECISIONS, EngineError
from ..machine import BACKENDS
from ..operating_point import OperatingPoint

TRITON_BACKENDS = tuple(name for name in BACKENDS if name != "tensorrt-rtx")  # whose engines Triton does not load
PRIORITY_LEVELS = 2  # priorities: 1 = a live feed (what TritonRunner asks for), 2 = everything else
WARM_UP = 3

# what a client reads back, so that an answer can be matched to its weights and outlined as calibrated
SHA256, PRECISION, POINT = "smartca_sha256", "smartca_precision", "smartca_operating_point"


@dataclass(frozen=True, slots=True)
class Serving:
    """How a server runs the network.

    backend: onnxruntime, openvino or tensorrt; auto takes tensorrt for a plan, else onnxruntime. precision: what the
    file computes in; auto is int8 or fp32, as the ONNX file says; bf16 asks the OpenVINO backend for it.
    instances: copies that work at the same time. gpu: run onnxruntime on a GPU. threads: of each instance on a CPU,
    0 = the backend's choice. max_batch: pictures in one go, 1 = none wait for company. strict_queue: turn away what
    would grow old and let live feeds go first, for a server with more work than it can do in time; `queue` pictures may
    then wait at each priority, for `patience_ms` at most.
    """

    backend: str = "auto"
    precision: str = "auto"
    instances: int = 1
    gpu: bool = False
    threads: int = 0
    max_batch: int = 1
    strict_queue: bool = False
    queue: int = 8
    patience_ms: int = 100

    def __post_init__(self) -> None:
        if self.backend not in ("auto", *TRITON_BACKENDS):
            raise EngineError(f"there is no Triton backend {self.backend!r}; choose auto, {', '.join(TRITON_BACKENDS)}")
        if self.precision not in ("auto", *PRECISIONS):
            raise EngineError(f"there is no precision {self.precision!r}; choose auto, {', '.join(PRECISIONS)}")
        for name in ("instances", "max_batch", "queue", "patience_ms"):
            if getattr(self, name) < 1:
                raise EngineError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.threads < 0:
            raise EngineError(f"threads is {self.threads}; it must be 0 (the backend's choice) or more")


@dataclass(frozen=True, slots=True)
class ServedNetwork:
    """What a server must know: the side of its square, does it say more than q, take batches, hold INT8 ranges."""

    size: int
    tells_more: bool
    batches: bool
    quantised: bool


def model_version(digest: str) -> str:
    """The version Triton knows the weights with this sha256 by: their first 12 hex digits as a number."""
    return str(int(digest[:12], 16))


def network_config(
    name: str,
    network: ServedNetwork,
    serving: Serving,
    digest: str,
    point: OperatingPoint | None,
) -> str:
    """The text of config.pbtxt."""
    # 0 tells Triton that the file's own first dimension is there and is 1
    batch = serving.max_batch if network.batches or serving.max_batch > 1 else 0
    size = network.size
    picture = _dims(batch, 1, size, size)
    outputs = [_tensor("output", "q", picture)]
    if network.tells_more:
        outputs.append(_tensor("output", "picture", _dims(batch, 2)))
    parameters = {SHA256: digest, PRECISION: serving.precision, **_tuning(serving)}
    if point is not None:
        parameters[POINT] = msgspec.json.encode(point).decode()
    lines = [
        f"name: {_quoted(name)}",
        f"backend: {_quoted(serving.backend)}",
        f"default_model_filename: {_quoted(file_name(serving.backend))}",
        f"version_policy {{ specific {{ versions: {model_version(digest)} }} }}",
        f"max_batch_size: {batch}",
        _tensor("input", "image", picture),
        *outputs,
        f"instance_group {{ count: {serving.instances} kind: {_kind(serving)} }}",
        *_queueing(serving),
        # nobody's picture waits while buffers are allocated and kernels chosen
        f'model_warmup {{ name: "black" batch_size: 1 count: {WARM_UP} inputs {{ key: "image" value '
        f"{{ data_type: TYPE_FP32 dims: {picture} zero_data: true }} }} }}",
        *(f"parameters {{ key: {_quoted(k)} value {{ string_value: {_quoted(v)} }} }}" for k, v in parameters.items()),
    ]
    return "\n".join(lines) + "\n"


def _queueing(serving: Serving) -> list[str]:
    """The queue's rules. Newest wins, so nothing may grow old in it.

    A client has one picture on its way and calls it off at its deadline; the dynamic batcher then drops it, while
    without one Triton would still work on it. A batch is what waits already: nobody waits for company. Rejections and
    priorities come at a price, so they must be asked for: with any of them Triton (2.51, and later by its source)
    prefetches no request, and one that comes before an instance has settled down can lie for half a second.
    """
    lines = ["dynamic_batching {", "  max_queue_delay_microseconds: 0"]
    if serving.strict_queue:
        lines += [
            f"  priority_levels: {PRIORITY_LEVELS}",
            f"  default_priority_level: {PRIORITY_LEVELS}",
            "  default_queue_policy { timeout_action: REJECT allow_timeout_override: true "
            f"default_timeout_microseconds: {1000 * serving.patience_ms} max_queue_size: {serving.queue} }}",
        ]
    return [*lines, "}"]


def _tuning(serving: Serving) -> dict[str, str]:
    """The backend's own parameters."""
    if serving.backend == "openvino":
        found = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": str(serving.instances)}
        if serving.threads:
            found["INFERENCE_NUM_THREADS"] = str(serving.threads * serving.instances)
        if serving.precision == "bf16":
            found["HINT_BF16"] = "YES"
        return found
    if serving.backend == "onnxruntime" and serving.threads:
        return {"intra_op_thread_count": str(serving.threads)}
    return {}


def file_name(backend: str) -> str:
    """What the weights are called in the version's folder."""
    return "model.plan" if backend == "tensorrt" else "model.onnx"


def _kind(serving: Serving) -> str:
    return "KIND_GPU" if serving.backend == "tensorrt" or serving.gpu else "KIND_CPU"


def _dims(batch: int, *rest: int) -> str:
    """Triton leaves the batch out of the dimensions where it batches."""
    return str(list(rest if batch else (1, *rest)))


def _tensor(way: str, name: str, dims: str) -> str:
    return f"{way} {{ name: {_quoted(name)} data_type: TYPE_FP32 dims: {dims} }}"


def _quoted(text: str) -> str:
    """A string of protobuf's text format."""
    plain = (chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03o}" for b in text.encode())
    return f'"{"".join(plain)}"'
