from __future__ import annotations

import math
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from smartca.train.checkpoint import read_checkpoint
from smartca.train.classify import Classify, ClassifySettings, read_classifier, scores
from smartca.train.data.crops import crop_with_or_without
from smartca.train.fit import Fit, FitSettings
from smartca.train.nets.network import SmartCA
from smartca.train.settings import Lessons, Running
from support.killable import begun
from support.waiting import PATIENCE_S

SMALL = ClassifySettings(size=64, epochs=2, batch=4, seed=3)


class Spots:
    """Noise with a dark square in it; every `gap`-th picture has none (0 = all have one)."""

    def __init__(self, count: int, gap: int = 2) -> None:
        self.count, self.gap = count, gap

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(index)
        pixels = rng.integers(90, 255, (80, 96)).astype(np.uint8)
        mask = np.zeros((80, 96), np.bool_)
        if not self.gap or index % self.gap:
            top, left = int(rng.integers(60)), int(rng.integers(76))
            mask[top : top + 20, left : left + 20] = True
            pixels[mask] //= 8
        return pixels, mask


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of few steps."""
    classify = Classify(SMALL, Lessons(Spots(8), Spots(4)), tmp_path_factory.mktemp("classify"))
    classify.run()
    return classify.best


def test_it_learns_to_tell_tear_from_none(tmp_path: Path) -> None:
    settings = replace(SMALL, steps=24, batch=8, learning_rate=3e-3)
    rows = Classify(settings, Lessons(Spots(64), Spots(24)), tmp_path).run()
    assert max(row["auc"] for row in rows) > 0.85
    kept = read_checkpoint(tmp_path / "classifier.pt")
    assert kept["balanced_accuracy"] == max(row["balanced_accuracy"] for row in rows)


def test_scores_of_known_answers() -> None:
    answers, truths = torch.tensor([0.9, 0.4, 0.3, 0.6]), torch.tensor([1, 1, 0, 0])
    assert scores(answers, truths) == {"balanced_accuracy": 0.5, "auc": 0.75}
    assert scores(torch.tensor([0.9, 0.8, 0.1, 0.2]), torch.tensor([1, 1, 1, 0]))["balanced_accuracy"] == (
        pytest.approx((2 / 3 + 1) / 2)
    )
    assert math.isnan(scores(answers, torch.ones(4, dtype=torch.long))["auc"])


@pytest.mark.parametrize("holding", [False, True])
def test_crops_hold_no_lesion_pixel_or_most_of_one(holding: bool) -> None:
    partly = 0
    for n in range(60):
        pixels, mask = Spots(60, gap=0)[n]
        part, truth = crop_with_or_without(pixels, mask, holding, np.random.default_rng(n))
        assert part.shape == truth.shape and part.shape != pixels.shape
        assert 80 // 3 <= part.shape[0] <= 54 and 96 // 3 <= part.shape[1] <= 64
        held = int(truth.sum())
        assert held > 200 if holding else held == 0  # of 400
        partly += 200 < held < 400
    assert bool(partly) == holding


def test_a_picture_without_such_a_part_comes_back_whole() -> None:
    pixels, rng = np.zeros((32, 32), np.uint8), np.random.default_rng(0)
    for mask, holding in ((np.ones((32, 32), np.bool_), False), (np.zeros((32, 32), np.bool_), True)):
        assert crop_with_or_without(pixels, mask, holding, rng)[1] is mask


def test_crops_are_looked_at_only_where_no_is_scarce(tmp_path: Path) -> None:
    scarce = Classify(replace(SMALL, epochs=1), Lessons(Spots(8, gap=0), Spots(4, gap=0)), tmp_path / "scarce")
    assert scarce.crops and not Classify(SMALL, Lessons(Spots(8), Spots(4)), tmp_path / "enough").crops
    answers = [scarce.view(n % 8, np.random.default_rng(n))[1].any() for n in range(80)]
    assert 0.2 < 1 - np.mean(answers) < 0.5  # a third
    assert scarce.run()[0]["auc"] >= 0  # the validation has both answers, too


def killed_at_the_third_step(out: Path) -> None:
    """A training that is killed in its first epoch."""

    def on_step(step: int, total: int, loss: float) -> None:
        if step == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    Classify(SMALL, Lessons(Spots(16), Spots(4)), out, Running(on_step=on_step, save_every_s=0)).run()


def test_killed_in_mid_epoch_the_same_run_ends_with_the_same_metrics(tmp_path: Path) -> None:
    process = begun(killed_at_the_third_step, tmp_path / "killed")
    process.join(PATIENCE_S)
    assert process.exitcode == -signal.SIGKILL
    resumed = Classify(SMALL, Lessons(Spots(16), Spots(4)), tmp_path / "killed")
    assert resumed.step == 2 and not resumed.rows  # of 4 in the first epoch
    straight = Classify(SMALL, Lessons(Spots(16), Spots(4)), tmp_path / "straight")
    for ours, theirs in zip(resumed.run(), straight.run(), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)
    best = [read_classifier(fit.best).state_dict() for fit in (resumed, straight)]
    for name, value in best[0].items():
        assert torch.allclose(value.float(), best[1][name].float(), atol=1e-6), name


def test_smartca_takes_it_in_frozen(classifier: Path, tmp_path: Path) -> None:
    settings = FitSettings(size=64, steps=2, batch=4)
    fit = Fit(settings, Lessons(Spots(8), Spots(2)), tmp_path, classifier=classifier)
    fit.run()
    learnt = read_classifier(classifier)
    for network in (fit.network, fit.mean):
        assert isinstance(network, SmartCA)
        for ours, theirs in ((network.pretrained, learnt.encoder), (network.classes, learnt.classes)):
            for name, value in theirs.state_dict().items():
                assert torch.equal(ours.state_dict()[name], value), name
    fresh = SmartCA("lite").pretrained.state_dict()["stem.0.weight"]
    assert not torch.equal(learnt.encoder.state_dict()["stem.0.weight"], fresh)


def test_another_classifier_is_another_run(classifier: Path, tmp_path: Path) -> None:
    settings = FitSettings(size=64, steps=2, batch=4)
    Fit(settings, Lessons(Spots(8), Spots(2)), tmp_path, classifier=classifier).run()
    assert Fit(settings, Lessons(Spots(8), Spots(2)), tmp_path, classifier=classifier).finished
    with pytest.raises(ValueError, match="other settings"):
        Fit(settings, Lessons(Spots(8), Spots(2)), tmp_path)


def test_classifiers_that_do_not_fit_are_refused(classifier: Path, tmp_path: Path) -> None:
    settings = FitSettings(size=64, steps=2, batch=4)
    for network, says in (("unet-lite", "no place for a classifier"), ("smartca-vgg", "another encoder")):
        with pytest.raises(ValueError, match=says):
            Fit(replace(settings, network=network), Lessons(Spots(8), Spots(2)), tmp_path, classifier=classifier)
    with pytest.raises(ValueError, match="no place for a classifier"):
        Classify(replace(SMALL, network="segnet"), Lessons(Spots(8), Spots(2)), tmp_path)
    with pytest.raises(ValueError, match=r"classifier-last\.pt holds no classifier"):
        read_classifier(classifier.with_name("classifier-last.pt"))
    with pytest.raises(ValueError, match=r"absent\.pt cannot be read"):
        Fit(settings, Lessons(Spots(8), Spots(2)), tmp_path, classifier=tmp_path / "absent.pt")
