"""Is this a picture of the kind that was learnt from? Mahalanobis' distance in the frozen encoder's features.

Lee, Lee, Lee, Shin 2018 (NeurIPS): what a network was not trained on lies far from its training features, measured by
their own covariance. Here with one centre, and the pooled maps of all four stages: texture counts as much as content.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SHRINKAGE = 0.02  # of the mean variance, added to the covariance: a channel that never varied must not decide alone


def pooled(maps: list[Tensor]) -> Tensor:
    """Maps (N, C_k, H_k, W_k) of all stages -> their spatial means (N, sum of C_k), float32."""
    return torch.cat([stage.float().mean((2, 3)) for stage in maps], 1)


class Familiarity(nn.Module):
    """Features (N, width) -> strangeness (N,): Mahalanobis' distance over sqrt(width), about 1 for what was learnt.

    `observe` gathers the training pictures' sums as they pass; nothing is strange (0) before `settle`.
    """

    count: Tensor
    total: Tensor
    outer: Tensor
    centre: Tensor
    whiten: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("total", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("outer", torch.zeros(width, width, dtype=torch.float64))
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("whiten", torch.zeros(width, width))

    @torch.no_grad()
    def observe(self, features: Tensor) -> None:
        """Add a batch of training features (N, width) to the sums."""
        features = features.double()
        self.count += len(features)
        self.total += features.sum(0)
        self.outer += features.T @ features

    @torch.no_grad()
    def settle(self) -> None:
        """Centre and whitening from the sums so far; does nothing before there are any."""
        if self.count < 2:
            return
        width = len(self.total)
        centre = self.total / self.count
        covariance = self.outer / self.count - centre.outer(centre)
        covariance += (
            SHRINKAGE * covariance.diagonal().mean() * torch.eye(width, dtype=torch.float64, device=centre.device)
        )
        values, vectors = torch.linalg.eigh(covariance)
        self.centre.copy_(centre)
        self.whiten.copy_(vectors / values.clamp(min=1e-12).sqrt() / width**0.5)

    def forward(self, features: Tensor) -> Tensor:
        return ((features - self.centre) @ self.whiten).square().sum(1).sqrt()
