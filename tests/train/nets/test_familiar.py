from __future__ import annotations

import pytest
import torch
from smartca.train.nets.familiar import Familiarity, pooled


def features(count: int, shift: float = 0.0) -> torch.Tensor:
    """Correlated features around (2, 2, ...), moved by `shift` along the direction that varies least."""
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(count, 6, generator=generator) * torch.tensor([3.0, 1, 1, 1, 1, 0.2])
    return base + 2 + shift * torch.tensor([0.0, 0, 0, 0, 0, 1])


def maps(vectors: torch.Tensor) -> list[torch.Tensor]:
    """Maps of two stages, 2 and 4 channels, whose means are the features; noise around them averages out."""
    generator = torch.Generator().manual_seed(1)
    stages = []
    for part in vectors.split((2, 4), 1):
        noise = torch.randn(*part.shape, 8, 8, generator=generator)
        stages.append(part[:, :, None, None] + noise - noise.mean((2, 3), keepdim=True))
    return stages


def familiar_with(vectors: torch.Tensor) -> Familiarity:
    """One that has learnt these features."""
    familiar = Familiarity((2, 4))
    familiar.settle(vectors)
    return familiar


def test_what_was_learnt_is_about_one_away_and_the_strange_far() -> None:
    familiar = familiar_with(features(4000))
    near, far = familiar(maps(features(500))), familiar(maps(features(500, 5.0)))
    assert near.square().mean().sqrt().item() == pytest.approx(1.0, abs=0.12)
    assert far.min() > 2 * near.max()


def test_bfloat16_hardly_changes_it() -> None:
    moved = features(4000) + 100  # means that bfloat16 knows to one part in 256 only
    familiar, shown = familiar_with(moved), maps(moved[:200])
    exact = familiar(shown)
    half = familiar.to(torch.bfloat16)([stage.to(torch.bfloat16) for stage in shown])
    assert (half.float() - exact).abs().max() < 0.35 * exact.mean()


def test_nothing_is_strange_before_it_has_settled() -> None:
    familiar = Familiarity((2, 4))
    assert not familiar.settled and familiar(maps(features(5))).eq(0).all()
    with pytest.raises(ValueError, match="two pictures"):
        familiar.settle(features(1))


def test_a_feature_that_never_varies_leaves_it_finite() -> None:
    still = features(200)
    still[:, 2] = 1.0
    assert familiar_with(still)(maps(still)).isfinite().all()


def test_pooling_takes_every_stage() -> None:
    pair = [torch.full((2, 3, 8, 8), 1.0), torch.full((2, 5, 4, 4), 2.0)]
    assert pooled(pair).tolist() == [[1.0] * 3 + [2.0] * 5] * 2
