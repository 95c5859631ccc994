"""The one contract every engine keeps, and how one is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from .. import plugins
from ..errors import RunError
from .operating_point import OperatingPoint

PRECISIONS = ("fp32", "fp16", "bf16", "int8")  # all that an engine may compute in


Progress = Callable[[str, int, int], None]  # what is being done, how much of it is done, how much there is


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
    from this one is, about 1 for those (0 where the network cannot tell). otherwise: whether another network answered
    in the place of the one that was asked (`Segmenter.otherwise`).
    """

    q: NDArray[np.float32]
    tear: float = 1.0
    strange: float = 0.0
    otherwise: bool = False


# how a model comes about: of a checkpoint of ours, or of anybody's network
MAKES_MODELS = "`smartca export` of a checkpoint, or by `smartca adopt` of anybody's segmentation ONNX"
NOT_FINITE = (
    "the network answered with numbers outside 0..1, so it does not end in a confidence: `smartca adopt` puts one at "
    "the end of anybody's network, `smartca export` of a checkpoint made here"
)
FLAT = (
    "the network answered with one and the same number everywhere, so it saw nothing in the picture: its weights or "
    "its normalisation are wrong; see `smartca adopt` for anybody's network, train again for one made here"
)
NONSENSE = (NOT_FINITE, FLAT)  # what no sound network ever answers


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
    """A network on some device: opened warm, then asked picture by picture, then closed. Use it with `with`.

    in_flight: how many pictures may be started before the first of them is finished; they are finished in order.
    live_in_flight: how many of a live feed, where more of them would only make each later; 0: as many.
    A class that names this one as its base needs `info`, `start` and `finish` of its own.
    """

    info: EngineInfo
    in_flight: int = 1
    live_in_flight: int = 0

    def widen(self) -> None:
        """Pictures of a file come: make room for more of them at once where that pays. `in_flight` tells when it is."""

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
        self.start(image)
        return self.finish()

    def point(self) -> OperatingPoint:
        """The operating point that is stored with what runs; the usual one where none is.

        It is looked up when it is asked for: an engine whose stored point is damaged still opens, to be calibrated.
        Raises ValueError if the stored one is damaged or of other weights.
        """
        return OperatingPoint(model_sha256=self.info.model_sha256)

    def close(self) -> None:
        """Give the device back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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


@dataclass(frozen=True, slots=True)
class Foreign:
    """An engine that an installed plugin opens: `plugin` is its name, `rest` what it is told."""

    plugin: str
    rest: str

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.plugin}:{self.rest}"

    def __str__(self) -> str:
        return self.name


Engine = Path | Remote | Foreign  # which network, and by its kind on what it runs: a file, a server, a plugin's

SHIPPED = "shipped"  # as people name it
SHIPPED_MODEL = Path(__file__).parent / "models" / "smartca-lite.onnx"
SHIPPED_START = SHIPPED_MODEL.with_suffix(".pt")  # the same weights, for training to start from


def engine_at(place: str | Engine) -> Engine:
    """What a person typed: 'shipped', a file's path, a Triton server's address, or PLUGIN:REST.

    A file that exists is that file, whatever its name.
    """
    if not isinstance(place, str) or Path(place).exists():
        return Path(place) if isinstance(place, str) else place
    if place.startswith(("triton://", "tritons://")):
        return Remote(place)
    if place == SHIPPED:
        return SHIPPED_MODEL
    named = plugins.name_and_rest(place)
    return Path(place) if named is None else Foreign(*named)


@dataclass(frozen=True, slots=True)
class Inside:
    """What the library tells of an engine: (layer, precision) after fusion, and bytes of memory (None: untold)."""

    layers: list[tuple[str, str]]
    memory: int | None
