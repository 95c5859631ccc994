from __future__ import annotations

import pytest
import torch
from smartca.train.familiar import Familiarity, pooled


def features(count: int, shift: float = 0.0) -> torch.Tensor:
    """Correlated features around (2, 2, ...), moved by `shift` along the direction that varies least."""
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(count, 6, generator=generator) * torch.tensor([3.0, 1, 1, 1, 1, 0.2])
    return base + 2 + shift * torch.tensor([0.0, 0, 0, 0, 0, 1])


def test_what_was_learnt_is_about_one_away_and_the_strange_far() -> None:
    familiar = Familiarity(6)
    for part in features(4000).split(16):
        familiar.observe(part)
    familiar.settle()
    near, far = familiar(features(500)), familiar(features(500, 5.0))
    assert near.square().mean().sqrt().item() == pytest.approx(1.0, abs=0.12)
    assert far.min() > 2 * near.max()


def test_nothing_is_strange_before_it_has_settled() -> None:
    familiar = Familiarity(6)
    familiar.settle()
    assert familiar(features(5)).eq(0).all()
    familiar.observe(features(100))
    assert familiar(features(5)).eq(0).all()


def test_a_feature_that_never_varies_leaves_it_finite() -> None:
    familiar = Familiarity(6)
    still = features(200)
    still[:, 2] = 1.0
    familiar.observe(still)
    familiar.settle()
    assert familiar(still).isfinite().all()


def test_pooling_takes_every_stage() -> None:
    maps = [torch.full((2, 3, 8, 8), 1.0), torch.full((2, 5, 4, 4), 2.0)]
    assert pooled(maps).tolist() == [[1.0] * 3 + [2.0] * 5] * 2
