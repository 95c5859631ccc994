"""The training log as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .logs import Row

NOT_SCORES = {"epoch", "step", "loss", "logit"}


def plot_curves(rows: Sequence[Row], path: Path) -> None:
    """Loss (each epoch's mean) and validation scores by epoch, as PNG; nothing where there is no row."""
    if not rows:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    left.plot(epochs, [row["loss"] for row in rows], ".-")
    left.set(xlabel="epoch", ylabel="training loss, mean of the epoch", ylim=(0, None))
    for name in (name for name in rows[0] if name not in NOT_SCORES):
        right.plot(epochs, [row[name] for row in rows], ".-", label=name)
    right.set(xlabel="epoch", ylabel="validation", ylim=(0, 1))
    right.legend()
    figure.savefig(path, dpi=120)
