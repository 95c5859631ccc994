"""A source that goes away and comes back."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import cv2
import numpy as np
from smartca.engine import Remote
from smartca.engine.building.assembly import Options
from smartca.engine.building.build import build_engine
from smartca.stream.run.attaching import reopened
from smartca.stream.run.pulse import Heart
from smartca.stream.run.serving import _how_to_calibrate


def test_a_lost_source_is_waited_for(tmp_path: Path) -> None:
    """The file appears while it is being waited for, as a camera does that is plugged in again."""
    path = tmp_path / "late.png"

    def plug_in() -> None:
        time.sleep(0.3)
        cv2.imwrite(str(path), np.full((64, 64), 90, np.uint8))

    threading.Thread(target=plug_in).start()
    with contextlib.closing(Heart("attach", None)) as heart:
        source = reopened(str(path), heart)
    assert source is not None
    assert len(list(source.pictures())) == 1


def test_waiting_ends_when_told_to(tmp_path: Path) -> None:
    with contextlib.closing(Heart("attach", None)) as heart:
        os.kill(os.getpid(), signal.SIGTERM)
        assert reopened(str(tmp_path / "never.png"), heart) is None


def test_only_a_model_itself_is_said_to_be_calibrated(tmp_path: Path, network: Path) -> None:
    made = build_engine(
        network, Options("openvino", "bf16", out=tmp_path / "b.onnx"), lambda *told: None, tmp_path / "cache"
    )
    assert _how_to_calibrate(network) == f"run `smartca calibrate --model {network}`"
    for other in (made, tmp_path / "x.engine", Remote("triton://host/m")):
        assert "on the .onnx model that it was built from" in _how_to_calibrate(other)
