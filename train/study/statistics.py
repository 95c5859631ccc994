"""Is a difference between two rows of the table one? Paired tests over test pictures and seeds, numpy and scipy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from .cells import CellResult

DRAWS = 2000
EXACT = 50  # pictures; with more, or with ties, Wilcoxon's p is that of the normal distribution
_Floats = NDArray[np.float64]


class Difference(NamedTuple):
    """Of a row to the reference: pooled Dice, its 95 % interval, and Wilcoxon's p before and after Holm."""

    dice: float
    low: float
    high: float
    p: float
    p_holm: float


def counts(results: Sequence[CellResult], level: str) -> _Floats:
    """TP, FP and FN of one row's cells, (seeds, pictures, 3)."""
    return np.array([result.levels[level].counts for result in results], np.float64)


def pooled_dice(summed: _Floats) -> _Floats:
    """2 TP / (2 TP + FP + FN) of sums (..., 3); 0 where there is nothing at all."""
    tp, fp, fn = np.moveaxis(summed, -1, 0)
    return 2 * tp / np.maximum(2 * tp + fp + fn, 1e-9)


def dice_by_picture(each: _Floats) -> _Floats:
    """Dice of every picture that holds something to find, its mean over seeds: (seeds, pictures, 3) -> (torn,)."""
    torn = each[0, :, 0] + each[0, :, 2] > 0
    return pooled_dice(each[:, torn]).mean(0)


def paired_p(ours: _Floats, theirs: _Floats) -> float:
    """Wilcoxon's signed-rank test, two-sided, of two rows' Dice by picture; 1 where no picture differs."""
    if np.allclose(ours, theirs):
        return 1.0
    apart = np.abs(ours - theirs)
    exact = len(np.unique(apart)) == len(apart) <= EXACT and apart.min() > 0
    # "auto" would run through every permutation where a few pictures tie
    _, p = wilcoxon(ours, theirs, method="exact" if exact else "approx")
    return float(p)  # type: ignore[arg-type]


def holm(p: Sequence[float]) -> list[float]:
    """p corrected for as many comparisons as there are (Holm 1979), in the order given."""
    order = np.argsort(p)
    scaled = np.asarray(p)[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return corrected.tolist()


def interval(ours: _Floats, theirs: _Floats, seed: int = 0) -> tuple[float, float]:
    """95 % of the difference of pooled Dice, when pictures and seeds are drawn again with replacement, in pairs.

    Both are counts (seeds, pictures, 3) of the same pictures and seeds. With few seeds it is rather too narrow.
    """
    rng = np.random.default_rng(seed)
    seeds, pictures = ours.shape[:2]
    by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), DRAWS)
    by_picture = rng.multinomial(pictures, np.full(pictures, 1 / pictures), DRAWS)
    drawn = [
        pooled_dice(np.einsum("ds,spc,dp->dc", by_seed, each, by_picture, optimize=True)) for each in (ours, theirs)
    ]
    low, high = np.percentile(drawn[0] - drawn[1], [2.5, 97.5])
    return float(low), float(high)


def compare(rows: dict[str, list[CellResult]], reference: str, level: str) -> dict[str, Difference]:
    """Every other row against the reference, on one data set at one level, over the seeds that both have."""
    found: dict[str, tuple[float, float, float, float]] = {}
    base = {result.cell.seed: result for result in rows.get(reference, [])}
    for label, results in rows.items():
        shared = [result for result in results if result.cell.seed in base]
        if label == reference or not shared:
            continue
        ours, theirs = counts(shared, level), counts([base[result.cell.seed] for result in shared], level)
        means = [float(pooled_dice(each.sum(1)).mean()) for each in (ours, theirs)]
        p = paired_p(dice_by_picture(ours), dice_by_picture(theirs))
        found[label] = (means[0] - means[1], *interval(ours, theirs), p)
    corrected = holm([each[3] for each in found.values()])
    return {label: Difference(*each, p) for (label, each), p in zip(found.items(), corrected, strict=True)}
