"""Ranges by the three methods, held against cases that can be reckoned by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from smartca.calibration.int8.ranges import HISTOGRAM_BINS, METHODS, ValueSpread, ranges, spreads


def spread(*pictures: NDArray[np.float64] | list[float]) -> ValueSpread:
    """The histogram of these values, picture by picture."""
    found = ValueSpread()
    for values in pictures:
        found.add(np.asarray(values, np.float32))
    return found


def test_minmax_spans_the_largest_of_either_sign() -> None:
    assert spread([0.5, -3.0], [2.0]).range("minmax") == 3.0
    assert spread([0.5, 4.0], [-2.0]).range("minmax") == 4.0


def test_percentile_cuts_the_largest_ten_thousandth_off() -> None:
    many = np.ones(20_000)
    assert spread(np.append(many, 100.0)).range("percentile") == pytest.approx(
        21 * 100 / HISTOGRAM_BINS
    )  # 1 is in bin 20
    assert spread(np.append(many, [100.0] * 3)).range("percentile") == 100.0  # too many to be cut off
    assert spread(-np.append(many, 100.0)).range("percentile") == pytest.approx(21 * 100 / HISTOGRAM_BINS)


def test_zeros_do_not_count() -> None:
    some = np.append(np.ones(20_000), [100.0] * 3)
    assert spread(np.append(some, np.zeros(10_000))).range("percentile") == 100.0


def test_a_later_and_larger_picture_widens_the_bins() -> None:
    later = spread(np.ones(20_000), [3.0])
    assert later.largest == 3.0
    assert later.range("percentile") == 1.0  # of 2048 bins up to 1 the last: after two doublings 512 of 2048 up to 4
    assert later.counts.sum() == 20_001
    assert spread([1e-6], np.ones(20_000)).range("percentile") == pytest.approx(1.0, rel=2 / HISTOGRAM_BINS)


def test_entropy_keeps_what_is_even_and_cuts_a_long_tail() -> None:
    even = (
        np.arange(HISTOGRAM_BINS) + 0.5
    ) / HISTOGRAM_BINS  # one in each bin: INT8 tells all of it, and less with any cut
    assert spread(np.append(even, 1.0)).range("entropy") == 1.0
    bell = np.random.default_rng(0).normal(0, 1, 30_000)
    found = spread(np.append(bell, 60.0)).range("entropy")
    assert 2.5 < found < 12  # nearly all of the bell, and not the one far value
    assert spread(np.append(bell, 60.0)).range("minmax") == 60.0


def test_no_method_spans_more_than_was_seen() -> None:
    for seed in range(3):
        values = np.random.default_rng(seed).standard_cauchy(5_000)
        for method in METHODS:
            assert 0 < spread(values).range(method) <= np.float32(np.abs(values).max())


def test_nothing_but_zeros_and_a_single_value() -> None:
    for method in METHODS:
        assert spread(np.zeros(9)).range(method) == 1.0
        assert spread(np.append(np.zeros(9), 0.25)).range(method) == 0.25


def test_a_few_values_of_a_large_tensor_are_not_lost() -> None:
    """Of large tensors some values only are counted: perhaps none that differs from zero."""
    values = np.zeros(1 << 20)
    values[12_345] = 7.0
    for method in METHODS:
        assert spread(values).range(method) == 7.0


def test_every_column_of_a_large_tensor_is_looked_at() -> None:
    columns = np.zeros((64, 128, 128))
    columns[:, :, 5] = 1.0
    columns[0, 0, 5] = 50.0
    assert spread(columns).range("percentile") < 2


def test_numbers_that_are_not_finite_are_refused() -> None:
    for wrong in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="not finite"):
            spread([1.0, wrong])


def test_tensors_are_kept_apart_by_name() -> None:
    pictures = [
        {"a": np.array([1.0], np.float32), "b": np.array([5.0], np.float32)},
        {"a": np.array([2.0], np.float32)},
    ]
    assert ranges(spreads(pictures), "minmax") == {"a": 2.0, "b": 5.0}
    with pytest.raises(ValueError, match="entropy, percentile, minmax"):
        ranges(spreads(pictures), "guess")
