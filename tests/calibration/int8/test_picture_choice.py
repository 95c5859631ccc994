"""Which pictures ranges are taken from: spread over all there are, no two alike, the same every time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from smartca.calibration.int8.picture_choice import ALIKE, PictureChoice, choose_pictures, likeness
from smartca.pictures.pixels import Grey
from support.int8_network import several


def grey(level: int) -> Grey:
    return np.full((64, 64), level, np.uint8)


def chosen_levels(levels: list[int], number: int) -> list[int]:
    return [levels[index] for index in choose_pictures([grey(level) for level in levels], number).chosen]


def test_the_farthest_comes_next() -> None:
    ramps = [np.tile(np.linspace(0, top, 64), (64, 1)).astype(np.uint8) for top in (100, 110, 120, 250)]
    found = choose_pictures(ramps, 2)
    far = [np.linalg.norm(likeness(ramps[found.chosen[0]]) - likeness(ramp)) for ramp in ramps]
    assert found.chosen[1] == int(np.argmax(far))
    assert found.reach[0] == pytest.approx(max(far))


def test_of_near_duplicates_only_one() -> None:
    levels = [10, 10, 90, 90, 90, 200, 10, 200]
    assert sorted(chosen_levels(levels, 8)) == [10, 90, 200]
    still = grey(90)
    still[5, 5] = 91  # a still clip with a flicker
    assert len(choose_pictures([grey(90), still]).chosen) == 1
    assert choose_pictures([grey(0)] * 10) == PictureChoice([0], [0.0])


def test_every_picture_left_out_is_near_a_chosen_one() -> None:
    squares = [shown.square for shown in several(range(40))]
    found = choose_pictures(squares, 12)
    assert len(set(found.chosen)) == len(found.chosen) == len(found.reach) == 12
    assert all(nearer <= farther for farther, nearer in itertools.pairwise(found.reach))
    points = np.stack([likeness(square) for square in squares])
    apart = np.linalg.norm(points[:, None] - points[found.chosen], axis=2)
    assert apart.min(1).max() == pytest.approx(found.reach[-1])
    assert (
        np.linalg.norm(points[found.chosen][:, None] - points[found.chosen], axis=2)[~np.eye(12, dtype=bool)].min()
        > ALIKE
    )


def test_no_choice_of_as_many_is_twice_as_good() -> None:
    squares = [shown.square for shown in several(range(9))]
    points = np.stack([likeness(square) for square in squares])
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    for number in (1, 2, 3):
        best = min(apart[:, list(trial)].min(1).max() for trial in itertools.combinations(range(9), number))
        assert choose_pictures(squares, number).reach[-1] <= 2 * best


def test_the_same_every_time_and_no_more_than_wanted() -> None:
    squares = [shown.square for shown in several(range(20))]
    assert choose_pictures(squares, 7) == choose_pictures(squares, 7)
    assert choose_pictures(squares, 7).chosen == choose_pictures(squares, 12).chosen[:7]
    assert len(choose_pictures(squares, 1).chosen) == 1


def test_without_a_picture_there_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="--calibrate"):
        choose_pictures([])
