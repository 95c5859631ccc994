"""A plugin's engine is looked at: nonsense is 'no result', never 'no tear', and a failure names the plugin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from smartca.engine import Answer, EngineError, EngineInfo, Runner
from smartca.engine.foreign_runner import Judged

SIZE = 16
GOOD = np.zeros((SIZE, SIZE), np.float32)


class Stranger(Runner):
    """Answers whatever it is told to."""

    info = EngineInfo("stranger", "fp32", "ab" * 32, (1, 1, SIZE, SIZE))

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def start(self, image: NDArray[np.float32]) -> None:
        """Nothing to do."""

    def finish(self) -> Any:
        """What it was given, or raise it."""
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def asked(answer: Any) -> Answer:
    return Judged(Stranger(answer), "mine:x").infer(np.zeros((1, 1, SIZE, SIZE), np.float32))


def test_a_good_answer_passes() -> None:
    assert asked(Answer(GOOD, 0.5, 1.0)).tear == 0.5


@pytest.mark.parametrize(
    "answer",
    [
        None,
        GOOD,
        Answer(np.full_like(GOOD, np.nan)),
        Answer(GOOD + 7),
        Answer(GOOD[:5, :7]),
        Answer(GOOD.astype(np.float64)),  # type: ignore[arg-type]
        Answer(GOOD, float("nan")),
        Answer(GOOD, 0.5, -1.0),
    ],
    ids=["nothing", "bare q", "nan", "beyond 1", "shape", "float64", "tear", "strange"],
)
def test_nonsense_is_no_answer(answer: Any) -> None:
    with pytest.raises(EngineError):
        asked(answer)


def test_a_failure_names_the_plugin() -> None:
    with pytest.raises(EngineError, match=r"the engine mine:x failed \(KeyError"):
        asked(KeyError("third"))


def test_what_says_nothing_of_itself_is_refused_at_once() -> None:
    told: Any = Stranger(None)
    told.info = None
    with pytest.raises(EngineError, match="says nothing of itself"):
        Judged(told, "mine:x")
    with pytest.raises(EngineError, match="lacks start"):
        half: Any = type("Half", (), {"info": 0, "in_flight": 1, "finish": 0, "infer": 0, "point": 0, "close": 0})()
        Judged(half, "x")
