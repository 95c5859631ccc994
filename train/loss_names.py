"""Losses by name: ours (IPLF) and those it is compared with, from libraries where they exist; and plugins' losses.

Every loss is called `loss(logits, target)` with two tensors (N, 1, H, W), logits of any floating type and masks in
{0, 1}, and gives a scalar computed in float32: sums over a batch overflow float16.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import plugins
from ..errors import InputError, RunError
from .losses import RunningIplf, iplf, iplf_region
from .nets.network import confidence_logit

PLUGINS: plugins.Group = "smartca.losses"
Formula = Callable[[Tensor, Tensor], Tensor]


class Float32(nn.Module):
    """A loss whose inputs are checked for one shape (ValueError) and made float32 first, autocast or not."""

    def __init__(self, formula: Formula) -> None:
        super().__init__()
        self.formula = formula

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        if logits.shape != target.shape:
            raise InputError(
                f"logits are {tuple(logits.shape)} but the target is {tuple(target.shape)}; give one shape"
            )
        with torch.autocast(logits.device.type, enabled=False):
            return self.formula(logits.float(), target.float())


def balanced_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Tear and the rest weigh one half each, whatever their sizes (after Xie and Tu 2015, eq. 2, per batch)."""
    wrong = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    tear = (target * wrong).sum() / target.sum().clamp(min=1.0)
    rest = ((1 - target) * wrong).sum() / (1 - target).sum().clamp(min=1.0)
    return (tear + rest) / 2


def _smp(name: str, **settings: float) -> Formula:
    """A loss of segmentation-models-pytorch; its sums run over the whole batch."""
    return getattr(_library("segmentation_models_pytorch.losses"), name)("binary", from_logits=True, **settings)


def _ce_dice() -> Formula:
    """Their sum, as nnU-Net has it (Isensee et al. 2021)."""
    dice = _smp("DiceLoss", smooth=1.0)
    return lambda logits, target: F.binary_cross_entropy_with_logits(logits, target) + dice(logits, target)


def _focal_tversky() -> Formula:
    """(1 - TI)^(3/4) (Abraham and Khan 2019, gamma 4/3). The root's slope is infinite at 0, so it ends at 1e-6."""
    tversky = _smp("TverskyLoss", alpha=0.3, beta=0.7, smooth=1.0)
    return lambda logits, target: tversky(logits, target).clamp(min=1e-6).pow(0.75)


def _unified_focal() -> Formula:
    """Asymmetric unified focal loss (Yeung et al. 2022) as MONAI has it, with its defaults.

    MONAI's takes probabilities, whatever its docstring says. It clamps them at 1e-7, where 1 - Dice rounds to 0 in
    float32 and the slope of its root is NaN; 1e-5 keeps it finite.
    """
    unified = _library("monai.losses").AsymmetricUnifiedFocalLoss()
    return lambda logits, target: unified(torch.sigmoid(logits).clamp(1e-5, 1 - 1e-5), target)


# Alpha weighs false positives and beta misses; Tversky's are those of Salehi et al. 2017, focal's of Lin et al. 2017.
# One pixel of smoothing keeps the region losses in use on batches that hold only a few tear pixels.
MADE: dict[str, Callable[[], nn.Module]] = {
    "iplf": RunningIplf,
    "iplf-batch": lambda: Float32(iplf),
    "iplf-region": lambda: Float32(iplf_region),
    "ce": lambda: Float32(F.binary_cross_entropy_with_logits),
    "weighted-ce": lambda: Float32(balanced_cross_entropy),
    "dice": lambda: Float32(_smp("DiceLoss", smooth=1.0)),
    "ce-dice": lambda: Float32(_ce_dice()),
    "focal": lambda: Float32(_smp("FocalLoss", alpha=0.25, gamma=2.0)),
    "tversky": lambda: Float32(_smp("TverskyLoss", alpha=0.3, beta=0.7, smooth=1.0)),
    "focal-tversky": lambda: Float32(_focal_tversky()),
    "unified-focal": lambda: Float32(_unified_focal()),
}
LOSS_NAMES: tuple[str, ...] = tuple(MADE)


def loss(name: str) -> nn.Module:
    """The loss called `name`: one of `LOSS_NAMES`, or an installed plugin's, whose `loss(logits, target)` gets float32.

    Raises ValueError for another, RuntimeError without its library or where a plugin fails.
    """
    if name in MADE:
        return MADE[name]()
    formula: Any = plugins.make(PLUGINS, name)
    if formula is None:
        raise InputError(f"'{name}' is no loss; choose {', '.join(LOSS_NAMES)}; {plugins.told(PLUGINS)}")
    if not callable(formula):
        raise RunError(f"the plugin {name!r} gave a {type(formula).__name__}, which cannot be called as a loss")
    return Float32(cast(Formula, formula))


def posterior(name: str) -> Callable[[Tensor], Tensor]:
    """What turns a network's logits, learnt with the loss `name`, into the logit of the confidence that is shown.

    For IPLF it is `confidence_logit`; the others' logits are taken as they are, in float32. Only cross-entropy's are
    then those of a posterior before calibration. Raises ValueError for an unknown name.
    """
    if name not in MADE and plugins.maker_of(PLUGINS, name) is None:
        raise InputError(f"'{name}' is no loss; choose {', '.join(LOSS_NAMES)}; {plugins.told(PLUGINS)}")
    return confidence_logit if name in MADE and name.startswith("iplf") else torch.Tensor.float


def _library(name: str) -> Any:
    """A module of the extra `train`, imported only when one of its losses is asked for: MONAI takes seconds."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RunError(f"{name} is missing; install it with `pip install smartca[train]`") from error
