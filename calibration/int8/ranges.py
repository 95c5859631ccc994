"""How large the numbers inside a network get, and the range that INT8 should span for each tensor.

Three answers to the second question, from one look at the pictures: `minmax` spans everything seen; `percentile` lets
the largest 0.01 % be cut off; `entropy` loses the least information (Migacz, "8-bit inference with TensorRT", 2017).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError

METHODS = ("entropy", "percentile", "minmax")
HISTOGRAM_BINS = 2048
INT8_LEVELS = 128  # of one sign in INT8
KEPT_SHARE = 0.9999
ENOUGH = 32_768  # values of one tensor in one picture; more change a histogram of so many pictures no longer
RANGES_TRIED = 120  # ranges tried by entropy


class ValueSpread:
    """Histogram of the sizes |x| of one tensor, zeros left out: INT8 holds a zero exactly whatever the range."""

    def __init__(self) -> None:
        self.largest = 0.0
        self.counts: NDArray[np.int64] = np.zeros(HISTOGRAM_BINS, np.int64)
        self._end = 0.0  # of the last bin

    def add(self, values: NDArray[np.float32]) -> None:
        """Count one picture's values, any shape."""
        flat = values.ravel()
        top = float(max(flat.max(), -flat.min()))
        if not np.isfinite(top):
            raise InputError("the network computes numbers that are not finite on one of the pictures")
        self.largest = max(self.largest, top)
        if top == 0.0:
            return
        self._end = self._end or top
        while self._end < top:  # two bins become one
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(1), np.zeros(HISTOGRAM_BINS // 2, np.int64)])
            self._end *= 2
        # by an odd step: an even one would meet the same columns in every row of a picture
        sizes = np.abs(flat[:: flat.size // ENOUGH | 1])
        places = np.minimum(
            (sizes[sizes > 0] * np.float32(HISTOGRAM_BINS / self._end)).astype(np.int32), HISTOGRAM_BINS - 1
        )
        self.counts += np.bincount(places, minlength=HISTOGRAM_BINS)

    def range(self, method: str) -> float:
        """Half the width of the range that INT8 should span: it runs from minus this to this; 1 for nothing but 0.

        Raises ValueError for an unknown method.
        """
        if method not in METHODS:
            raise InputError(f"there is no method {method!r} to find ranges; choose one of {', '.join(METHODS)}")
        if self.largest == 0.0:
            return 1.0
        if method == "minmax" or not self.counts.any():  # so few that none of them was counted
            return self.largest
        bins = _least_loss(self.counts) if method == "entropy" else _percentile(self.counts)
        return min(self.largest, bins * self._end / HISTOGRAM_BINS)


def _percentile(counts: NDArray[np.int64]) -> int:
    """How many bins hold all but the largest 0.01 % of the values."""
    return int(np.searchsorted(np.cumsum(counts), KEPT_SHARE * counts.sum())) + 1


def _least_loss(counts: NDArray[np.int64]) -> int:
    """The number of bins after which to cut, so that INT8 tells most about the distribution."""
    last = int(np.flatnonzero(counts)[-1]) + 1
    if last <= INT8_LEVELS:
        return last
    tried = np.unique(np.linspace(INT8_LEVELS, last, RANGES_TRIED).astype(int))
    return int(tried[np.argmin([_divergence(counts[:last].astype(np.float64), int(cut)) for cut in tried])])


def _divergence(counts: NDArray[np.float64], cut: int) -> float:
    """Kullback-Leibler divergence between what was seen and what INT8 can tell of it with the range cut there."""
    seen = counts[:cut].copy()
    seen[-1] += counts[cut:].sum()
    starts = np.arange(INT8_LEVELS) * cut // INT8_LEVELS
    filled = counts[:cut] > 0
    bins = np.add.reduceat(filled.astype(np.float64), starts)
    sums = np.add.reduceat(counts[:cut], starts)
    widths = np.diff(np.append(starts, cut))
    told = np.repeat(sums / np.maximum(bins, 1), widths) * filled
    p, q = seen / seen.sum(), told / max(told.sum(), 1.0)
    some = p > 0
    return float((p[some] * np.log(p[some] / np.maximum(q[some], 1e-12))).sum())


def ranges(spreads: Mapping[str, ValueSpread], method: str) -> dict[str, float]:
    """The range of every tensor by one method."""
    return {tensor: spread.range(method) for tensor, spread in spreads.items()}


def spreads(watched: Iterable[Mapping[str, NDArray[np.float32]]]) -> dict[str, ValueSpread]:
    """Histograms of all tensors over all pictures; `watched` gives tensor -> values, picture by picture."""
    found: dict[str, ValueSpread] = {}
    for tensors in watched:
        for name, values in tensors.items():
            found.setdefault(name, ValueSpread()).add(values)
    return found
