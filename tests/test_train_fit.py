from __future__ import annotations

import csv
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from smartca.train.curves import plot
from smartca.train.export import export, load_network, to_onnx
from smartca.train.fit import Fit, FitSettings, Stopped, learning_rate, read_checkpoint
from smartca.train.network import SmartCA

SMALL = FitSettings(size=64, epochs=2, batch=4, seed=3)


class Blobs:
    """Dark ellipses on bright speckle; every third picture has none."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(index)
        pixels = cv2.GaussianBlur(rng.integers(60, 255, (72, 64)).astype(np.uint8), (0, 0), 1)
        mask = np.zeros((72, 64), np.uint8)
        if index % 3:
            centre = int(rng.integers(20, 44)), int(rng.integers(20, 52))
            cv2.ellipse(mask, centre, (12, 7), float(rng.integers(180)), 0, 360, 1, -1)
        return np.where(mask > 0, pixels // 4, pixels).astype(np.uint8), mask > 0


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads on a busy machine wait for each other more than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    fit = Fit(SMALL, Blobs(8), Blobs(4), tmp_path_factory.mktemp("run"))
    fit.run()
    return fit


def test_learning_rate_rises_then_falls() -> None:
    rates = [learning_rate(step, 100, 1.0) for step in range(100)]
    assert rates[4] == max(rates) == 1.0
    assert rates[0] == pytest.approx(0.2) and rates[-1] < 0.02
    assert rates[5:] == sorted(rates[5:], reverse=True)


def test_training_logs_every_epoch_and_keeps_the_best(fitted: Fit) -> None:
    with (fitted.out / "log.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    best = max(rows, key=lambda row: float(row["dice"]))
    assert read_checkpoint(fitted.best)["dice"] == pytest.approx(float(best["dice"]))


def test_training_learns() -> None:
    torch.manual_seed(0)
    network = SmartCA("lite").train()
    from smartca.train.fit import tensors
    from smartca.train.losses import iplf

    images, masks = tensors([Blobs(8)[n] for n in range(8)], 64)
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], 3e-3)
    losses = []
    for _ in range(12):
        loss = iplf(network(images), masks)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_an_interrupted_run_goes_on_to_the_same_weights(fitted: Fit, tmp_path: Path) -> None:
    def interrupt(step: int, total: int, loss: float) -> None:
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stopped, match="stopped at step 3 of 4; the same command goes on"):
        Fit(SMALL, Blobs(8), Blobs(4), tmp_path, on_step=interrupt).run()
    assert not list(tmp_path.glob("*.partial"))
    resumed = Fit(SMALL, Blobs(8), Blobs(4), tmp_path)
    assert resumed.step == 3
    resumed.run()
    straight = fitted.mean.state_dict()
    for name, value in resumed.mean.state_dict().items():
        assert torch.allclose(value.float(), straight[name].float(), atol=1e-5), name


def test_a_checkpoint_of_other_settings_is_not_gone_on_from(fitted: Fit) -> None:
    with pytest.raises(ValueError, match="other settings"):
        Fit(replace(SMALL, batch=2), Blobs(8), Blobs(4), fitted.out)


def test_a_finished_run_is_not_trained_further(fitted: Fit) -> None:
    again = Fit(SMALL, Blobs(8), Blobs(4), fitted.out)
    assert again.run() == fitted.rows and again.step == 4


def test_the_classifier_step_changes_the_frozen_encoder(tmp_path: Path) -> None:
    fit = Fit(replace(SMALL, epochs=1, classify_epochs=1), Blobs(4), Blobs(2), tmp_path)
    before = fit.network.pretrained.state_dict()["stem.0.weight"].clone()
    fit.run()
    assert not torch.equal(fit.network.pretrained.state_dict()["stem.0.weight"], before)
    assert torch.equal(
        fit.network.pretrained.state_dict()["stem.0.weight"],
        fit.mean.pretrained.state_dict()["stem.0.weight"],
    )


def test_curves_are_drawn(fitted: Fit, tmp_path: Path) -> None:
    plot(fitted.rows, tmp_path / "curves.png")
    assert cv2.imread(str(tmp_path / "curves.png")) is not None


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"best\.pt is missing or is no checkpoint"):
        load_network(tmp_path / "best.pt")


@pytest.mark.filterwarnings("default")  # the exporter's own notices are none of ours
def test_export_ends_in_q_and_says_what_it_is(fitted: Fit, tmp_path: Path) -> None:
    import onnx
    import openvino

    out = tmp_path / "model.onnx"
    assert export(fitted.best, out) < 1e-3
    model = onnx.load(out, load_external_data=False)
    assert {prop.key: prop.value for prop in model.metadata_props}.items() >= {
        "smartca.backbone": "lite",
        "smartca.size": "64",
    }.items()
    assert [model.graph.input[0].name, model.graph.output[0].name] == ["image", "q"]
    assert 4e6 < out.stat().st_size < 8e6 and list(tmp_path.iterdir()) == [out]
    assert b".py" not in out.read_bytes()  # no traces of the machine it was made on
    q = openvino.Core().compile_model(out, "CPU")(np.zeros((1, 1, 64, 64), np.float32))[0]
    assert q.shape == (1, 1, 64, 64) and 0 <= q.min() <= q.max() <= 1


@pytest.mark.filterwarnings("default")
def test_a_model_that_disagrees_is_not_written(fitted: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, _ = load_network(fitted.best)
    other = to_onnx(SmartCA("lite").eval(), 64)  # a whole model, of other weights
    monkeypatch.setattr("smartca.train.export.to_onnx", lambda *_: other)
    with pytest.raises(RuntimeError, match="was not written"):
        export(fitted.best, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir()) and network.backbone == "lite"


def test_a_checkpoint_to_go_on_with_is_not_exported(fitted: Fit, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"give the best\.pt"):
        export(fitted.last, tmp_path / "model.onnx")
