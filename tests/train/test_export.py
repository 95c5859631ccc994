"""Every network and every loss by its name: trained for a step, exported, calibrated, built, run."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
from smartca.engine import OperatingPoint, open_runner
from smartca.engine.operating_point import load_point
from smartca.train import loss_names
from smartca.train.nets import networks
from support.labelled_forms import as_masks, command, segment

# each name of both lists at least once; what is left over goes with the lightest of the other list
PAIRS = list(
    zip_longest(
        networks.NETWORK_NAMES,
        loss_names.LOSS_NAMES,
        fillvalue="iplf" if len(networks.NETWORK_NAMES) > len(loss_names.LOSS_NAMES) else "smartca-lite",
    )
)


@pytest.mark.parametrize(("network", "loss"), PAIRS)
def test_from_masks_to_a_running_engine(
    network: str, loss: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    form, model, engine = as_masks(tmp_path / "data"), tmp_path / "m.onnx", tmp_path / "e.onnx"
    steps = (
        segment(form, tmp_path / "run", "--network", network, "--loss", loss, "--no-pretrained"),
        ["export", "--checkpoint", tmp_path / "run" / "best.pt", "--out", model],
        ["calibrate", "--model", model, "--data", form.data, *form.choice],
        ["build", model, "--backend", "openvino", "--precision", "fp32", "-o", engine],
    )
    for step in steps:
        code, told = command(capfd)(*step)
        assert code == 0, told
    with open_runner(engine) as runner:
        size = runner.info.size
        answer = runner.infer(np.random.default_rng(0).random((1, 1, size, size), dtype=np.float32))
        assert answer.q.shape == (size, size) and 0 <= answer.q.min() <= answer.q.max() <= 1
        point = load_point(engine, runner.info.model_sha256)
    assert point.fitted_on != OperatingPoint().fitted_on  # the engine took its model's operating point along
