"""One connection to a Triton server, made only once it is known whose weights answer there."""

from __future__ import annotations

import contextlib
import importlib
import queue
import time
import warnings
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ...errors import UNDECODABLE
from ..contract import Answer, EngineError, EngineInfo
from ..operating_point import OperatingPoint
from .address import Address
from .config import POINT, PRECISION, SHA256, model_version
from .memory import POSSIBLE, SharedPicture

OPENING_S = 5.0  # for each question while connecting; nobody's picture waits for these
GRACE_S = 0.25  # how long after its deadline an answer's absence may take to be told
LINGER_S = 5.0  # how long a server that must not be told is left to work on what nobody waits for
MEMORY_SINCE = (2, 50)  # from this server on, shared memory in use cannot be pulled from under it
CANCEL_SINCE = (2, 60)  # from this server (25.07) on, a request called off at the wrong moment cannot crash it
BUSY = ("Exceeds maximum queue size", "Request timeout expired")
NO_MODEL = "it needs the folder that `smartca build --triton` writes"


class SessionLost(EngineError):
    """The connection is no longer to be relied on: a late answer may come, or another server may have taken over."""


def client_package() -> ModuleType:
    """tritonclient.grpc. Raises EngineError with the cure where it is absent."""
    try:
        with warnings.catch_warnings():
            # its messages were generated for the protobuf before the newest; that works, and says so each time
            warnings.filterwarnings("ignore", message="Protobuf gencode version")
            return importlib.import_module("tritonclient.grpc")
    except ImportError as error:
        raise EngineError("a Triton server needs tritonclient here: pip install 'tritonclient[grpc]'") from error


@dataclass(slots=True)
class Pending:
    """A picture on its way: its id, when to give up, where the reply will be put, and how to call it off."""

    id: str
    until: float
    replies: queue.SimpleQueue[tuple[Any, Any]]
    call: Any


