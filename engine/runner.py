"""The one contract every engine keeps, and the one place that chooses among them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self


class EngineError(RuntimeError):
    """The engine could not be opened or gave no usable answer; the message says why and what to do."""


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


class Runner(Protocol):
    """A network on some device: opened warm, then asked picture by picture, then closed."""

    info: EngineInfo

    def start(self, image: NDArray[np.float32]) -> None:
        """Begin with `image`, float32 (1, 1, size, size) in 0..1, and return while the device works on it.

        Raises EngineError if the image is not of that kind or the device fails.
        """
        ...

    def finish(self) -> Answer:
        """Wait for what was started.

        Raises EngineError if the device fails or the answer is not finite.
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


SHIPPED_MODEL = Path(__file__).parent / "models" / "smartca-lite.onnx"


def open_runner(model: Path = SHIPPED_MODEL, precision: str = "auto", threads: int = 0) -> Runner:
    """Open `model` on the backend its kind of file asks for: warm, ready to infer.

    .onnx runs in OpenVINO on the CPU. A TensorRT engine file gets its own small module beside `ov.py`
    and one more line here. precision: auto (bf16 where the processor has it), fp32 or bf16. threads: 0 =
    all cores but one, which capture and display share.
    Raises EngineError if there is no such file or it is no SMART-CA network.
    """
    if not model.is_file():
        raise EngineError(f"there is no model at {model}; give --model an .onnx file made by `smartca export`")
    if model.suffix != ".onnx":
        raise EngineError(f"{model.name} is not an .onnx file; `smartca export` writes one from a checkpoint")
    from .ov import OpenVinoRunner

    return OpenVinoRunner(model, precision, threads)
