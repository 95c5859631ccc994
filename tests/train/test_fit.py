from __future__ import annotations

import csv
import os
import signal
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from smartca.train.batches import Batches, tensors
from smartca.train.checkpoint import write_checkpoint
from smartca.train.curves import plot_curves
from smartca.train.export import export, load_network
from smartca.train.fit import Fit, FitSettings, TrainingStopped, read_checkpoint
from smartca.train.loop import average_into
from smartca.train.losses import iplf
from smartca.train.nets.familiar import pooled
from smartca.train.nets.network import SmartCA
from smartca.train.parallel import current
from smartca.train.settings import Lessons, Running, learning_rate
from support.killable import begun
from support.waiting import PATIENCE_S

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


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    fit = Fit(SMALL, Lessons(Blobs(8), Blobs(4)), tmp_path_factory.mktemp("run"))
    fit.run()
    return fit


def test_learning_rate_rises_then_falls() -> None:
    rates = [learning_rate(step, 100, 1.0) for step in range(100)]
    assert rates[4] == max(rates) == 1.0
    assert rates[0] == pytest.approx(0.2) and rates[-1] < 0.02
    assert rates[5:] == sorted(rates[5:], reverse=True)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"size": 100}, "--size is 100; give a multiple of 32"),
        ({"size": 64, "size_from": 96}, "give 32 <= size-from <= size"),
        ({"size": 64, "size_from": 40}, "--size-from is 40"),
        ({"patience": -1}, "--patience of 0 or more"),
        ({"learning_rate": float("nan")}, "--learning-rate is nan; give a number above 0"),
        ({"learning_rate": float("inf")}, "--learning-rate is inf"),
        ({"seed": -1}, "--seed is -1; give a whole number from 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        FitSettings(**wrong)  # type: ignore[arg-type]


def test_an_unknown_network_or_loss_is_refused(tmp_path: Path) -> None:
    for wrong, says in (({"network": "smartca"}, "no network"), ({"loss": "luck"}, "no loss")):
        with pytest.raises(ValueError, match=says):
            Fit(replace(SMALL, **wrong), Lessons(Blobs(4), Blobs(2)), tmp_path)


def test_training_logs_every_epoch_and_keeps_the_best(fitted: Fit) -> None:
    with (fitted.out / "log.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    best = max(rows, key=lambda row: float(row["dice"]))
    assert read_checkpoint(fitted.best)["dice"] == pytest.approx(float(best["dice"]))
    assert list((fitted.out / "tensorboard" / "segment").glob("events*"))


def test_what_is_usual_outlasts_the_epochs_after_it_was_learnt(fitted: Fit) -> None:
    network, _ = load_network(fitted.best)
    assert isinstance(network, SmartCA)
    pictures, _ = tensors([Blobs(8)[n] for n in range(8)], SMALL.size)
    strange = network.answer(network.known(network.normalise(pictures)))[:, 1]
    settled = deepcopy(network.familiar)
    settled.settle(pooled(network.known(network.normalise(pictures))))
    expected = settled(network.known(network.normalise(pictures)))
    torch.testing.assert_close(strange, expected, rtol=0.5, atol=0.05)
    assert strange.min() > 0.05


def test_the_logged_loss_is_the_epochs_mean(tmp_path: Path) -> None:
    seen: list[float] = []
    rows = Fit(
        SMALL, Lessons(Blobs(8), Blobs(4)), tmp_path, Running(on_step=lambda *facts: seen.append(facts[2]))
    ).run()
    assert [row["loss"] for row in rows] == pytest.approx([np.mean(seen[:2]), np.mean(seen[2:])])
    assert seen[0] != seen[1]


def test_tensorboard_has_what_the_table_has(fitted: Fit) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(fitted.out / "tensorboard" / "segment")).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4]
    assert [event.value for event in events.Scalars("epoch/dice")] == pytest.approx(
        [row["dice"] for row in fitted.rows]
    )


def test_the_average_holds_weights_and_statistics() -> None:
    slow, fast = (torch.nn.BatchNorm2d(3) for _ in range(2))
    torch.nn.init.constant_(fast.weight, 5.0)
    fast.running_mean.fill_(2.0)  # type: ignore[union-attr]
    fast.num_batches_tracked.fill_(7)  # type: ignore[union-attr]
    average_into(slow, fast, 0.75)
    assert slow.weight.tolist() == [2.0] * 3 and slow.running_mean.tolist() == [0.5] * 3  # type: ignore[union-attr]
    assert slow.num_batches_tracked == 7


def test_training_learns() -> None:
    torch.manual_seed(0)
    network = SmartCA("lite").train()
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


