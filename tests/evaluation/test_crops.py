"""Crops as an examiner makes them, and how alike the outlines in them are."""

from __future__ import annotations

import numpy as np
import pytest
from smartca.evaluation.crops import ASPECTS, CropAnswer, agreement, examiner_crop, regained
from smartca.pictures.pixels import Sector


def test_a_crop_holds_the_whole_tear_and_varies() -> None:
    truth = np.zeros((240, 400), bool)
    truth[100:130, 150:230] = True
    rng = np.random.default_rng(0)
    windows = [examiner_crop(truth, rng).check(truth.shape) for _ in range(300)]
    assert all(window.cut(truth).sum() == truth.sum() for window in windows)
    aspects = [window.width / window.height for window in windows]
    assert min(aspects) > ASPECTS[0] - 0.05 and max(aspects) < ASPECTS[1] + 0.05
    assert max(aspects) - min(aspects) > 1
    shares = [window.width * window.height / truth.size for window in windows]
    assert min(shares) < 0.25 and max(shares) > 0.8


def test_a_tear_at_the_border_and_as_large_as_the_picture() -> None:
    rng = np.random.default_rng(1)
    corner, full = np.zeros((100, 100), bool), np.ones((60, 90), bool)
    corner[90:, :20] = True
    for _ in range(50):
        assert examiner_crop(corner, rng).check(corner.shape).cut(corner).sum() == corner.sum()
    assert examiner_crop(full, rng) == Sector(0, 0, 90, 60)


def test_gain_keeps_order_and_black() -> None:
    ramp, rng = np.arange(256, dtype=np.uint8)[None], np.random.default_rng(0)
    curves = [regained(ramp, rng)[0].astype(int) for _ in range(20)]
    assert all((np.diff(curve[1:]) >= 0).all() and curve[0] == 0 for curve in curves)
    assert len({curve[100] for curve in curves}) > 5


def test_agreement_by_hand() -> None:
    left, right = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    left[5:10, 5:15] = True  # at 0, 0: columns 5 to 14
    right[5:10, 0:10] = True  # at 10, 0: columns 10 to 19
    one, other = CropAnswer(Sector(0, 0, 20, 20), left), CropAnswer(Sector(10, 0, 20, 20), right)
    # common columns are 10 to 19: there one has 5 columns, the other 10, both 5
    assert agreement([one, other], (20, 40)) == pytest.approx([2 * 25 / (25 + 50)])
    nothing = CropAnswer(Sector(0, 0, 20, 20), np.zeros((20, 20), bool))
    assert agreement([nothing, nothing], (20, 40)) == []
    assert agreement([one, nothing], (20, 40)) == [0.0]
    assert len(agreement([one, other, one], (20, 40))) == 3
