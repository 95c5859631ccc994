from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from smartca.train.loss_names import LOSS_NAMES, loss, posterior
from smartca.train.nets.network import confidence_logit

# Four pixels by hand: masks y, probabilities p; TP = .8 + .4, FP = .2 + .1, FN = .2 + .6
Y, P = (1.0, 1.0, 0.0, 0.0), (0.8, 0.4, 0.2, 0.1)
CE = [-math.log(0.8), -math.log(0.4), -math.log(0.8), -math.log(0.9)]
DICE = 1 - (1.2 + 1) / (1.2 + 0.5 * 0.3 + 0.5 * 0.8 + 1)
TVERSKY = 1 - (1.2 + 1) / (1.2 + 0.3 * 0.3 + 0.7 * 0.8 + 1)
WRONG = (0.2, 0.6, 0.2, 0.1)  # 1 - the probability of the truth
FOCAL = sum(a * w**2 * c for a, w, c in zip((0.25, 0.25, 0.75, 0.75), WRONG, CE, strict=True)) / 4
IPLF = (CE[0] + CE[1] + 0.2**2 * CE[2] + 0.1**2 * CE[3]) / (2 + 0.3 + 1)


def unified_focal() -> float:
    """Yeung et al. 2022, asymmetric, weight .5, delta .7, gamma .5, over the two classes."""
    background = [0.3 * w**0.5 * c for w, c in zip(WRONG[2:], CE[2:], strict=True)]
    focal = (sum(background) + 0.7 * (CE[0] + CE[1])) / 8
    tear = 1.2 / (1.2 + 0.7 * 0.8 + 0.3 * 0.3)
    rest = 1.7 / (1.7 + 0.7 * 0.3 + 0.3 * 0.8)
    return 0.5 * focal + 0.5 * ((1 - rest) + (1 - tear) ** 0.5) / 2


def region() -> float:
    mean = (2.5 - 3.0) / math.log(2.5 / 3.0)  # sum p + 1 and sum y + 1
    return (IPLF + 1 - (1.2 + 1) / mean) / 2


BY_HAND = {
    "iplf": (CE[0] + CE[1] + 0.2**2 * CE[2] + 0.1**2 * CE[3]) / (2 + 0.3 + 1),  # the first batch's own size
    "iplf-batch": IPLF,
    "iplf-region": region(),
    "ce": sum(CE) / 4,
    "weighted-ce": ((CE[0] + CE[1]) / 2 + (CE[2] + CE[3]) / 2) / 2,
    "dice": DICE,
    "ce-dice": sum(CE) / 4 + DICE,
    "focal": FOCAL,
    "tversky": TVERSKY,
    "focal-tversky": TVERSKY**0.75,
    "unified-focal": unified_focal(),
}


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_four_pixels_by_hand(name: str) -> None:
    target = torch.tensor(Y).view(1, 1, 2, 2)
    logits = torch.logit(torch.tensor(P, dtype=torch.float64)).float().view(1, 1, 2, 2)
    found = loss(name)(logits, target)
    assert found.shape == () and found.dtype == torch.float32
    assert found.item() == pytest.approx(BY_HAND[name], rel=2e-5)


MASKS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "empty": torch.zeros_like,
    "all tear": torch.ones_like,
    "one pixel": lambda x: torch.zeros_like(x).index_fill_(3, torch.tensor([5]), 1.0).tril().triu(),
    "a part": lambda x: (torch.arange(x.numel()).view_as(x) % 7 < 2).float(),
}
LOGITS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "near 0": lambda y: torch.linspace(-1, 1, y.numel()).view_as(y),
    "all -80": lambda y: torch.full_like(y, -80.0),
    "all 80": lambda y: torch.full_like(y, 80.0),
    "right, 80": lambda y: (2 * y - 1) * 80,
    "wrong, 80": lambda y: (1 - 2 * y) * 80,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", LOSS_NAMES)
def test_loss_and_gradient_are_finite_whatever_comes(name: str, dtype: torch.dtype) -> None:
    for kind, mask in MASKS.items():
        target = mask(torch.zeros(2, 1, 16, 16))
        for how, made in LOGITS.items():
            logits = made(target).to(dtype).requires_grad_()
            found = loss(name)(logits, target)
            found.backward()
            assert found.dtype == torch.float32 and torch.isfinite(found), (kind, how)
            assert found.item() > -1e-6, (kind, how)
            assert logits.grad is not None and torch.isfinite(logits.grad).all(), (kind, how)


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_half_precision_is_computed_in_float32_under_autocast_too(name: str) -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 1, 128, 128).half()
    target = (torch.rand(2, 1, 128, 128) < 0.1).float()
    plain = loss(name)(logits.float(), target)
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(name)(logits, target.half())
    assert found.item() == pytest.approx(plain.item(), rel=1e-6)


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_going_down_turns_logits_into_the_mask(name: str) -> None:
    target = torch.zeros(2, 1, 8, 8)
    target[0, :, 2:5, 3:7] = 1
    logits = torch.zeros_like(target, requires_grad=True)
    wrong, optimiser = loss(name), torch.optim.Adam([logits], 0.2)
    for _ in range(60):
        optimiser.zero_grad()
        wrong(logits, target).backward()
        optimiser.step()
    assert torch.equal(logits > 0, target > 0)


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_shapes_that_differ_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="one shape"):
        loss(name)(torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4))


def test_an_unknown_name_is_refused_with_the_list() -> None:
    for made in (loss, posterior):
        with pytest.raises(ValueError, match=r"choose iplf, .*unified-focal"):
            made("hinge")


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_the_shown_confidence_fits_the_loss(name: str) -> None:
    logits = torch.linspace(-5, 5, 11).half()
    expected = confidence_logit(logits) if name.startswith("iplf") else logits.float()
    found = posterior(name)(logits)
    assert torch.equal(found, expected) and found.dtype == torch.float32