class Session:
    """One gRPC channel of its own, to one version of one model.

    info and point: what the server holds. Raises EngineError where there is no server, no such model, or a model
    that does not say which weights it is.
    """

    def __init__(self, address: Address) -> None:
        self._package = client_package()
        self._address = address
        self._client = _connect(self._package, address)
        self._memory: SharedPicture | None = None
        self._unanswered: Pending | None = None
        self._release: tuple[int, ...] = CANCEL_SINCE
        try:
            self._identify()
            noise = np.random.default_rng(0).random(self.info.input, np.float32)
            answer = self.finish(self.send(noise, "check-1", OPENING_S))
            self._share(noise, answer)
        except BaseException:
            self.close()
            raise

    @property
    def shares_memory(self) -> bool:
        """Do pictures go through shared memory?"""
        return self._memory is not None

    @property
    def _cancels(self) -> bool:
        return self._release >= CANCEL_SINCE

    def send(self, image: NDArray[np.float32], request_id: str, timeout_s: float) -> Pending:
        """Send a picture, float32 of `info.input`, and return at once. Raises SessionLost."""
        replies: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()

        def reply(result: Any, error: Any) -> None:  # of this request alone: each has a queue of its own
            replies.put((result, error))

        try:
            call = self._client.async_infer(
                self._address.model,
                self._inputs(image),
                reply,
                model_version=self._version,
                request_id=request_id,
                outputs=self._outputs(),
                priority=self._address.priority,
                timeout=int(1e6 * timeout_s),
                client_timeout=timeout_s if self._cancels else LINGER_S,
            )
        except Exception as error:  # tritonclient and grpc raise many kinds here, one of them a bare ValueError
            raise SessionLost(f"the Triton server at {self._address.host} cannot be asked: {_words(error)}") from error
        self._unanswered = Pending(request_id, time.monotonic() + timeout_s, replies, call)
        return self._unanswered

    def finish(self, pending: Pending) -> Answer:
        """Wait for what was sent. Raises EngineError; SessionLost where it may still be answered later."""
        grace = GRACE_S if self._cancels else 0.0  # for gRPC, which keeps the deadline itself, to tell
        try:
            result, error = pending.replies.get(timeout=max(0.0, pending.until - time.monotonic()) + grace)
            self._unanswered = None
        except queue.Empty:
            raise SessionLost(f"the Triton server at {self._address.host} gave no answer in time") from None
        if error is not None:
            raise self._failure(error)
        response = result.get_response()
        if (response.id, response.model_version) != (pending.id, self._version):
            raise SessionLost(
                f"the Triton server at {self._address.host} answered request {response.id!r} of version "
                f"{response.model_version!r}, not {pending.id!r} of {self._version!r}"
            )
        return self._answer(result)

    def close(self) -> None:
        """Give the shared memory back and hang up; hanging up calls off what is unanswered."""
        if self._unanswered is not None and not self._cancels:
            with contextlib.suppress(queue.Empty):
                self._unanswered.replies.get(timeout=LINGER_S + GRACE_S)
        if self._memory is not None:
            self._memory.close()
            self._memory = None
        with contextlib.suppress(Exception):
            self._client.close()

    def _identify(self) -> None:
        """Ask what the server holds, and hold that to the contract."""
        host, model = self._address.host, self._address.model
        try:
            server = self._client.get_server_metadata(client_timeout=OPENING_S)
            self._release = _number(server.version)
            config = self._client.get_model_config(model, client_timeout=OPENING_S).config
            told = {key: value.string_value for key, value in config.parameters.items()}
            digest = told.get(SHA256, "")
            if len(digest) != 64:
                raise EngineError(f"the model {model!r} at {host} does not say which weights it holds; {NO_MODEL}")
            self._version = model_version(digest)
            ready = self._client.is_model_ready(model, self._version, client_timeout=OPENING_S)
        except self._package.InferenceServerException as error:
            raise self._failure(error) from error
        except ValueError as error:
            raise EngineError(f"the model {model!r} at {host} says nonsense of its weights; {NO_MODEL}") from error
        if not ready:
            raise EngineError(f"the Triton server at {host} has no model {model!r} with weights {digest[:12]} ready")
        self._names = [output.name for output in config.output]
        size = _size(config, self._names, f"the model {model!r} at {host}")
        backend = f"triton {server.version} {config.backend or config.platform}"
        self.info = EngineInfo(backend, told.get(PRECISION, "unknown"), digest, (1, 1, size, size))
        self.point = _point(told.get(POINT), digest, f"the model {model!r} at {host}")

    def _share(self, image: NDArray[np.float32], wanted: Answer) -> None:
        """Use shared memory from here on, if the server maps it and gives the same answer through it."""
        if not (self._address.memory and POSSIBLE and self._release >= MEMORY_SINCE):
            return
        with contextlib.suppress(self._package.InferenceServerException, OSError):
            self._memory = SharedPicture(self._client, self.info.size, OPENING_S)
        if self._memory is None:
            return
        try:
            found = self.finish(self.send(image, "check-2", OPENING_S))
            if np.allclose(found.q, wanted.q, atol=1e-3):
                return
        except EngineError:
            pass
        self._memory.close()
        self._memory = None

    def _inputs(self, image: NDArray[np.float32]) -> list[Any]:
        tensor = self._package.InferInput("image", list(image.shape), "FP32")
        if self._memory is None:
            tensor.set_data_from_numpy(image)
        else:
            self._memory.load(image)
            tensor.set_shared_memory(self._memory.name, image.nbytes)
        return [tensor]

    def _outputs(self) -> list[Any]:
        outputs = [self._package.InferRequestedOutput(name) for name in self._names]
        if self._memory is not None:
            for output, name in zip(outputs, self._names, strict=True):
                output.set_shared_memory(self._memory.name, *self._memory.offsets[name])
        return outputs

    def _answer(self, result: Any) -> Answer:
        """What the server said, held to the contract: a wrong answer is no answer."""
        q, more = (self._tensor(result, name) for name in ("q", "picture"))
        sound = q is not None and q.shape == self.info.input and q.dtype == np.float32
        tear, strange = (1.0, 0.0) if more is None else more.ravel().tolist() if more.size == 2 else (-1.0, -1.0)
        # min and max see NaN and infinity too
        if q is None or not (sound and q.min() >= 0.0 and q.max() <= 1.0 and 0.0 <= tear <= 1.0):
            raise EngineError(f"the Triton server at {self._address.host} answered with numbers outside 0..1")
        if not 0.0 <= strange < float("inf"):
            raise EngineError(f"the Triton server at {self._address.host} answered with numbers that are none")
        return Answer(q[0, 0], tear, strange)

    def _tensor(self, result: Any, name: str) -> NDArray[np.float32] | None:
        """A copy of one output; None where it is missing."""
        if name not in self._names:
            return None
        if self._memory is not None:
            return (self._memory.q if name == "q" else self._memory.picture).copy()
        found = result.as_numpy(name)
        return None if found is None else found.copy()

    def _failure(self, error: Any) -> EngineError:
        """The server's or gRPC's complaint in one sentence."""
        host, status, words = self._address.host, str(error.status()), _words(error)
        if any(busy in words for busy in BUSY):
            return EngineError(f"the Triton server at {host} has more pictures waiting than it can answer in time")
        if status.endswith(("NOT_FOUND", "INVALID_ARGUMENT")):
            return SessionLost(f"the Triton server at {host} refused ({words}); {NO_MODEL}")
        if status.endswith("DEADLINE_EXCEEDED"):
            return SessionLost(f"the Triton server at {host} gave no answer in time")
        if status.endswith(("UNAVAILABLE", "CANCELLED")):  # a server that ends cancels what it had begun
            why = words.rsplit(": ", 1)[-1]  # gRPC's words are a chain of causes, the last one is the cause
            return SessionLost(f"no Triton server answers at {host} ({why}); start it or check the address")
        return SessionLost(f"the Triton server at {host} failed: {words}")


