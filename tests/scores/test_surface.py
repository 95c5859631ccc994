"""Distances between outlines, by hand and against MONAI; pixel scores against torchmetrics."""

from __future__ import annotations

import warnings
from types import ModuleType

import cv2
import numpy as np
import pytest
from smartca.scores.counts import Counts, PictureDice
from smartca.scores.surface import SurfaceScores, surface, surface_distance


def library(name: str) -> ModuleType:
    """A module of the extra `train`, or the test is skipped; its own deprecations are its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name} is not installed; it comes with smartca[train]")


def square(row: int, column: int, side: int = 5, shape: tuple[int, int] = (30, 40)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[row : row + side, column : column + side] = True
    return mask


def blobs(seed: int, shape: tuple[int, int] = (60, 80)) -> tuple[np.ndarray, np.ndarray]:
    """A truth of some ellipses and a mask that resembles it; both may reach the picture's edge."""
    rng = np.random.default_rng(seed)
    truth = np.zeros(shape, np.uint8)
    for _ in range(rng.integers(1, 4)):
        centre = (int(rng.integers(0, 80)), int(rng.integers(0, 60)))
        cv2.ellipse(truth, centre, (int(rng.integers(4, 20)), int(rng.integers(2, 10))), 30, 0, 360, 1, -1)
    mask = np.roll(truth, rng.integers(-5, 6, 2), (0, 1))
    mask = cv2.dilate(mask, np.ones((3, 3), np.uint8)) if seed % 2 else mask
    return mask.astype(bool), truth.astype(bool)


def test_the_surface_is_the_rim() -> None:
    rim = surface(square(3, 4))
    assert rim.sum() == 16 and not rim[4:7, 5:8].any()
    assert surface(np.ones((4, 6), bool)).sum() == 16  # the picture's edge is a rim too


def test_equal_masks_are_nowhere_apart() -> None:
    assert surface_distance(square(3, 4), square(3, 4)) == (0.0, 0.0)


def test_single_pixels_by_hand() -> None:
    one, other = square(2, 3, 1), square(5, 7, 1)
    assert surface_distance(one, other) == pytest.approx((5.0, 5.0))
    assert surface_distance(one, other, (0.2, 0.1)) == pytest.approx((np.hypot(0.6, 0.4),) * 2)


def test_a_stray_pixel_by_hand() -> None:
    truth = square(10, 5, 1)
    mask = truth | square(10, 25, 1)
    # there: 0 and 20, the 95th percentile between them is 19; back: 0
    found = surface_distance(mask, truth)
    assert found is not None
    assert found.hd95 == pytest.approx(19.0)
    assert found.mean == pytest.approx(20 / 3)
    assert surface_distance(truth, mask) == found  # symmetric


def test_to_nothing_there_is_no_distance() -> None:
    nothing = np.zeros((30, 40), bool)
    assert surface_distance(nothing, square(1, 1)) is None
    assert surface_distance(square(1, 1), nothing) is None
    with pytest.raises(ValueError, match="its truth is"):
        surface_distance(nothing, np.zeros((30, 41), bool))


def test_means_over_pictures_say_how_many_were_left_out() -> None:
    nothing, scores = np.zeros((30, 40), bool), SurfaceScores()
    assert scores.as_report()["hd95"] is None
    for mask, truth in (
        (square(2, 3, 1), square(5, 7, 1)),
        (square(2, 3), square(2, 3)),
        (square(2, 3), square(2, 3)),
        (nothing, square(2, 3)),
        (square(2, 3), nothing),
        (nothing, nothing),
    ):
        scores.add(mask, truth, (2.0, 2.0))
    assert scores.as_report() == {
        "hd95": pytest.approx(10 / 3),
        "hd95_median": 0.0,
        "surface_distance": pytest.approx(10 / 3),
        "surface_pictures": 3,
        "surface_pictures_left_out": 2,
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.09, 0.21)])
def test_as_monai_measures(seed: int, spacing: tuple[float, float]) -> None:
    metrics = library("monai.metrics")
    import torch

    mask, truth = blobs(seed)
    ours = surface_distance(mask, truth, spacing)
    pair = [torch.from_numpy(each)[None, None].float() for each in (mask, truth)]
    hd95 = metrics.compute_hausdorff_distance(*pair, percentile=95, include_background=True, spacing=spacing)
    mean = metrics.compute_average_surface_distance(*pair, symmetric=True, include_background=True, spacing=spacing)
    assert ours is not None
    assert ours.hd95 == pytest.approx(float(hd95), rel=1e-5)
    assert ours.mean == pytest.approx(float(mean), rel=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_pixel_scores_as_torchmetrics_has_them() -> None:
    metrics = library("torchmetrics.functional.classification")
    import torch

    counts, dices, masks, truths, each = Counts(), PictureDice(), [], [], []
    for seed in range(8):
        mask, truth = blobs(seed)
        truth = truth if seed < 6 else np.zeros_like(truth)
        counts.add(mask, truth)
        dices.add(mask, truth)
        masks.append(torch.from_numpy(mask).int())
        truths.append(torch.from_numpy(truth).int())
        if truth.any():
            each.append(float(metrics.binary_f1_score(masks[-1], truths[-1])))
    pooled = torch.stack(masks), torch.stack(truths)
    assert counts.dice_pooled == pytest.approx(float(metrics.binary_f1_score(*pooled)), rel=1e-5)
    assert counts.precision == pytest.approx(float(metrics.binary_precision(*pooled)), rel=1e-5)
    assert counts.recall == pytest.approx(float(metrics.binary_recall(*pooled)), rel=1e-5)
    assert counts.iou == pytest.approx(float(metrics.binary_jaccard_index(*pooled)), rel=1e-5)
    assert dices.each == pytest.approx(each, rel=1e-5)
    assert dices.mean == pytest.approx(np.mean(each), rel=1e-5)
    assert (len(dices.each), counts.negative_frames, counts.false_positive_frames) == (6, 2, 2)


def test_dice_of_each_picture_by_hand() -> None:
    nothing, dices = np.zeros((30, 40), bool), PictureDice()
    assert dices.mean is None
    for mask, truth in (
        (square(2, 3), square(2, 3)),
        (square(2, 3), square(2, 8)),
        (square(2, 3, 10), square(2, 3)),
        (nothing, square(2, 3)),
        (nothing, nothing),  # does not count
        (square(2, 3), nothing),  # a false positive, which is counted elsewhere
    ):
        dices.add(mask, truth)
    assert dices.each == pytest.approx([1, 0, 2 * 25 / 125, 0])
    assert dices.mean == pytest.approx(1.4 / 4)
