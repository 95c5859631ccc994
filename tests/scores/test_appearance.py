"""What a torn picture looks like, against shapes whose numbers can be computed by hand."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from smartca.errors import InputError
from smartca.scores.appearance import QUANTILES, REAL, Appearance, appearance, beside_real, table


def picture() -> tuple[np.ndarray, np.ndarray]:
    """100 x 200: 120 above row 50 and 60 from there on; a tear of 20 rows x 40 columns, half 10 and half 30."""
    pixels = np.full((100, 200), 120, np.uint8)
    pixels[50:] = 60
    mask = np.zeros(pixels.shape, bool)
    mask[40:60, 80:120] = True
    pixels[40:60, 80:100], pixels[40:60, 100:120] = 10, 30
    return pixels, mask


def test_a_box_by_hand() -> None:
    found = appearance(*picture())
    assert found.area_percent == pytest.approx(4.0)
    assert (found.inside, found.inside_sd) == pytest.approx((20.0, 10.0))
    assert found.ring == pytest.approx(90.0) and found.ring_sd == pytest.approx(30.0)  # as much above as below
    assert found.inside_to_ring == pytest.approx(20 / 90)
    assert (found.darkest_tenth, found.brightest_tenth) == (10.0, 30.0)
    assert found.length_to_width == pytest.approx(2.0) and found.length_to_picture == pytest.approx(0.2)
    assert found.solidity == 1.0 and found.compactness == pytest.approx(4 * math.pi * 800 / 120**2)
    assert found.below_to_above == pytest.approx(0.5)
    assert found.depth_share == pytest.approx(0.5)
    assert found.median_grey == 60.0 and found.dark_share == pytest.approx(400 / 20000)


def test_shapes() -> None:
    grey = np.full((200, 200), 50, np.uint8)
    disc, cross = np.zeros((2, 200, 200), np.uint8)
    cv2.circle(disc, (100, 100), 50, 1, -1)
    cross[95:105, 50:150] = cross[50:150, 95:105] = 1
    round_one, fan = appearance(grey, disc > 0), appearance(grey, cross > 0)
    assert round_one.compactness == pytest.approx(0.92, abs=0.04)  # a disc of pixels has a ragged border
    assert round_one.solidity > 0.97 and round_one.length_to_width == pytest.approx(1.0, abs=0.05)
    assert fan.solidity == pytest.approx(1900 / 5950, abs=0.03)  # its hull is an octagon
    assert fan.compactness < 0.2


def test_a_turned_box_keeps_its_length() -> None:
    mask = np.zeros((300, 300), np.uint8)
    corners = cv2.boxPoints(((150.0, 150.0), (120.0, 40.0), 30.0))
    cv2.fillConvexPoly(mask, np.rint(corners).astype(np.int32), 1)
    assert appearance(np.zeros(mask.shape, np.uint8), mask > 0).length_to_width == pytest.approx(3.0, abs=0.12)


def test_quantiles_over_pictures_leave_nan_out() -> None:
    pixels, mask = picture()
    brighter = np.where(mask, pixels, np.uint8(180))
    black = np.where(mask, pixels, np.uint8(0))  # no echo around: its ratios have no meaning
    assert math.isnan(appearance(black, mask).inside_to_ring)
    found = table([appearance(each, mask) for each in (pixels, brighter, black)])
    assert list(found) == list(Appearance._fields) == list(REAL)
    assert found["ring"][2] == pytest.approx(90.0)
    assert found["inside_to_ring"][2] == pytest.approx((20 / 90 + 20 / 180) / 2)
    assert all(len(quantiles) == len(QUANTILES) for quantiles in (*found.values(), *REAL.values()))
    assert ("solidity", "1.00 / 1.00 / 1.00 / 1.00 / 1.00", "0.47 / 0.61 / 0.69 / 0.84 / 0.91") in beside_real(found)


def test_what_cannot_be_looked_at() -> None:
    pixels, mask = picture()
    with pytest.raises(InputError, match="no tear"):
        appearance(pixels, np.zeros_like(mask))
    with pytest.raises(InputError, match="one shape"):
        appearance(pixels[:50], mask)
    with pytest.raises(InputError, match="no torn picture"):
        table([])
