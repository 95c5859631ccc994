"""Three points of one model, and the answer 'unsure': stored, read back, outlined, switched."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from smartca.engine import Answer, EngineError, OperatingPoint, Segmenter, open_runner, open_segmenter
from smartca.engine.operating_point import POINT_NAMES, Setting, load_point, point_name, save_point
from smartca.engine.segmenter import spots_in
from smartca.files import sha256
from smartca.stream.frame import State

SIZE = 64
THREE = OperatingPoint(
    threshold=0.6,
    unsure=0.3,
    points={
        "careful": Setting(0.9, 8, 0.2, 0.5),
        "searching": Setting(0.2),
    },
)


def answer(*squares: tuple[int, int, float], tear: float = 1.0) -> Answer:
    """q with squares (column, side, q) on nothing."""
    q = np.zeros((SIZE, SIZE), np.float32)
    for column, side, value in squares:
        q[10 : 10 + side, column : column + side] = value
    return Answer(q, tear)


@pytest.fixture
def segmenter(network: Path) -> Segmenter:
    return Segmenter(open_runner(network, "fp32"), THREE)


def judged(segmenter: Segmenter, given: Answer) -> tuple[State, int, int]:
    """State, pixels outlined, pixels unsure."""
    found = segmenter.outline(given, (SIZE, SIZE))
    return State.of(found.mask, found.unsure), found.area, 0 if found.unsure is None else int(found.unsure.sum())


@pytest.mark.parametrize(
    ("squares", "expected"),
    [
        ([], (State.NO_TEAR_OUTLINED, 0, 0)),
        ([(5, 6, 0.29)], (State.NO_TEAR_OUTLINED, 0, 0)),
        ([(5, 6, 0.31)], (State.UNSURE, 0, 36)),
        ([(5, 6, 0.61)], (State.TEAR_OUTLINED, 36, 0)),
        ([(5, 6, 0.61), (30, 4, 0.4)], (State.TEAR_OUTLINED, 36, 16)),
        # a region with a certain spot in it is that spot's: nothing of it is unsure
        ([(5, 9, 0.4), (7, 3, 0.7)], (State.TEAR_OUTLINED, 9, 0)),
    ],
)
def test_state_by_state(
    segmenter: Segmenter, squares: list[tuple[int, int, float]], expected: tuple[State, int, int]
) -> None:
    assert judged(segmenter, answer(*squares)) == expected


def test_a_certain_spot_in_the_hole_of_a_doubtful_ring_is_another_spot(segmenter: Segmenter) -> None:
    given = answer((5, 20, 0.4))
    given.q[12:28, 7:23] = 0.0
    given.q[16:20, 12:16] = 0.9
    assert judged(segmenter, given) == (State.TEAR_OUTLINED, 16, 400 - 256)


def test_spots_are_those_of_eight_neighbours() -> None:
    import cv2

    above = np.random.default_rng(4).random((60, 50)) < 0.3
    count, labels = cv2.connectedComponents(above.astype(np.uint8), connectivity=8)
    found = set()
    for where, spot in spots_in(above):
        whole = np.zeros_like(above)
        whole[where] = spot
        assert len(np.unique(labels[whole])) == 1
        found.add(whole.tobytes())
    assert found == {(labels == n).tobytes() for n in range(1, count)}


def test_small_doubtful_regions_and_the_classifiers_no_are_gated(segmenter: Segmenter) -> None:
    segmenter.switch("careful")
    assert judged(segmenter, answer((5, 2, 0.6)))[0] is State.NO_TEAR_OUTLINED
    assert judged(segmenter, answer((5, 3, 0.6)))[0] is State.UNSURE
    assert judged(segmenter, answer((5, 3, 0.6), tear=0.1))[0] is State.NO_TEAR_OUTLINED
    # too small to be certain, large enough to be unsure
    assert judged(segmenter, answer((5, 4, 0.6), (6, 2, 0.95))) == (State.UNSURE, 0, 16)


def test_a_switch_holds_from_the_next_outline_and_each_says_its_point(segmenter: Segmenter) -> None:
    given, seen = answer((5, 6, 0.7), (20, 6, 0.25)), []
    for name in POINT_NAMES:
        segmenter.switch(name)
        found = segmenter.outline(given, (SIZE, SIZE))
        assert found.point == name == segmenter.point_name
        seen.append((found.area, found.unsure is not None))
    assert seen == [(0, True), (36, False), (72, False)]


def test_outlined_and_unsure_share_no_pixel(network: Path) -> None:
    smooth = np.random.default_rng(7).random((16, 16), dtype=np.float32)
    with open_runner(network, "fp32") as runner:
        segmenter = Segmenter(runner, OperatingPoint(threshold=0.9, unsure=0.75))
        found = segmenter.outline(Answer(np.kron(smooth, np.ones((4, 4), np.float32))), (150, 150))
    assert found.unsure is not None and found.mask.any() and not (found.mask & found.unsure).any()


def test_an_old_file_is_one_point_under_three_names(network: Path) -> None:
    digest = sha256(network)
    old = {"model_sha256": digest, "threshold": 0.4, "slope": 1.2, "intercept": 0.1, "min_area": 3}
    network.with_suffix(".json").write_text(json.dumps(old))
    for name in POINT_NAMES:
        with open_segmenter(network, point=name) as segmenter:
            assert (segmenter.point.threshold, segmenter.point.unsure) == (0.4, None)
            assert segmenter.point_name == name


def test_three_points_come_back_from_their_file(network: Path) -> None:
    point = msgspec.structs.replace(THREE, model_sha256=sha256(network))
    save_point(point, network)
    assert load_point(network, point.model_sha256) == point
    for name, threshold in (("careful", 0.9), ("balanced", 0.6), ("searching", 0.2)):
        with open_segmenter(network, point=point_name(name)) as segmenter:
            assert segmenter.point.threshold == threshold
    with open_segmenter(network) as segmenter:
        assert segmenter.point_name == "balanced"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"unsure": 0.6}, "'unsure' begins at 0.6; it must lie between 0 and the threshold, 0.6"),
        ({"unsure": 0.0}, "'unsure' begins at 0.0"),
        ({"points": {"careful": {"threshold": 0.9}}}, "one of the points 'careful' and 'searching'"),
        ({"points": {"careful": {"threshold": 2.0}, "searching": {"threshold": 0.1}}}, "the threshold is 2.0"),
        ({"points": {"reckless": {"threshold": 0.9}}}, "is not an operating point"),
    ],
)
def test_damaged_points_are_one_sentence(network: Path, change: dict[str, object], says: str) -> None:
    stored = {**msgspec.to_builtins(THREE), "model_sha256": sha256(network), **change}
    network.with_suffix(".json").write_text(json.dumps(stored))
    with pytest.raises(EngineError, match=says) as error:
        open_segmenter(network)
    assert "\n" not in str(error.value)


def test_a_threshold_of_ones_own_has_no_other_point_beside_it(network: Path) -> None:
    save_point(msgspec.structs.replace(THREE, model_sha256=sha256(network)), network)
    with open_segmenter(network, threshold=0.45) as segmenter:
        segmenter.switch("careful")
        assert (segmenter.point.threshold, segmenter.point.unsure, segmenter.point_name) == (0.45, None, "")
    with pytest.raises(EngineError, match="give one of the two"):
        open_segmenter(network, threshold=0.45, point="careful")
    with pytest.raises(EngineError, match="no point 'bold'; choose one of careful, balanced, searching"):
        open_segmenter(network, point="bold")  # type: ignore[arg-type]
