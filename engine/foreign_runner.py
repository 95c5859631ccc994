"""A plugin's runner, whose answers are looked at before anybody is shown them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .contract import Answer, DeviceLost, EngineError, EngineInfo, Runner, checked_answer
from .operating_point import OperatingPoint

CONTRACT = ("info", "in_flight", "start", "finish", "infer", "point", "close")


class Judged(Runner):
    """The runner `inner` of the plugin `name`: what it raises is an EngineError that names it, and so is nonsense.

    Raises EngineError where it is no runner, or does not say what it is.
    """

    def __init__(self, inner: Runner, name: str) -> None:
        lacking = [part for part in CONTRACT if not hasattr(inner, part)]
        if lacking:
            raise EngineError(
                f"the plugin {name} gave a {type(inner).__name__}, which is no runner: it lacks "
                f"{', '.join(lacking)} (see engine.contract.Runner)"
            )
        if not isinstance(inner.info, EngineInfo):
            raise EngineError(f"the plugin {name} says nothing of itself: its info is no EngineInfo")
        self._inner, self._name = inner, name
        self.info, self.in_flight = inner.info, inner.in_flight

    def start(self, image: NDArray[np.float32]) -> None:
        """See `Runner.start`."""
        try:
            self._inner.start(image)
        except Exception as error:
            raise self._failed(error) from error

    def finish(self) -> Answer:
        """See `Runner.finish`."""
        try:
            answer = self._inner.finish()
        except Exception as error:
            raise self._failed(error) from error
        q = answer.q if isinstance(answer, Answer) else None
        size = self.info.size
        if not isinstance(q, np.ndarray) or q.dtype != np.float32 or q.shape != (size, size):
            raise EngineError(f"the engine {self._name} gave no Answer with q as float32 ({size}, {size})")
        return checked_answer(q, np.array([answer.tear, answer.strange], np.float32))

    def point(self) -> OperatingPoint:
        """See `Runner.point`."""
        point = self._inner.point()
        if not isinstance(point, OperatingPoint):
            raise EngineError(f"the engine {self._name} gave no OperatingPoint")
        return point

    def close(self) -> None:
        """See `Runner.close`."""
        self._inner.close()

    def _failed(self, error: Exception) -> EngineError:
        if isinstance(error, DeviceLost):
            return error
        return EngineError(f"the engine {self._name} failed ({type(error).__name__}: {error})")
