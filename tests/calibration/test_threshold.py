from __future__ import annotations

import cv2
import numpy as np
import pytest
from smartca.calibration.threshold import Gates, Kept, choose_gates, false_share, spots
from smartca.scores.histograms import Histograms


def frame(*squares: tuple[int, int, float], truth: int = 0, tear: float = 1.0, group: str = "data") -> Kept:
    """Logits with squares (side, column, logit) on -8, of which the first `truth` are tears."""
    logits, real = np.full((40, 100), -8.0, np.float16), np.zeros((40, 100), bool)
    for n, (side, column, logit) in enumerate(squares):
        logits[2 : 2 + side, column : column + side] = logit
        if n < truth:
            real[2 : 2 + side, column : column + side] = True
    return Kept(logits, real, tear, group)


def pixels(frames: list[Kept]) -> Histograms:
    counts = Histograms()
    for kept in frames:
        counts.add(kept.logits.astype(np.float64), kept.truth)
    return counts


def test_small_spots_and_pictures_without_a_tear_are_gated() -> None:
    found = spots([frame((20, 0, 2), (3, 50, 2), truth=1), frame((4, 10, 2), tear=0.2)], 0.0)
    open_, sifted = found.counts(Gates(0.0))["data"], found.counts(Gates(0.0, min_area=10))["data"]
    assert (open_.tp, open_.fp, open_.false_positive_frames, open_.negative_frames) == (400, 9 + 16, 1, 1)
    assert (sifted.tp, sifted.fp, sifted.fn, sifted.false_positive_frames) == (400, 16, 0, 1)
    silenced = found.counts(Gates(0.0, tear=0.3))["data"]
    assert (silenced.tp, silenced.fp, silenced.false_positive_frames) == (400, 9, 0)


def test_groups_are_counted_apart_and_the_worst_decides() -> None:
    empty = [frame(group="data")] * 20 + [frame((9, 3, 2), group="real")] + [frame(group="real")] * 3
    groups = spots(empty, 0.0).counts(Gates(0.0))
    assert groups["data"].false_positive_frames == 0 and groups["real"].false_positive_frames == 1
    assert false_share(groups) == pytest.approx(0.25 + np.sqrt(0.25 * 0.75 / 4))


def test_the_smallest_area_that_clears_empty_frames_is_chosen() -> None:
    frames = [frame((5, 10, 2))] + [frame()] * 9 + [frame((25, 0, 2), truth=1)] * 10
    gates, groups, _ = choose_gates(frames, pixels(frames), 0.9)
    assert gates.min_area > 25 and groups["data"].false_positive_frames == 0
    assert groups["data"].dice_pooled == 1.0


def test_caution_is_not_bought_with_tears() -> None:
    frames = [frame((15, 10, 2))] * 10 + [frame((10, 0, 2), truth=1)] * 10
    gates, groups, _ = choose_gates(frames, pixels(frames), 0.9)
    assert gates.min_area <= 100 and groups["data"].tp == 1000
    assert groups["data"].recall == 1.0


def test_the_classifier_is_asked_where_area_cannot_help() -> None:
    frames = [frame((15, 10, 2), tear=0.04)] * 20 + [frame((10, 0, 2), truth=1, tear=0.9)] * 20
    gates, groups, _ = choose_gates(frames, pixels(frames), 0.9)
    assert gates.tear >= 0.05 and groups["data"].false_positive_frames == 0 and groups["data"].tp == 2000


def test_of_few_frames_the_classifier_is_not_asked() -> None:
    frames = [frame((15, 10, 2), tear=0.04)] * 5 + [frame((10, 0, 2), truth=1, tear=0.9)] * 5
    assert choose_gates(frames, pixels(frames), 0.9).gates.tear == 0.0


def test_without_a_wish_the_threshold_is_that_of_best_dice() -> None:
    faint = (10, 50, -3.0)  # half of every tear, as faint as 400 pixels that are none
    frames = [frame((10, 0, 3), faint, (20, 70, -3.0), truth=2)] * 10
    best, much = choose_gates(frames, pixels(frames)), choose_gates(frames, pixels(frames), 0.9)
    assert -3.0 < best.gates.logit <= 3.0 and best.dice == pytest.approx(2 * 100 / 300)
    assert much.gates.logit <= -3.0 and much.dice == pytest.approx(2 * 200 / 800)


def test_a_higher_threshold_is_taken_where_recall_allows_it() -> None:
    false = [frame((22, 10, 1.0), group="real")] * 10
    frames = false + [frame((20, 0, 4), truth=1)] * 10
    gates, groups, _ = choose_gates(frames, pixels(frames[10:]), 0.9)
    assert gates.logit > 1.0 and groups["real"].false_positive_frames == 0 and groups["data"].recall == 1.0


def test_spots_touch_over_corners() -> None:
    logits = np.full((8, 8), -8.0, np.float16)
    logits[[1, 2], [1, 2]] = 3.0
    found = spots([Kept(logits, np.zeros((8, 8), bool), 1.0, "data")], 0.0)
    assert found.areas.tolist() == [2]
    assert cv2.connectedComponents((logits > 0).astype(np.uint8), connectivity=4)[0] == 3


def test_small_tears_are_worth_as_much_as_large_ones() -> None:
    small = [frame((6, 0, 4), truth=1)] * 10  # too few pixels to weigh in Dice
    large = [frame((30, 0, 4), truth=1)] * 10
    false = [frame((7, 10, 1.0))] * 10  # larger than the small tears, but less sure
    frames = small + large + false
    choice = choose_gates(frames, pixels(frames), 0.9)
    assert choice.missed == 0.0 and choice.gates.logit > 1.0
    assert choice.groups["data"].false_positive_frames == 0
