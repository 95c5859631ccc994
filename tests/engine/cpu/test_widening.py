"""A second copy of the network for files, on two cores: the same answers, in order, and never in a live feed's way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from smartca.engine import EngineError
from smartca.engine.contract import SHIPPED_MODEL
from smartca.engine.cpu import openvino_runner
from smartca.engine.cpu.openvino_runner import OpenVinoRunner
from support.networks import brightness_network
from support.waiting import wait_until


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return brightness_network(tmp_path / "model.onnx", tells_more=True)


@pytest.fixture
def pictures() -> list[NDArray[np.float32]]:
    return list(np.random.default_rng(3).random((9, 1, 1, 64, 64), np.float32))


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


@pytest.mark.usefixtures("two_cores")
def test_two_at_once_answer_as_one_does(model: Path, pictures: list[NDArray[np.float32]]) -> None:
    with OpenVinoRunner(model) as runner:
        alone = [runner.infer(picture) for picture in pictures]
        assert (runner.in_flight, runner.live_in_flight) == (1, 1)
        runner.widen()
        runner.widen()  # asked again with every frame
        wait_until(lambda: runner.in_flight == 2)
        together = []
        for number, picture in enumerate(pictures):
            runner.start(picture)
            if number:
                together.append(runner.finish())
        together.append(runner.finish())
        runner.start(pictures[0])
        runner.start(pictures[1])
        with pytest.raises(EngineError, match="not finished"):
            runner.start(pictures[2])
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one.q, other.q) and one[1:] == other[1:]
    with pytest.raises(EngineError, match="closed"):
        runner.finish()


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize("threads", [1, 2])
def test_threads_that_are_asked_for_are_kept_to(model: Path, threads: int) -> None:
    with OpenVinoRunner(model, threads=threads) as runner:
        runner.widen()
        assert runner.in_flight == 1 and runner._widening is None


@pytest.mark.parametrize("cores", [1, 4])
def test_other_machines_stay_as_they_are(model: Path, cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    with OpenVinoRunner(model) as runner:
        runner.widen()
        assert runner.in_flight == 1 and runner._widening is None


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize("change", ["gone", "another", "too little memory"])
def test_where_there_cannot_be_a_second_there_is_one(
    model: Path, pictures: list[NDArray[np.float32]], change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OpenVinoRunner(model) as runner:
        before = runner.infer(pictures[0])
        if change == "gone":
            model.unlink()
        elif change == "another":
            shutil.copy(brightness_network(model.with_name("other.onnx")), model)
        else:
            monkeypatch.setattr(openvino_runner, "_compiled", _no_memory)
        runner.widen()
        assert runner._widening is not None
        runner._widening.join()
        assert runner.in_flight == 1
        assert np.array_equal(runner.infer(pictures[0]).q, before.q)


def _no_memory(*_: object) -> object:
    raise RuntimeError("cannot allocate")


@pytest.mark.parametrize("closed", [False, True])
def test_a_process_ends_well_while_the_second_is_opened(model: Path, closed: bool) -> None:
    """Of a file of few frames, or after Ctrl-C."""
    code = (
        "import os, threading; os.cpu_count = lambda: 2\n"
        "from pathlib import Path; from smartca.engine.cpu.openvino_runner import OpenVinoRunner\n"
        f"runner = OpenVinoRunner(Path({str(SHIPPED_MODEL)!r}))\n"
        "asks = threading.Thread(target=runner.widen, daemon=True); asks.start(); asks.join()\n"
    ) + ("runner.close()" if closed else "")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("two_cores")
def test_it_closes_while_the_second_is_opened(model: Path) -> None:
    for _ in range(5):
        runner = OpenVinoRunner(model)
        runner.widen()
        runner.close()
        with pytest.raises(EngineError, match="closed"):
            runner.start(np.zeros((1, 1, 64, 64), np.float32))