def _connect(package: ModuleType, address: Address) -> Any:
    settings = [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.enable_http_proxy", 0),  # pictures go to the server named and through nobody else
        ("grpc.use_local_subchannel_pool", 1),  # a new session is a new connection
    ]
    tls = {"root_certificates": address.ca, "private_key": address.key, "certificate_chain": address.cert}
    try:
        return package.InferenceServerClient(
            address.host, ssl=address.tls, channel_args=settings, **(tls if address.tls else {})
        )
    except OSError as error:
        raise EngineError(f"cannot read the TLS files for {address.host}: {error}") from error


def _size(config: Any, names: list[str], whose: str) -> int:
    """Side of the square, from the shapes in the server's configuration."""
    lead = [1] if config.max_batch_size > 0 else []
    shapes = {tensor.name: [*lead, *tensor.dims] for tensor in [*config.input, *config.output]}
    image = shapes.get("image", [])
    square = len(image) == 4 and image[:2] == [1, 1] and image[2] == image[3] > 0
    if len(config.input) != 1 or not square or shapes.get("q") != image or names not in (["q"], ["q", "picture"]):
        raise EngineError(f"{whose} has the wrong shape ({shapes}): SMART-CA needs 'image' (1, 1, S, S) and 'q'")
    return image[2]


def _point(text: str | None, digest: str, whose: str) -> OperatingPoint:
    """The operating point that came with the weights, or the default one."""
    if not text:
        return OperatingPoint(model_sha256=digest)
    try:
        point = msgspec.json.decode(text, type=OperatingPoint)
    except UNDECODABLE as error:
        raise EngineError(f"{whose} has no readable operating point ({error}); {NO_MODEL}") from error
    if point.model_sha256 != digest:
        raise EngineError(f"{whose} has the operating point of other weights; {NO_MODEL}")
    return point


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split(".")[:2])


def _words(error: Any) -> str:
    message = error.message() if hasattr(error, "message") else str(error)
    return " ".join(str(message or type(error).__name__).split())[:200]
