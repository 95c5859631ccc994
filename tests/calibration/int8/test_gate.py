"""The gate: each limit refuses by its name and the amount, and equality passes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from smartca.calibration.int8.gate import Limits, judge, outlined, require_outlines
from smartca.calibration.int8.picture_choice import CalibrationPicture
from smartca.engine import Answer, EngineError, OperatingPoint

SIDE = 32
POINT = OperatingPoint()
FEW_ENOUGH = Limits(outlined_frames=1)  # so few pictures are enough to count by hand
LOOSE = {"outlined_frames": 1, "dice": 1.0, "worst": 1.0, "recall": 1.0, "agreement": 1.0}


def box(rows: int, columns: int = 10, left: int = 2) -> NDArray[np.bool_]:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[2 : 2 + rows, left : left + columns] = True
    return mask


def answer(mask: NDArray[np.bool_], tear: float = 1.0, strange: float = 0.0) -> Answer:
    return Answer(mask.astype(np.float32), tear, strange)


def frame(truth: NDArray[np.bool_] | None) -> CalibrationPicture:
    return CalibrationPicture(np.zeros((SIDE, SIDE), np.uint8), truth)


TRUTH, LESS, NOTHING = box(10), box(8), box(0)
# two frames, one of them still whole: pooled Dice 360 / 380, the other's 160 / 180, recall 180 / 200
EXACT = [answer(TRUTH), answer(TRUTH)]
NARROW = [answer(TRUTH), answer(LESS)]
FRAMES = [frame(TRUTH), frame(TRUTH)]


@pytest.mark.parametrize(
    ("limit", "loss", "words"),
    [
        ("dice", 1 - 360 / 380, "pooled Dice falls by 0.0526 (at most 0.04)"),
        ("worst", 1 - 160 / 180, "one frame's Dice falls by 0.1111 (at most 0.04)"),
        ("recall", 0.1, "recall falls by 0.1000 (at most 0.04)"),
        ("agreement", 1 - 360 / 380, "agreement with fp32's outlines (Dice) is only 0.9474 (at least 0.96)"),
    ],
)
def test_each_limit_refuses_by_name_and_amount(limit: str, loss: float, words: str) -> None:
    found = judge(EXACT, NARROW, FRAMES, POINT, Limits(**{**LOOSE, limit: 0.04}))
    assert found.refusals == [words]
    assert not found.accepted and found.scores["accepted"] is False
    for enough in (loss, loss + 0.001):
        assert judge(EXACT, NARROW, FRAMES, POINT, Limits(**{**LOOSE, limit: enough})).accepted


def test_all_that_is_lost_is_told_at_once() -> None:
    found = judge(EXACT, NARROW, FRAMES, POINT, FEW_ENOUGH)
    assert len(found.refusals) == 4
    assert judge(EXACT, EXACT, FRAMES, POINT, FEW_ENOUGH).refusals == []


def test_just_the_limit_is_no_more_than_it() -> None:
    """1 - 0.97 is a little more than 0.03 in floats."""
    some, other = np.zeros((2, SIDE, SIDE), np.bool_)
    some.ravel()[:100] = True
    other.ravel()[3:103] = True
    found = judge([answer(some)], [answer(other)], [frame(some)], POINT, Limits(1, 1, 1, 0.03, outlined_frames=1))
    assert found.scores["agreement"] == 0.97
    assert found.accepted


def test_scores_by_hand() -> None:
    scores = judge(EXACT, NARROW, FRAMES, POINT, FEW_ENOUGH).scores
    assert (scores["frames"], scores["labelled"]) == (2, True)
    assert (scores["dice_fp32"], scores["recall_fp32"]) == (1.0, 1.0)
    assert scores["dice"] == pytest.approx(360 / 380, abs=1e-5)
    assert scores["dice_change"] == pytest.approx(360 / 380 - 1, abs=1e-5)
    assert scores["worst_change"] == pytest.approx(160 / 180 - 1, abs=1e-5)
    assert scores["agreement_worst"] == pytest.approx(160 / 180, abs=1e-5)
    assert scores["recall_change"] == pytest.approx(-0.1)


def test_what_gets_better_is_not_lost() -> None:
    assert judge(NARROW, EXACT, FRAMES, POINT, Limits(0, 0, 0, 1, outlined_frames=1)).accepted


def test_an_outline_where_there_is_none_is_lost_dice() -> None:
    frames = [frame(TRUTH), frame(NOTHING)]
    found = judge([answer(TRUTH), answer(NOTHING)], [answer(TRUTH), answer(LESS)], frames, POINT, FEW_ENOUGH)
    assert found.scores["false_positive_frames_fp32"] == 0
    assert found.scores["false_positive_frames"] == 1
    assert [words.split(" by ")[0] for words in found.refusals] == [
        "agreement with fp32's outlines (Dice) is only 0.7143 (at least 0.97)",
        "pooled Dice falls",
    ]


@pytest.mark.parametrize(
    ("empty", "outlined_now", "refused"), [(3, 1, False), (3, 2, True), (100, 2, False), (100, 3, True)]
)
def test_new_outlines_where_nothing_is(empty: int, outlined_now: int, refused: bool) -> None:
    frames = [frame(TRUTH), *[frame(NOTHING)] * empty]
    before = [answer(TRUTH), *[answer(NOTHING)] * empty]
    after = [answer(TRUTH), *[answer(LESS)] * outlined_now, *[answer(NOTHING)] * (empty - outlined_now)]
    found = judge(before, after, frames, POINT, Limits(**LOOSE))
    words = f"{outlined_now} more frames without a tear are outlined (at most {2 if empty == 100 else 1})"
    assert found.refusals == ([words] if refused else [])


def test_without_the_truth_fp32_is_the_measure() -> None:
    unknown = [frame(None), frame(None)]
    scores = judge(EXACT, NARROW, unknown, POINT, FEW_ENOUGH).scores
    assert scores["labelled"] is False and "dice" not in scores
    assert scores["agreement"] == pytest.approx(360 / 380, abs=1e-5)
    limits = {"dice": 0.0, "recall": 0.0, "agreement": 0.06, "outlined_frames": 1}
    assert judge(EXACT, NARROW, unknown, POINT, Limits(worst=0.06, **limits)).accepted  # one frame may lose 0.12
    found = judge(EXACT, NARROW, unknown, POINT, Limits(worst=0.05, **limits))
    assert found.refusals == ["on one frame that agreement is only 0.8889 (at least 0.9)"]
    assert len(judge(EXACT, NARROW, unknown, POINT, FEW_ENOUGH).refusals) == 2


def test_one_picture_without_truth_makes_all_count_without() -> None:
    assert judge(EXACT, NARROW, [frame(TRUTH), frame(None)], POINT).scores["labelled"] is False


def test_where_nothing_is_outlined_nothing_is_proved() -> None:
    for truth in (NOTHING, TRUTH, None):
        found = judge([answer(NOTHING)], [answer(NOTHING)], [frame(truth)], POINT)
        assert found.refusals == [
            "neither precision outlines anything on the frames of the gate, so nothing can be told: "
            "give --gate pictures that show what is to be outlined"
        ]
    assert not judge([], [], [], POINT).accepted


def test_a_few_pixels_are_no_frame_to_judge_by() -> None:
    speck = box(1, 5)
    frames = [frame(TRUTH), frame(speck)]
    found = judge(
        [answer(TRUTH), answer(speck)],
        [answer(TRUTH), answer(NOTHING)],
        frames,
        POINT,
        Limits(1, 0, 1, 1, outlined_frames=1),
    )
    assert found.frames[1] == (None, None, None)
    assert found.accepted


def test_outlined_is_what_the_stream_would_show() -> None:
    both = box(6) | box(2, 2, left=20)
    assert (outlined(answer(both), POINT) == both).all()
    assert (outlined(answer(both), OperatingPoint(min_area=20)) == box(6)).all()
    doubtful = OperatingPoint(tear_threshold=0.3, strange_limit=2.0)
    assert outlined(answer(both, tear=0.3, strange=2.0), doubtful).sum() == both.sum()
    assert outlined(answer(both, tear=0.29), doubtful).sum() == 0
    assert outlined(answer(both, strange=2.1), doubtful).sum() == 0
    assert outlined(answer(both, strange=99.0), POINT).sum() == both.sum()


def test_heads_that_drift_are_lost_outlines() -> None:
    """In INT8 every picture may seem strange: the outlines are the same, but the stream would not show them."""
    point = OperatingPoint(strange_limit=2.0)
    drifted = [answer(TRUTH, strange=2.5), answer(TRUTH, strange=2.5)]
    found = judge(EXACT, drifted, FRAMES, point, FEW_ENOUGH)
    assert found.scores["agreement"] == 0.0 and len(found.refusals) == 4
    assert (found.scores["strange_fp32"], found.scores["strange"]) == (0.0, 2.5)


def test_half_the_dice_to_choose_by() -> None:
    assert Limits().to_choose_by() == Limits(dice=0.0025, outlined_frames=0)


@pytest.mark.parametrize("either", [0, 1], ids=["fp32", "INT8"])
def test_two_outlined_frames_among_forty_prove_nothing(either: int) -> None:
    """Also where the rest is a few pixels, and whichever precision outlines."""
    speck = answer(box(1, 5))
    for number, enough in ((1, False), (2, False), (3, True)):
        some = [answer(TRUTH)] * number + [speck] * (40 - number)
        none = [answer(NOTHING)] * 40
        exact, narrow = (some, none) if either == 0 else (none, some)
        found = judge(exact, narrow, [frame(None)] * 40, POINT, Limits(1, 1, 1, 1))
        assert found.scores["outlined_frames"] == number
        verb = "carries" if number == 1 else "carry"
        words = f"only {number} of the frames {verb} an outline in either precision (at least 3): give --gate pictures"
        assert found.accepted is enough
        assert enough or found.refusals[0].startswith(words)


def test_fp32_alone_tells_whether_there_is_enough_to_judge_by() -> None:
    require_outlines([answer(TRUTH)] * 3 + [answer(NOTHING)], POINT, Limits(), "these")
    for seen, words in ((2, "of 3 frames of these fp32 outlines something on 2, and 3 are"), (0, "on none, and 3")):
        asked = [answer(TRUTH)] * seen + [answer(box(1, 5))] * (3 - seen)
        with pytest.raises(EngineError, match=f"{words}.*give --gate"):
            require_outlines(asked, POINT, Limits(), "these")
