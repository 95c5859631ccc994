from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from smartca.train.losses import RunningIplf, iplf, iplf_region, log_mean, positive_domain


def reference(x: NDArray[np.float64], y: NDArray[np.float64], gamma: float, beta: float, eps: float) -> float:
    """The formula, written out in plain numpy and float64."""
    p = 1 / (1 + np.exp(-x))
    wrong = (y * np.log1p(np.exp(-x))).sum() + beta * ((1 - y) * p**gamma * np.log1p(np.exp(x))).sum()
    return float(wrong / (y.sum() + ((1 - y) * p).sum() + eps))


@pytest.mark.parametrize(("gamma", "beta", "eps"), [(2.0, 1.0, 1.0), (1.0, 0.5, 1.0), (3.0, 2.0, 0.1)])
def test_matches_the_formula_in_plain_numpy(gamma: float, beta: float, eps: float) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 3, (2, 1, 8, 8)), (rng.random((2, 1, 8, 8)) < 0.2).astype(float)
    found = iplf(torch.from_numpy(x), torch.from_numpy(y), gamma, beta, eps)
    assert found.item() == pytest.approx(reference(x, y, gamma, beta, eps), rel=1e-5)


def test_one_pixel_of_each_kind_by_hand() -> None:
    # x = 0: p = 1/2, softplus = ln 2; positive ln 2, negative ln 2 / 4; domain 1 + 1/2, eps 1
    found = iplf(torch.zeros(2), torch.tensor([1.0, 0.0]))
    assert found.item() == pytest.approx(1.25 * math.log(2) / 2.5, rel=1e-6)


def test_a_batch_without_tears_is_finite_and_nearly_nothing() -> None:
    logits = torch.full((4, 1, 16, 16), -6.0, requires_grad=True)
    loss = iplf(logits, torch.zeros_like(logits))
    loss.backward()
    assert 0 <= loss.item() < 1e-4
    assert logits.grad is not None and torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("x", [-8.0, -4.0, -1.0, 0.0, 3.0])
def test_every_negative_pixel_is_pushed_down_and_every_positive_up(x: float) -> None:
    logits = torch.full((2,), x, requires_grad=True)
    iplf(logits, torch.tensor([0.0, 1.0])).backward()
    assert logits.grad is not None
    assert logits.grad[0] > 0 > logits.grad[1]


def test_half_precision_logits_are_summed_in_float32() -> None:
    logits = torch.full((1, 1, 512, 512), 6.0, dtype=torch.float16)
    target = torch.zeros(1, 1, 512, 512, dtype=torch.float16)
    found = iplf(logits, target)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(iplf(logits.float(), target.float()).item())


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([1e4, -1e4, 1e4, -1e4], requires_grad=True)
    loss = iplf(logits, torch.tensor([1.0, 1.0, 0.0, 0.0]))
    loss.backward()
    assert torch.isfinite(loss) and logits.grad is not None and torch.isfinite(logits.grad).all()


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        iplf(torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4))


def test_logarithmic_mean_and_its_series_agree_where_they_meet() -> None:
    a = torch.linspace(0.8, 1.25, 91, dtype=torch.float64)
    exact = torch.where(a == 1, torch.ones_like(a), (a - 1) / torch.log(torch.where(a == 1, a + 1, a)))
    found = log_mean(a, torch.ones_like(a))
    assert torch.allclose(found, exact, rtol=1e-7)


def test_region_form_is_nothing_where_all_is_right_and_has_a_gradient() -> None:
    target = torch.zeros(1, 1, 16, 16)
    target[..., 4:9, 4:9] = 1
    right = (target * 2 - 1) * 20
    assert iplf_region(right, target).item() == pytest.approx(0, abs=1e-4)
    logits = torch.zeros_like(target, requires_grad=True)
    iplf_region(logits, target).backward()
    assert logits.grad is not None and (logits.grad[target > 0] < 0).all()
    assert iplf_region(-right, target).item() > 1


def test_running_normaliser_follows_the_batches() -> None:
    loss = RunningIplf(momentum=0.5)
    few, many = torch.zeros(64), torch.zeros(64)
    few[:4], many[:32] = 1, 1
    logits = torch.full((64,), -20.0)
    loss(logits, few)
    assert loss.size.item() == pytest.approx(4, abs=1e-3)
    loss(logits, many)
    assert loss.size.item() == pytest.approx(18, abs=1e-3)
    assert positive_domain(logits, many).item() == pytest.approx(32, abs=1e-3)
