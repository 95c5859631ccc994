"""The severe-speckle test: its statistics, its grain, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
from smartca.phantom import Phantom, screen
from smartca.phantom.corruption import DYNAMIC_RANGE_DB, LEVELS, NAIVE, bias_db, corrupt, naive, severe, speckle_db

MM = (0.05, 0.1)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("looks", "sd", "bias"), [(1, 5.57, 2.51), (2, 3.49, 1.17), (4, 2.31, 0.57)])
def test_statistics_in_decibels(looks: int, sd: float, bias: float) -> None:
    speckle = speckle_db((800, 800), looks, generator(), MM)
    assert bias_db(looks) == pytest.approx(bias, abs=0.005)
    assert speckle.mean() == pytest.approx(0, abs=0.1)  # the bias is taken out
    assert speckle.std() == pytest.approx(sd, rel=0.02)
    intensity = 10 ** ((speckle - bias_db(looks)) / 10)
    assert intensity.mean() == pytest.approx(1, abs=0.02)
    assert intensity.var() == pytest.approx(1 / looks, rel=0.06)


@pytest.mark.parametrize("looks", [1, 4])
def test_a_grain_is_a_fifth_by_three_fifths_of_a_millimetre(looks: int) -> None:
    g = 10 ** (speckle_db((900, 900), looks, generator(1), MM) / 10)
    g -= g.mean()

    def full_width(axis: int, mm: float) -> float:
        lags = [float((g * np.roll(g, lag, axis)).mean()) for lag in range(12)]
        fallen = next(lag for lag, value in enumerate(lags) if value < lags[0] / 2)
        part = (lags[fallen - 1] - lags[0] / 2) / (lags[fallen - 1] - lags[fallen])
        return 2 * (fallen - 1 + part) * mm

    assert full_width(0, MM[0]) == pytest.approx(0.2, rel=0.1)
    assert full_width(1, MM[1]) == pytest.approx(0.6, rel=0.1)


def test_the_grain_keeps_its_variance_up_to_the_edges() -> None:
    edges = [10 ** (speckle_db((200, 200), 1, generator(seed), MM) / 10) for seed in range(12)]
    inner = np.mean([g[50:150, 50:150].var() for g in edges])
    for border in (np.s_[:3], np.s_[-3:], np.s_[:, :3], np.s_[:, -3:]):
        assert np.mean([g[border].var() for g in edges]) == pytest.approx(inner, rel=0.25)


def test_of_unknown_size_a_picture_is_forty_millimetres_deep() -> None:
    known = speckle_db((400, 300), 1, generator(), (0.1, 0.1))
    assert np.array_equal(speckle_db((400, 300), 1, generator()), known)


def test_a_grey_picture_gets_the_speckle_of_the_formula() -> None:
    pixels = np.full((300, 300), 120, np.uint8)
    noisy = severe(pixels, 4, generator(), MM)
    wanted = 120 + speckle_db(pixels.shape, 4, generator(), MM) * 255 / DYNAMIC_RANGE_DB
    assert np.abs(noisy - np.clip(wanted, 0, 255)).max() <= 0.51
    assert noisy.mean() == pytest.approx(120, abs=1.0)


def test_black_outside_a_sector_stays_black() -> None:
    rows, columns = np.mgrid[:240, :320]
    fan = (np.hypot(rows + 60, columns - 160) < 280) & (np.abs(columns - 160) < 0.6 * (rows + 60))
    pixels = np.where(fan, 90, 0).astype(np.uint8)
    for level in (*LEVELS, *NAIVE):
        noisy = corrupt(pixels, level, generator(), MM)
        assert not noisy[~fan].any()
        assert (noisy[fan] != 90).mean() > 0.8 or level == "none"
    compressed = np.where(fan, 90, 2).astype(np.uint8)  # film leaves 1 or 2 of black
    assert (severe(compressed, 1, generator(), MM)[~fan] == 2).all()


def test_single_black_pixels_among_echoes_are_speckled() -> None:
    pixels = np.full((200, 200), 12, np.uint8)
    holes = generator(3).random(pixels.shape) < 0.1
    pixels[holes] = 0
    assert (severe(pixels, 1, generator(), MM)[holes] > 0).mean() > 0.5


def test_the_same_seed_gives_the_same_picture_and_the_levels_differ() -> None:
    pixels = screen(Phantom(90001).frame(0.0)).pixels
    before = pixels.copy()
    for level in (*LEVELS, *NAIVE):
        once, again = corrupt(pixels, level, generator(5), MM), corrupt(pixels, level, generator(5), MM)
        assert once.dtype == np.uint8 and np.array_equal(once, again)
        assert np.array_equal(once, pixels) == (level == "none")
        assert once is not pixels
    assert np.array_equal(pixels, before)
    off = [np.abs(corrupt(pixels, level, generator(5), MM) - pixels.astype(float)).mean() for level in LEVELS]
    assert off == sorted(off) and off[2] > 1.5 * off[1] > 0
    assert not np.array_equal(corrupt(pixels, "severe", generator(5)), corrupt(pixels, "severe", generator(6)))


@pytest.mark.parametrize("variance", [0.05, 0.1, 0.2])
def test_naive_speckle_has_the_variance_asked_for(variance: float) -> None:
    pixels = np.full((400, 400), 100, np.uint8)
    noisy = naive(pixels, variance, generator()) / 100 - 1
    assert noisy.mean() == pytest.approx(0, abs=0.005)
    assert noisy.var() == pytest.approx(variance, rel=0.02)


def test_what_cannot_be_drawn_is_refused() -> None:
    pixels = np.zeros((10, 10), np.uint8)
    with pytest.raises(ValueError, match="moderate, severe"):
        corrupt(pixels, "heavy", generator())
    with pytest.raises(ValueError, match="0 looks"):
        severe(pixels, 0, generator())
    with pytest.raises(ValueError, match="cannot be drawn"):
        severe(pixels, 1, generator(), (0.0, 0.1))
