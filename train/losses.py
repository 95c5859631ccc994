"""IPLF, the integrated-on-positive loss, in our reading, and its region form.

Lee et al. (Sensors 2021;21(6):2214) name the loss; its formula was not available to us. This is our reading
of the name and the abstract: cross-entropy integrated over the soft positive domain and normalised by its
size. It is close to an asymmetric focal loss with positive-domain normalisation. We claim neither novelty nor
equality with the authors' loss.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError


def _checked(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float32 (sums over a batch overflow float16); ValueError where their shapes differ."""
    if logits.shape != target.shape:
        raise InputError(f"logits are {tuple(logits.shape)} but the target is {tuple(target.shape)}; give one shape")
    return logits.float(), target.float()


def positive_domain(logits: Tensor, target: Tensor) -> Tensor:
    """Size in pixels of the soft positive domain: sum y + sum (1-y) p, without gradient."""
    x, y = _checked(logits.detach(), target)
    return (y + (1 - y) * torch.sigmoid(x)).sum()


def iplf(
    logits: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    beta: float = 1.0,
    eps: float = 1.0,
    normaliser: Tensor | float | None = None,
) -> Tensor:
    """Scalar loss of logits x and masks y in {0, 1}, both of one shape; sums run over the whole batch, in
    float32.

        L = [ sum y*sp(-x) + beta * sum (1-y) * p^gamma * sp(x) ] / ( stop_gradient[ sum y + sum (1-y)*p ] +
        eps )

    True negatives drop out. The denominator must carry no gradient, or false positives at small p are
    rewarded. `normaliser` (pixels) stands in for the batch's own denominator, e.g. a running mean over
    batches.
    """
    x, y = _checked(logits, target)
    wrong = (y * F.softplus(-x)).sum() + beta * ((1 - y) * torch.sigmoid(x).pow(gamma) * F.softplus(x)).sum()
    size = positive_domain(x, y) if normaliser is None else normaliser
    return wrong / (size + eps)


def log_mean(a: Tensor, b: Tensor) -> Tensor:
    """Logarithmic mean of two positive sizes: m*r/atanh(r), m = (a+b)/2, r = (a-b)/(a+b); a series near r =
    0.
    """
    mean = (a + b) / 2
    r = (a - b) / (a + b)
    near = r.abs() < 0.05
    safe = torch.where(near, torch.full_like(r, 0.5), r.clamp(-1 + 1e-6, 1 - 1e-6))
    series = 1 - r**2 / 3 - 4 * r**4 / 45
    return mean * torch.where(near, series, safe / torch.atanh(safe))


def iplf_region(logits: Tensor, target: Tensor, gamma: float = 2.0, beta: float = 1.0, eps: float = 1.0) -> Tensor:
    """(L + B) / 2 with B = 1 - TP / Lm(P', P): Tversky's index integrated over its weight from 0 to 1."""
    x, y = _checked(logits, target)
    p = torch.sigmoid(x)
    overlap = 1 - ((p * y).sum() + eps) / (log_mean(p.sum() + eps, y.sum() + eps))
    return (iplf(x, y, gamma, beta, eps) + overlap) / 2


class RunningIplf(nn.Module):
    """IPLF normalised by a running mean over batches of the positive domain's size.

    A batch's own normaliser biases q where batches are small or lack positives; its running mean does so
    less. The mean is a buffer: it is stored with a checkpoint, and starts at the first batch's value.
    """

    size: Tensor

    def __init__(self, momentum: float = 0.05, gamma: float = 2.0, beta: float = 1.0) -> None:
        super().__init__()
        self.momentum, self.gamma, self.beta = momentum, gamma, beta
        self.register_buffer("size", torch.tensor(-1.0))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        now = positive_domain(logits, target)
        if self.size < 0:
            self.size.copy_(now)
        self.size.lerp_(now, self.momentum)
        return iplf(logits, target, self.gamma, self.beta, normaliser=self.size)
