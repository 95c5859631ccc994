"""The simulated scanner's screen."""

from __future__ import annotations

import numpy as np
import pytest
from smartca.phantom import Phantom, Scanner, Screen, screen
from smartca.phantom.font import write


@pytest.mark.parametrize("seed", [90001, 90002, 90012])
def test_picture_stands_in_its_sector_with_its_truth(seed: int) -> None:
    frame = Phantom(seed).frame(30)
    shot = screen(frame)
    x, y, width, height = shot.sector
    assert shot.pixels.shape == shot.mask.shape == (480, 640)
    assert 400 <= height <= 440 and width <= 500
    inside = np.zeros_like(shot.mask)
    inside[y : y + height, x : x + width] = True
    assert not (shot.mask & ~inside).any()
    mm = frame.mm_per_pixel
    area = frame.mask.sum() * mm[0] * mm[1]
    assert shot.mask.sum() * shot.mm_per_pixel[0] * shot.mm_per_pixel[1] == pytest.approx(area, rel=0.03)
    assert height * shot.mm_per_pixel[0] == pytest.approx(384 * mm[0])
    assert width * shot.mm_per_pixel[1] == pytest.approx(256 * mm[1])
    assert shot.mm_per_pixel[0] == pytest.approx(shot.mm_per_pixel[1], rel=0.01)


def test_wide_and_deep_scanners_fit() -> None:
    for depth, width in ((30.0, 60.0), (80.0, 30.0)):
        scanner = Scanner(depth_mm=depth, width_mm=width)
        x, y, columns, rows = screen(Phantom(1, scanner=scanner).frame(0)).sector
        assert x >= 30 and y >= 16 and x + columns <= 600 and y + rows <= 480


def test_ruler_ticks_stand_a_centimetre_apart() -> None:
    shot = screen(Phantom(90001).frame(0))
    x, y, width, height = shot.sector
    column = shot.pixels[y : y + height, x + width + 18]
    ticks = np.flatnonzero(column)
    assert len(ticks) >= 4
    assert np.diff(ticks) * shot.mm_per_pixel[0] == pytest.approx(10.0, abs=0.1)


def test_screen_says_what_it_is_and_the_rest_is_black() -> None:
    shot = screen(Phantom(90001).frame(0))
    x, _, width, _ = shot.sector
    assert (shot.pixels[7:14, x : x + 54] > 0).sum() > 80  # the label
    assert not shot.pixels[:, : x - 40].any()
    assert not shot.pixels[:, x + width + 60 :].any()


def test_unknown_letters_and_small_screens_are_refused() -> None:
    with pytest.raises(ValueError, match="no letter '%'"):
        write(np.zeros((20, 20), np.uint8), 0, 0, "%", 255)
    with pytest.raises(ValueError, match="too small"):
        Screen(width=100)
