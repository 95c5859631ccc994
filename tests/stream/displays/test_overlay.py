"""The drawn frame: outline on its mask, input untouched, five states that never look alike."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from smartca.stream.displays.overlay import draw_overlay, outlines
from smartca.stream.frame import State

SHAPE = (240, 320)


def a_mask(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Two parts, one with a hole, one touching the border."""
    mask = np.zeros(shape, np.uint8)
    cv2.ellipse(mask, (150, 120), (60, 25), 20, 0, 360, 1, -1)
    cv2.circle(mask, (150, 120), 8, 0, -1)
    mask[30:60, :40] = 1
    return mask.astype(bool)


def speckle(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 120, shape, np.uint8)


def amber(image: np.ndarray) -> np.ndarray:
    """Where the colour of the outline is: blue far below red."""
    image = image.astype(int)
    return image[..., 2] - image[..., 0] > 120


def test_filling_the_outlines_gives_the_mask_back() -> None:
    mask = a_mask()
    lines = outlines(mask)
    assert len(lines) == 3 and all(line.ndim == 2 and line.shape[1] == 2 for line in lines)
    filled = np.zeros(SHAPE, np.uint8)
    cv2.drawContours(filled, lines, -1, 1, -1)
    assert np.array_equal(filled.astype(bool), mask)


def test_an_empty_mask_has_no_outline_and_a_single_pixel_has_one() -> None:
    assert outlines(np.zeros(SHAPE, bool)) == []
    one = np.zeros(SHAPE, bool)
    one[7, 9] = True
    assert [line.tolist() for line in outlines(one)] == [[[9, 7]]]


@pytest.mark.parametrize("shape", [SHAPE, (*SHAPE, 3)])
def test_the_outline_is_drawn_thin_on_the_border_of_the_mask(shape: tuple[int, ...]) -> None:
    pixels, mask = speckle(shape), a_mask()
    before = pixels.copy()
    image = draw_overlay(pixels, mask, State.TEAR_OUTLINED)
    assert image.shape == (*SHAPE, 3) and image.dtype == np.uint8
    assert np.array_equal(pixels, before)
    drawn = amber(image)
    drawn[-24:] = False  # the caption
    padded = np.pad(mask, 4).astype(np.uint8)  # outside the picture there is no mask
    border = cv2.morphologyEx(padded, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8))[4:-4, 4:-4]
    assert not (drawn & (border == 0)).any()
    for line in outlines(mask):
        assert drawn[line[:, 1], line[:, 0]].mean() > 0.9
    assert drawn.sum() < 3 * sum(cv2.arcLength(line, True) for line in outlines(mask))
    inside = cv2.erode(padded, np.ones((7, 7), np.uint8))[4:-4, 4:-4].astype(bool)
    assert inside.sum() > 1000
    grey = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2)
    assert np.array_equal(image[inside], grey[inside])


def test_a_mask_and_its_outlines_draw_the_same() -> None:
    pixels, mask = speckle(), a_mask()
    assert np.array_equal(
        draw_overlay(pixels, mask, State.TEAR_OUTLINED), draw_overlay(pixels, outlines(mask), State.TEAR_OUTLINED)
    )


@pytest.mark.parametrize("state", [State.NO_TEAR_OUTLINED, State.NO_RESULT, State.STALE])
def test_no_outline_without_the_state_for_it(state: State) -> None:
    assert np.array_equal(draw_overlay(speckle(), a_mask(), state), draw_overlay(speckle(), None, state))
    assert not amber(draw_overlay(speckle(), a_mask(), state))[10:-30, 10:-10].any()


def test_no_two_states_look_alike_even_without_colour() -> None:
    images = {state: draw_overlay(speckle(), a_mask(), state) for state in State}
    for one, other in itertools.combinations(State, 2):
        strips = [cv2.cvtColor(images[state][-13:, :75], cv2.COLOR_BGR2GRAY) for state in (one, other)]
        assert cv2.absdiff(*strips).mean() > 8, (one, other)
    middle = np.s_[80:160, 10:80]
    assert images[State.STALE][middle].mean() < 0.6 * images[State.NO_RESULT][middle].mean()
    edge = images[State.NO_RESULT][0].astype(int)
    assert np.count_nonzero(np.abs(np.diff(edge[:, 0])) > 100) >= 4  # dashes, not a line


def violet(image: np.ndarray) -> np.ndarray:
    """Where the colour of an unsure region is: green far below blue and red."""
    image = image.astype(int)
    return np.minimum(image[..., 2], image[..., 0]) - image[..., 1] > 40


@pytest.mark.parametrize("state", [State.UNSURE, State.TEAR_OUTLINED])
def test_an_unsure_region_is_dashed_on_its_border(state: State) -> None:
    unsure = np.zeros(SHAPE, bool)
    unsure[150:200, 200:300] = True
    image = draw_overlay(speckle(), a_mask(), state, unsure=unsure)
    drawn = violet(image)
    drawn[-24:] = False
    border = cv2.morphologyEx(unsure.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8))
    assert drawn.any() and not (drawn & (border == 0)).any()
    upper = drawn[149:152, 205:295].any(axis=0)
    assert 0.3 < upper.mean() < 0.8  # about half of the line
    assert np.count_nonzero(np.diff(upper.astype(int)) == 1) >= 4  # in several pieces
    assert amber(image)[:-24].any() == (state is State.TEAR_OUTLINED)


@pytest.mark.parametrize("state", [State.NO_TEAR_OUTLINED, State.NO_RESULT, State.STALE])
def test_no_unsure_region_without_a_state_for_it(state: State) -> None:
    assert np.array_equal(draw_overlay(speckle(), None, state, unsure=a_mask()), draw_overlay(speckle(), None, state))


def test_the_smallest_unsure_region_is_seen() -> None:
    for side in (1, 2, 5):
        unsure = np.zeros(SHAPE, bool)
        unsure[100 : 100 + side, 100 : 100 + side] = True
        assert violet(draw_overlay(np.zeros(SHAPE, np.uint8), None, State.UNSURE, unsure=unsure))[95:110, 95:110].any()


def test_the_caption_takes_little_of_the_picture() -> None:
    pixels = speckle((480, 640))
    image = draw_overlay(pixels, None, State.NO_TEAR_OUTLINED, "confidence 0.83 ±")
    changed = (image != pixels[..., None]).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert rows.min() > 450 and columns.max() < 400


@pytest.mark.parametrize("shape", [(8, 8), (1080, 1920), (61, 33)])
def test_any_size_can_be_drawn(shape: tuple[int, int]) -> None:
    mask = np.zeros(shape, bool)
    mask[shape[0] // 4 : shape[0] // 2, shape[1] // 4 : shape[1] // 2] = True
    for state in State:
        image = draw_overlay(speckle(shape), mask, state, "a rather long note on why this is so")
        assert image.shape == (*shape, 3)
    assert amber(draw_overlay(np.zeros(shape, np.uint8), mask, State.TEAR_OUTLINED)[shape[0] // 4]).any()
