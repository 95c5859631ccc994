from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from smartca.pictures.composites.composite import composite, decoy, find_place, grain, rayleigh, turned


def tissue(seed: int, level: float = 110.0, lateral: float = 1.6, axial: float = 0.8) -> NDArray[np.uint8]:
    """A muscle-like picture 300 x 360: speckle of a known grain around `level`."""
    speckle = rayleigh((300, 360), lateral, axial, np.random.default_rng(seed))
    return np.clip(level + 0.8 * speckle, 0, 255).astype(np.uint8)


def outline() -> NDArray[np.bool_]:
    """A lens-shaped tear in another picture."""
    mask = np.zeros((200, 240), np.uint8)
    cv2.ellipse(mask, (120, 90), (45, 16), 10, 0, 360, 1, -1)
    return mask > 0


@pytest.mark.parametrize("seed", range(8))
def test_a_composite_is_darker_inside_its_mask_and_the_same_far_away(seed: int) -> None:
    picture = tissue(seed)
    made, mask = composite(picture, outline(), np.random.default_rng(seed))
    assert made.shape == picture.shape and made.dtype == np.uint8 and 100 < mask.sum() < 0.2 * mask.size
    core = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    ring = (cv2.dilate(mask.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0) & ~mask
    assert made[core].mean() < 0.75 * picture[ring].mean()
    assert picture[core].mean() > 0.8 * picture[ring].mean()
    far = cv2.dilate(mask.astype(np.uint8), np.ones((61, 61), np.uint8)) == 0
    assert far.any() and (made[far] == picture[far]).all()


def test_a_composite_is_the_same_for_the_same_seed() -> None:
    one, two = (composite(tissue(1), outline(), np.random.default_rng(7)) for _ in range(2))
    assert (one[0] == two[0]).all() and (one[1] == two[1]).all()


def test_nothing_is_set_into_what_is_dark_already() -> None:
    dark = tissue(2, level=12.0)
    assert find_place(dark, outline(), np.random.default_rng(0)) is None
    made, mask = composite(dark, outline(), np.random.default_rng(0))
    assert made is dark and not mask.any()


def test_a_picture_too_small_for_the_tear_stays_as_it_is() -> None:
    made, mask = composite(tissue(3)[:10, :12], outline(), np.random.default_rng(0))
    assert made.shape == (10, 12) and not mask.any()


def test_an_empty_outline_has_no_shape() -> None:
    assert turned(np.zeros((40, 40), bool), 300, np.random.default_rng(0)) is None


@pytest.mark.parametrize("seed", range(4))
def test_a_decoy_is_not_dark(seed: int) -> None:
    picture, rng = tissue(seed), np.random.default_rng(seed)
    place = find_place(picture, outline(), np.random.default_rng(seed))
    made = decoy(picture, outline(), rng)
    assert place is not None and (made != picture).any()
    assert made[place.mask].mean() > 0.8 * place.around


@pytest.mark.parametrize(("lateral", "axial"), [(2.4, 0.8), (1.2, 1.2), (1.6, 0.7)])
def test_the_grain_is_that_of_the_speckle(lateral: float, axial: float) -> None:
    found = grain(tissue(0, 120.0, lateral, axial).astype(np.float32))
    # log compression makes the grain a little finer than the amplitude's
    assert found[0] == pytest.approx(lateral, rel=0.45) and found[1] == pytest.approx(axial, rel=0.45)
    assert (found[0] > found[1]) == (lateral > axial) or lateral == axial
