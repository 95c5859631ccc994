"""The fit of confidence, and how well it holds over the pixels where that is a question."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from smartca.calibration.confidence import Platt, fit_platt, plot_reliability, reliability_of
from smartca.scores.histograms import Histograms
from smartca.scores.reliability import LEAST


def drawn(slope: float, intercept: float, pixels: int = 400_000) -> Histograms:
    """Pixels whose truth follows logit(tear) = slope * x + intercept."""
    rng = np.random.default_rng(0)
    x = rng.normal(-1, 2.5, pixels)
    truth = rng.random(pixels) < 1 / (1 + np.exp(-(slope * x + intercept)))
    counts = Histograms()
    counts.add(x, truth)
    return counts


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, -1.0), (2.0, 1.5)])
def test_platt_finds_the_shift_that_was_put_in(slope: float, intercept: float) -> None:
    found = fit_platt(drawn(slope, intercept))
    assert found.slope == pytest.approx(slope, rel=0.03)
    assert found.intercept == pytest.approx(intercept, abs=0.04)


def test_the_fit_makes_confidence_reliable() -> None:
    counts = drawn(0.5, -2.0)
    before, after = reliability_of(counts, Platt(1, 0)), reliability_of(counts, fit_platt(counts))
    assert after.expected_error < 0.01 < 0.05 < before.expected_error


def test_reliability_is_over_the_pixels_where_it_is_a_question() -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([np.full(10_000, -9.0), rng.normal(0, 1.5, 5_000), np.full(300, -9.0)])
    truth = rng.random(x.size) < 1 / (1 + np.exp(-x))
    truth[-300:] = np.arange(300) < 30  # a rim the network is sure of, and wrong about a tenth of it
    close = np.arange(x.size) >= 15_000
    everything, near = Histograms(), Histograms()
    everything.add(x, truth)
    near.add(x[close], truth[close])
    alone, beside = reliability_of(everything, Platt(1, 0)), reliability_of(everything, Platt(1, 0), near)
    judged = 1 / (1 + np.exp(-x)) >= LEAST
    # bins of logit(q) are .05 wide: LEAST lies inside one
    assert alone.pixels.sum() == pytest.approx(judged.sum(), abs=40)
    assert beside.pixels.sum() == alone.pixels.sum() + 300
    assert alone.expected_error < 0.03
    lowest = beside.confidence.argmin()
    q = 1 / (1 + np.exp(-x))
    inside = (judged | close) & (q < 0.1)
    assert beside.share[lowest] == pytest.approx(truth[inside].mean(), abs=0.01)
    assert beside.expected_error > alone.expected_error


def test_of_nothing_there_is_no_expected_error() -> None:
    assert np.isnan(reliability_of(Histograms(), Platt(1, 0)).expected_error)


def test_a_fit_needs_both_kinds_of_pixels() -> None:
    counts = Histograms()
    counts.add(np.zeros(10), np.zeros(10, bool))
    with pytest.raises(ValueError, match="with and without a tear"):
        fit_platt(counts)


def test_the_diagram_is_drawn(tmp_path: Path) -> None:
    plot_reliability(drawn(1, 0), Platt(1, 0), tmp_path / "reliability.png")
    assert cv2.imread(str(tmp_path / "reliability.png")) is not None
    plot_reliability(drawn(1, 0), Platt(1, 0), tmp_path / "beside.png", near=drawn(1, 0, 1000))
    assert cv2.imread(str(tmp_path / "beside.png")) is not None