def test_batches_do_not_depend_on_threads_or_on_what_came_before(tmp_path: Path) -> None:
    settings = replace(SMALL, steps=8, size_from=32)
    fit = Fit(settings, Lessons(Blobs(8), Blobs(2)), tmp_path)
    crew = current("cpu")
    with (
        Batches(fit.view, 8, settings, crew, workers=1) as one,
        Batches(fit.view, 8, settings, crew, workers=3) as three,
    ):
        straight = [one[step] for step in range(8)]
        jumped = three[5]
    assert torch.equal(straight[5][0], jumped[0]) and torch.equal(straight[5][1], jumped[1])
    assert [images.shape[-1] for images, _ in straight] == [32] * 5 + [64] * 3  # the first 60 % are small
    assert not torch.equal(straight[5][0], straight[6][0])


def test_fewer_samples_than_a_batch_are_repeated(tmp_path: Path) -> None:
    fit = Fit(replace(SMALL, batch=8), Lessons(Blobs(3), Blobs(2)), tmp_path)
    with Batches(fit.view, 3, fit.settings, current("cpu")) as batches:
        assert len(batches[0][0]) == 8


def test_an_interrupted_run_goes_on_to_the_same_weights(fitted: Fit, tmp_path: Path) -> None:
    def interrupt(step: int, total: int, loss: float) -> None:
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingStopped, match=r"stopped at step [34] of 4; the same command goes on"):
        Fit(SMALL, Lessons(Blobs(8), Blobs(4)), tmp_path, Running(on_step=interrupt)).run()
    assert not list(tmp_path.glob("*.partial"))
    resumed = Fit(SMALL, Lessons(Blobs(8), Blobs(4)), tmp_path)
    assert resumed.step in (3, 4)
    resumed.run()
    straight = fitted.mean.state_dict()
    for name, value in resumed.mean.state_dict().items():
        assert torch.allclose(value.float(), straight[name].float(), atol=1e-5), name


def killed_at_the_seventh_step(out: Path) -> None:
    """A training that is killed in the third step of its second epoch."""

    def on_step(step: int, total: int, loss: float) -> None:
        if step == 7:
            os.kill(os.getpid(), signal.SIGKILL)

    Fit(SMALL, Lessons(Blobs(16), Blobs(4)), out, Running(on_step=on_step, save_every_s=0)).run()


def test_killed_in_mid_epoch_the_same_run_ends_with_the_same_metrics(tmp_path: Path) -> None:
    """Neither a half-written file nor lost events matter."""
    process = begun(killed_at_the_seventh_step, tmp_path / "killed")
    process.join(PATIENCE_S)
    assert process.exitcode == -signal.SIGKILL
    (tmp_path / "killed" / ".last.pt.x.partial").write_bytes(b"half a checkpoint")
    resumed = Fit(SMALL, Lessons(Blobs(16), Blobs(4)), tmp_path / "killed")
    assert resumed.step == 6 and len(resumed.rows) == 1  # of 8 in two epochs
    straight = Fit(SMALL, Lessons(Blobs(16), Blobs(4)), tmp_path / "straight")
    ends = [fit.run() for fit in (resumed, straight)]
    for ours, theirs in zip(*ends, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)
    best = [read_checkpoint(fit.best)["state"] for fit in (resumed, straight)]
    for name, value in best[0].items():
        assert torch.allclose(value.float(), best[1][name].float(), atol=1e-6), name


def test_drop_out_is_the_same_after_an_interruption(tmp_path: Path) -> None:
    """What torch draws depends on seed and step alone."""
    settings = replace(SMALL, epochs=1)
    fits = [Fit(settings, Lessons(Blobs(8), Blobs(2)), tmp_path / str(n)) for n in range(2)]
    losses: list[float] = []
    for n, fit in enumerate(fits):
        fit.network.head.insert(0, torch.nn.Dropout(0.5))  # type: ignore[union-attr,operator]
        fit.mean.head.insert(0, torch.nn.Dropout(0.5))  # type: ignore[union-attr,operator]
        torch.manual_seed(n)  # whatever was drawn before
        losses.append(fit.run()[0]["loss"])
    assert losses[0] == losses[1]


def test_early_stopping_counts_epochs_without_a_better_validation(tmp_path: Path) -> None:
    fit = Fit(replace(SMALL, epochs=9, patience=2), Lessons(Blobs(4), Blobs(4)), tmp_path)
    scores = iter([0.2, 0.5, 0.4, 0.5, 0.9])
    fit.score = lambda: {"dice": next(scores)}  # type: ignore[method-assign]
    assert [row["dice"] for row in fit.run()] == [0.2, 0.5, 0.4, 0.5]
    assert read_checkpoint(fit.best)["epoch"] == 2
    again = Fit(fit.settings, Lessons(Blobs(4), Blobs(4)), tmp_path)
    assert again.finished and again.run() == fit.rows


def test_steps_instead_of_epochs(tmp_path: Path) -> None:
    rows = Fit(replace(SMALL, steps=3), Lessons(Blobs(8), Blobs(2)), tmp_path).run()
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 2), (2, 3)]


