"""From the network's q to a probability: Platt's fit in the logit domain, and a diagram of how well it holds.

Platt (1999): logit(q_fitted) = slope * logit(q) + intercept, by maximum likelihood on frames held out of
training. The loss's batch normaliser shifts q, so until this fit q is only 'q before calibration'.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ..errors import InputError, MissingPackage
from ..files import write_whole
from ..scores.histograms import EDGES, Histograms
from ..scores.reliability import BINS, LEAST, REACH_SHARE, Reliability


class Platt(NamedTuple):
    """logit(q_fitted) = slope * logit(q) + intercept."""

    slope: float
    intercept: float


def centres() -> NDArray[np.float64]:
    """logit(q) in the middle of each bin of the histograms."""
    return (EDGES[:-1] + EDGES[1:]) / 2


def fit_platt(counted: Histograms) -> Platt:
    """Slope (above 0) and intercept of greatest likelihood for the pixels counted.

    Pixels in the lowest bin are left out: it gathers all that the network is sure of, and would steer the
    fit. Raises ValueError where there are no tear pixels or nothing but tear.
    """
    x, tear, other = centres()[1:], counted.tear[1:].astype(float), counted.other[1:].astype(float)
    if tear.sum() == 0 or other.sum() == 0:
        raise InputError("calibration needs pixels with and without a tear; give frames of both kinds")
    total = tear.sum() + other.sum()

    def cost(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slope = np.exp(parameters[0])
        z = slope * x + parameters[1]
        p = 1 / (1 + np.exp(-z))
        value = tear @ np.logaddexp(0, -z) + other @ np.logaddexp(0, z)
        by_z = other * p - tear * (1 - p)
        return value / total, np.array([by_z @ x * slope, by_z.sum()]) / total

    found = minimize(cost, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-3, 3), (-15, 15)])
    return Platt(float(np.exp(found.x[0])), float(found.x[1]))


def reliability_of(counted: Histograms, platt: Platt, near: Histograms | None = None) -> Reliability:
    """How often pixels of a given fitted confidence are tear, where that is a question: see scores.reliability.

    Of all pixels `counted` those of a fitted confidence of 0.05 or more; of the others only what is in `near`,
    the part of them that `reliability.near` picks out (none where it is not given). Bins without pixels are
    left out.
    """
    q = 1 / (1 + np.exp(-(platt.slope * centres() + platt.intercept)))
    place = np.minimum((q * BINS).astype(int), BINS - 1)
    rest = near or Histograms()
    tear = np.where(q >= LEAST, counted.tear, rest.tear)
    both = tear + np.where(q >= LEAST, counted.other, rest.other)
    pixels = np.bincount(place, both, BINS)
    seen = pixels > 0
    confidence = np.bincount(place, both * q, BINS)[seen] / pixels[seen]
    share = np.bincount(place, tear, BINS)[seen] / pixels[seen]
    return Reliability(confidence, share, pixels[seen].astype(np.int64))


def plot_reliability(counted: Histograms, platt: Platt, path: Path, near: Histograms | None = None) -> None:
    """The reliability diagram as PNG, and over which pixels it is (see `reliability`).

    Raises ImportError where matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackage("the diagram needs matplotlib; install it with `pip install smartca[train]`") from error
    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], "--", color="grey")
    for name, shown in (("before the fit", Platt(1.0, 0.0)), ("fitted", platt)):
        found = reliability_of(counted, shown, near)
        label = f"{name}: expected error {found.expected_error:.4f}, {found.pixels.sum():,} pixels"
        axes.plot(found.confidence, found.share, "o-", label=label)
    axes.set(xlabel="confidence q", ylabel="share of tear pixels", xlim=(0, 1), ylim=(0, 1))
    beside = f"\nor with a tear within {REACH_SHARE:.0%} of the picture's height" if near else ""
    axes.set_title(f"over pixels with q of {LEAST} or more{beside}", fontsize="small")
    figure.legend(loc="outside lower center", fontsize="small")  # inside it would lie on the curves
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=120)
    write_whole(path, drawn.getvalue())
