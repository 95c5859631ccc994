"""Tears counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
from smartca.scores.lesions import Lesions, is_found


def picture(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Bool (40, 60) with boxes of row, column, rows, columns."""
    mask = np.zeros((40, 60), bool)
    for row, column, rows, columns in boxes:
        mask[row : row + rows, column : column + columns] = True
    return mask


def test_tears_and_outlines_by_hand() -> None:
    truth = picture((0, 0, 10, 10), (20, 0, 10, 10), (20, 30, 10, 10))
    mask = picture((0, 9, 10, 10), (29, 0, 1, 9), (0, 40, 5, 5))
    lesions = Lesions()
    lesions.add(mask, truth)
    # the first has a tenth outlined, the second 9 of 100 pixels, the third nothing
    assert lesions == Lesions(tears=3, found=1, outlines=3, false_outlines=1)
    assert lesions.sensitivity == pytest.approx(1 / 3)


def test_one_outline_may_find_two_tears_and_corners_hold_together() -> None:
    lesions = Lesions()
    lesions.add(picture((0, 0, 20, 50)), picture((2, 2, 5, 5), (2, 30, 5, 5)))
    assert lesions == Lesions(tears=2, found=2, outlines=1, false_outlines=0)
    touching = Lesions()
    touching.add(picture(), picture((0, 0, 5, 5), (5, 5, 5, 5)))
    assert touching.tears == 1 and touching.sensitivity == 0.0


def test_without_a_tear_there_is_no_sensitivity() -> None:
    lesions = Lesions()
    lesions.add(picture(), picture())
    lesions.add(picture((3, 3, 4, 4)), picture())
    assert lesions.sensitivity is None
    assert lesions.as_report()["false_outlines"] == 1
    with pytest.raises(ValueError, match="its truth is"):
        lesions.add(picture(), np.zeros((3, 3), bool))


def test_a_tear_in_parts_is_found_by_a_tenth_of_all() -> None:
    truth, mask = np.zeros((10, 20), bool), np.zeros((10, 20), bool)
    truth[:5, :10] = truth[6:, :10] = True
    mask[0, :8] = True
    assert not is_found(mask, truth)
    mask[9, 9] = True
    assert is_found(mask, truth)
