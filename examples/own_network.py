"""A network and a loss of your own: trained, exported, run. Prints the model's path and what it outlines.

    python examples/own_network.py

A few steps on a handful of simulated shoulders show the way, and teach nothing yet; needs smartca[train]. A network
takes grey (N, 1, H, W) in 0..1 and gives logits (N, 1, H, W); a loss takes logits and masks in {0, 1} of that shape.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import smartca
from smartca.plugins import register
from smartca.train.session import export, segment
from torch import Tensor, nn


def small_network(pretrained: bool) -> nn.Module:
    """Two convolutions; there are no weights to start from."""
    return nn.Sequential(nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 1, 5, padding=2))


def squared_error() -> nn.Module:
    """Brier's score, pixel by pixel."""

    class Brier(nn.Module):
        def forward(self, logits: Tensor, target: Tensor) -> Tensor:
            return (logits.sigmoid() - target).square().mean()

    return Brier()


def main() -> None:
    """Train for four steps and use what came out."""
    register("smartca.networks", "two-layers", small_network)
    register("smartca.losses", "brier", squared_error)
    few: dict[str, Any] = {"seeds": 2, "validation_seeds": 3, "frames": 2, "batch": 2, "steps": 4, "size": 64}
    with TemporaryDirectory() as folder:
        best = segment(out=Path(folder), network="two-layers", loss="brier", cache=Path(folder), **few)
        model = Path(folder) / "two-layers.onnx"
        difference = export(checkpoint=best, out=model)
        print(f"{model.name} answers as {best.name} does, to {difference:.0e}")
        with smartca.open_source("phantom:frames=1") as source, smartca.open_segmenter(model) as outline:
            found = outline(next(source.pictures()).pixels)
        print(f"{found.area} pixels outlined, by {outline.runner.info.backend}")


if __name__ == "__main__":
    main()
