"""The one contract every engine keeps, and the one place that chooses among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from ..errors import RunError


class EngineError(RunError):
    """The engine could not be opened or gave no usable answer; the message says why and what to do."""


class DeviceLost(EngineError):
    """The device failed for good in this process: no answer of it counts any more, and only a new process goes on."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Which weights run where: shown to people and written into every report."""

    backend: str
    precision: str
    model_sha256: str
    input: tuple[int, int, int, int]

    @property
    def size(self) -> int:
        """Side of the network's square, in pixels."""
        return self.input[2]

    @property
    def digest(self) -> str:
        """The first 12 hex digits of the model's sha256: enough to tell engines apart."""
        return self.model_sha256[:12]

    def as_report(self) -> dict[str, str | list[int]]:
        """The report's `engine` block."""
        return {**asdict(self), "input": list(self.input)}


class Answer(NamedTuple):
    """What a network says of one picture.

    q: confidence of a tear, float32 (size, size) in 0..1, a copy that stays valid. tear: the classifier's probability
    that there is a tear anywhere (1 where the network has no classifier). strange: how unlike the pictures learnt
    from this one is, about 1 for those (0 where the network cannot tell).
    """

    q: NDArray[np.float32]
    tear: float = 1.0
    strange: float = 0.0


NOT_FINITE = "the network answered with numbers outside 0..1; export it again with `smartca export`"


def checked_answer(q: NDArray[np.float32], picture: NDArray[np.float32] | None = None) -> Answer:
    """q (size, size), a copy, and perhaps (tear, strange), as an answer. Raises EngineError for NaN and nonsense."""
    # min and max see NaN and infinity too, in two quick passes
    if not (q.min() >= 0.0 and q.max() <= 1.0):
        raise EngineError(NOT_FINITE)
    if picture is None:
        return Answer(q)
    tear, strange = picture.tolist()
    if not (0.0 <= tear <= 1.0 and 0.0 <= strange < float("inf")):
        raise EngineError(NOT_FINITE)
    return Answer(q, tear, strange)


class Runner(Protocol):
    """A network on some device: opened warm, then asked picture by picture, then closed.

    in_flight: how many pictures may be started before the first of them is finished; they are finished in order.
    """

    info: EngineInfo
    in_flight: int

    def start(self, image: NDArray[np.float32]) -> None:
        """Begin with `image`, float32 (1, 1, size, size) in 0..1, and return while the device works on it.

        Raises EngineError if the image is not of that kind or the device fails, DeviceLost if it fails for good.
        """
        ...

    def finish(self) -> Answer:
        """Wait for what was started, the oldest first.

        Raises EngineError if the device fails or the answer is not finite, DeviceLost if it fails for good.
        """
        ...

    def infer(self, image: NDArray[np.float32]) -> Answer:
        """`start` and `finish`."""
        ...

    def close(self) -> None:
        """Give the device back."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Remote:
    """A network on a Triton server, at `url`: triton://HOST:PORT/MODEL, or tritons:// for TLS."""

    url: str

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.url

    def __str__(self) -> str:
        return self.url


Engine = Path | Remote  # which network, and by its kind on what it runs: a file, or a server

SHIPPED_MODEL = Path(__file__).parent / "models" / "smartca-lite.onnx"


def engine_at(place: str) -> Engine:
    """What a person typed: a file's path, or a Triton server's address."""
    return Remote(place) if place.startswith(("triton://", "tritons://")) else Path(place)


Progress = Callable[[str, int, int], None]  # what is being done, how much of it is done, how much there is


@dataclass(frozen=True, slots=True)
class Inside:
    """What the library tells of an engine: (layer, precision) after fusion, and bytes of memory (None: untold)."""

    layers: list[tuple[str, str]]
    memory: int | None
