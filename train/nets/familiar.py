"""Is this a picture of the kind that was learnt from? Mahalanobis' distance in the frozen encoder's features.

Lee, Lee, Lee, Shin 2018 (NeurIPS): what a network was not trained on lies far from its training features, measured by
their own covariance. Here with one centre, and the means of all four stages' maps: texture counts as much as content.
It is fitted to training pictures as they come from a scanner: the strong augmentation that training needs would make
everything look usual.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...errors import InputError

MOST_LEFT_OUT = 24  # sources, one after the other
SHRINKAGE = 0.02  # of the mean variance, added to the covariance: a channel that never varied must not decide alone


def pooled(maps: list[Tensor]) -> Tensor:
    """Maps (N, C_k, H_k, W_k) of all stages -> their spatial means (N, sum of C_k), float32."""
    return torch.cat([stage.float().mean((2, 3)) for stage in maps], 1)


class Familiarity(nn.Module):
    """All stages' maps of N pictures -> strangeness (N,): Mahalanobis' distance over sqrt(width).

    About 1 for what was learnt; 0 for everything before `settle`.
    """

    centre: Tensor
    whiten: Tensor

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = channels
        width = sum(channels)
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("whiten", torch.zeros(width, width))

    @property
    def settled(self) -> bool:
        """Whether anything can be strange yet."""
        return bool(self.whiten.any())

    def forget(self) -> None:
        """Nothing can be strange until it is settled anew."""
        self.whiten.zero_()

    @torch.no_grad()
    def settle(self, features: Tensor) -> None:
        """Centre and whitening of training features (N, width). Raises ValueError for fewer than two."""
        if len(features) < 2:
            raise InputError("two pictures at least are needed to tell what is usual; give more training pictures")
        exact = features.double()
        covariance = torch.cov(exact.T, correction=0)
        covariance.diagonal().add_(SHRINKAGE * covariance.diagonal().mean())
        values, vectors = torch.linalg.eigh(covariance)
        self.centre.copy_(exact.mean(0))
        self.whiten.copy_(vectors / values.clamp(min=1e-12).sqrt() / exact.shape[1] ** 0.5)

    @torch.no_grad()
    def settle_apart(self, each: Sequence[Tensor], inside: float) -> None:
        """As `settle`, for several sources' features (N_k, width), so scaled that a source not known lies within 1.

        Each source in turn is left out, or MOST_LEFT_OUT of them; of what is left out the share `inside` is to be as
        near as 1. Raises ValueError for fewer than two sources.
        """
        if len(each) < 2:
            raise InputError("two patients or frames at least are needed to tell what is usual; give more frames")
        far: list[Tensor] = []
        for out in sorted({round(place) for place in torch.linspace(0, len(each) - 1, MOST_LEFT_OUT).tolist()}):
            self.settle(torch.cat([part for place, part in enumerate(each) if place != out]))
            far.append(self.distance(each[out]))
        self.settle(torch.cat(list(each)))
        self.whiten.div_(torch.quantile(torch.cat(far), inside).clamp(min=1e-6))

    def distance(self, features: Tensor) -> Tensor:
        """Features (N, width), as `pooled` gives them -> strangeness (N,)."""
        return ((features.float() - self.centre) @ self.whiten.float()).square().sum(1).sqrt()

    def forward(self, maps: list[Tensor]) -> Tensor:
        # the centre is taken off before pooling: in bfloat16 a mean is too coarse to be subtracted from
        centres = self.centre.split(self.channels)
        off = [(stage - c.view(1, -1, 1, 1)).mean((2, 3)) for stage, c in zip(maps, centres, strict=True)]
        return (torch.cat(off, 1).float() @ self.whiten.float()).square().sum(1).sqrt()
