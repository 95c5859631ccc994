"""Over which pixels confidence is judged, and the error that is found there."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from smartca.scores.reliability import CalibrationScores, near


def dot(shape: tuple[int, int] = (100, 200), at: tuple[int, int] = (50, 80)) -> np.ndarray:
    truth = np.zeros(shape, bool)
    truth[at] = True
    return truth


def test_near_is_three_millimetres_around() -> None:
    found = near(dot(), (0.5, 1.0))
    rows, columns = np.mgrid[:100, :200]
    assert np.array_equal(found, np.hypot((rows - 50) * 0.5, (columns - 80) * 1.0) <= 3)


def test_near_is_three_per_cent_of_the_height_where_millimetres_are_unknown() -> None:
    found = near(dot())
    rows, columns = np.mgrid[:100, :200]
    assert np.array_equal(found, np.hypot(rows - 50, columns - 80) <= 3)


def test_near_ends_at_the_edge_and_is_empty_without_a_tear() -> None:
    assert near(dot(at=(0, 199)))[0, 196:].all()
    assert not near(np.zeros((20, 20), bool)).any()
    assert near(np.ones((20, 20), bool)).all()


def test_the_error_by_hand() -> None:
    truth = np.zeros((100, 100), bool)
    truth[:, :10] = True
    q = np.full((100, 100), 0.01, np.float32)
    q[:, :10] = 0.75  # right, and .25 too unsure
    q[:, 50:70] = 0.25  # wrong by .25
    found = CalibrationScores()
    found.add(q, truth)
    report = found.as_report()
    # 1000 of the tear, 3 columns beside it at .01, 2000 wrong ones; the other pixels are not in question
    assert report["ece_pixels"] == 1000 + 300 + 2000
    assert report["ece"] == pytest.approx((1000 * 0.25 + 300 * 0.01 + 2000 * 0.25) / 3300, rel=1e-5)


def test_what_is_drawn_as_it_says_has_no_error_and_pictures_add_up() -> None:
    rng = np.random.default_rng(0)
    found = CalibrationScores()
    for _ in range(8):
        q = rng.random((200, 200), dtype=np.float32)
        found.add(q, rng.random(q.shape) < q, (10.0, 10.0))
    reliability = found.reliability()
    assert reliability.expected_error < 0.01
    assert np.allclose(reliability.confidence[1:], np.arange(0.15, 1.0, 0.1), atol=0.005)
    assert found.as_report()["ece_pixels"] == reliability.pixels.sum() > 8 * 38_000


def test_of_nothing_there_is_no_error() -> None:
    found = CalibrationScores()
    assert found.as_report() == {"ece": None, "ece_pixels": 0}
    found.add(np.zeros((20, 20), np.float32), np.zeros((20, 20), bool))
    assert found.as_report() == {"ece": None, "ece_pixels": 0}


@pytest.mark.filterwarnings("ignore")
def test_as_torchmetrics_has_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metrics = pytest.importorskip(
            "torchmetrics.functional.classification", reason="torchmetrics is not installed; it is in smartca[train]"
        )
    import torch

    rng = np.random.default_rng(2)
    q = rng.random((80, 80), dtype=np.float32) ** 2
    truth = rng.random(q.shape) < q**0.7
    found = CalibrationScores()
    found.add(q, truth)
    judged = (q >= 0.05) | near(truth)
    theirs = metrics.binary_calibration_error(
        torch.from_numpy(q[judged]), torch.from_numpy(truth[judged]).int(), n_bins=10, norm="l1"
    )
    assert found.as_report()["ece"] == pytest.approx(float(theirs), abs=1e-5)
