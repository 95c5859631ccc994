"""The training log as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .fit import Row


def plot(rows: Sequence[Row], path: Path) -> None:
    """Loss and validation scores by epoch, as PNG; nothing where there is no row."""
    if not rows:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    left.plot(epochs, [row["loss"] for row in rows], ".-")
    left.set(xlabel="epoch", ylabel="IPLF of the epoch's last batch", ylim=(0, None))
    for name in ("dice", "precision", "recall"):
        right.plot(epochs, [row[name] for row in rows], ".-", label=name)
    right.set(xlabel="epoch", ylabel="validation, pooled over pixels", ylim=(0, 1))
    right.legend()
    figure.savefig(path, dpi=120)