def test_a_checkpoint_of_other_settings_is_not_gone_on_from(fitted: Fit) -> None:
    with pytest.raises(ValueError, match="other settings"):
        Fit(replace(SMALL, batch=2), Lessons(Blobs(8), Blobs(4)), fitted.out)


def test_a_finished_run_is_not_trained_further(fitted: Fit) -> None:
    again = Fit(SMALL, Lessons(Blobs(8), Blobs(4)), fitted.out)
    assert again.run() == fitted.rows and again.step == 4


def test_a_damaged_last_checkpoint_is_named_with_its_cure(fitted: Fit, tmp_path: Path) -> None:
    whole = fitted.last.read_bytes()
    (tmp_path / "last.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"last\.pt is missing or is no checkpoint; delete it, or give --no-resume"):
        Fit(SMALL, Lessons(Blobs(8), Blobs(4)), tmp_path)


def test_a_full_disk_leaves_the_checkpoint_before_it(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="files cannot be limited in size here")
    last = tmp_path / "last.pt"
    write_checkpoint({"step": 1}, last)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"last\.pt cannot be written \(.*\); free some space.*one before it is kept"):
            write_checkpoint({"step": 2, "weights": torch.zeros(100_000)}, last)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read_checkpoint(last) == {"step": 1} and list(tmp_path.iterdir()) == [last]


def test_a_loss_that_is_no_number_ends_training(tmp_path: Path) -> None:
    fit = Fit(replace(SMALL, learning_rate=1.0), Lessons(Blobs(8), Blobs(2)), tmp_path)
    with torch.no_grad():
        fit.network.head[-1].bias.fill_(float("nan"))  # type: ignore[index,union-attr]
    with pytest.raises(RuntimeError, match="no number any more at step 1; lower --learning-rate"):
        fit.run()
    assert not fit.last.exists()


def test_frozen_normalisation_keeps_its_statistics(tmp_path: Path) -> None:
    fit = Fit(replace(SMALL, epochs=1, freeze_norm=True), Lessons(Blobs(4), Blobs(2)), tmp_path)
    before = {name: value.clone() for name, value in fit.network.state_dict().items() if "running" in name}
    fit.run()
    after = fit.network.state_dict()
    assert before and all(torch.equal(after[name], value) for name, value in before.items())


def test_another_network_and_loss_are_fitted_the_same_way(tmp_path: Path) -> None:
    fit = Fit(replace(SMALL, network="unet-lite", loss="ce-dice", steps=2), Lessons(Blobs(8), Blobs(2)), tmp_path)
    shares = {group["share"]: len(group["params"]) for group in fit.optimiser.param_groups}
    assert set(shares) == {1.0, 0.4} and min(shares.values()) > 0
    assert np.isfinite(fit.run()[-1]["loss"])


def test_curves_are_drawn(fitted: Fit, tmp_path: Path) -> None:
    plot_curves(fitted.rows, tmp_path / "curves.png")
    assert cv2.imread(str(tmp_path / "curves.png")) is not None


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"best\.pt is missing or is no checkpoint"):
        load_network(tmp_path / "best.pt")


@pytest.mark.filterwarnings("default")  # the exporter's own notices are none of ours
def test_export_ends_in_q_says_what_it_is_and_is_not_written_where_it_disagrees(
    fitted: Fit, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx
    import openvino

    out = tmp_path / "out" / "model.onnx"
    assert export(fitted.best, out) < 1e-3
    assert "constant folding" not in caplog.text  # notes that nobody can act on
    model = onnx.load(out, load_external_data=False)
    assert {prop.key: prop.value for prop in model.metadata_props}.items() >= {
        "smartca.network": "smartca-lite",
        "smartca.size": "64",
    }.items()
    assert [node.name for node in (model.graph.input[0], *model.graph.output)] == ["image", "q", "picture"]
    assert 4e6 < out.stat().st_size < 8e6 and list(out.parent.iterdir()) == [out]
    assert b".py" not in out.read_bytes()  # no traces of the machine it was made on
    q = openvino.Core().compile_model(out, "CPU")(np.zeros((1, 1, 64, 64), np.float32))[0]
    assert q.shape == (1, 1, 64, 64) and 0 <= q.min() <= q.max() <= 1

    other = read_checkpoint(fitted.best)
    other["state"]["head.1.bias"] += 0.1
    write_checkpoint(other, tmp_path / "other.pt")
    whole = out.read_bytes()
    monkeypatch.setattr("smartca.train.export.to_onnx", lambda *_: whole)  # a whole model, of other weights
    with pytest.raises(RuntimeError, match="was not written"):
        export(tmp_path / "other.pt", tmp_path / "none" / "model.onnx")
    assert not (tmp_path / "none").exists()


def test_a_checkpoint_to_go_on_with_is_not_exported(fitted: Fit, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"give the best\.pt"):
        export(fitted.last, tmp_path / "model.onnx")
