"""Depthwise convolutions that learn quickly on a CPU in half precision."""

from __future__ import annotations

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn


class Depthwise(nn.Conv2d):
    """A depthwise convolution that leaves autocast while it learns on a CPU; else it is `nn.Conv2d`."""

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and input.device.type == "cpu" and torch.is_autocast_enabled("cpu")):
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float()).to(input.dtype)


class DepthwiseSame(Depthwise, Conv2dSame):
    """The same with TensorFlow's padding."""


def quick_depthwise(network: nn.Module) -> None:
    """Let depthwise convolutions with a stride, or with 5x5 weights and more, learn in float32 on a CPU.

    oneDNN has no quick backward pass for these in bfloat16: in float32 it takes a third to a tenth of the time, is the
    more exact one, and a training step of SMART-CA takes three tenths less. Weights, their names and what is computed
    without autocast stay as they are.
    """
    for parent in network.modules():
        for name, part in parent.named_children():
            if type(part) in (nn.Conv2d, Conv2dSame) and _slow(part):  # type: ignore[arg-type]
                setattr(parent, name, _quick(part))  # type: ignore[arg-type]


def _slow(part: nn.Conv2d) -> bool:
    return part.groups == part.in_channels > 1 and (max(part.stride) > 1 or max(part.kernel_size) > 3)


def _quick(old: nn.Conv2d) -> Depthwise:
    """`old` with its own weights as a convolution of the quick kind."""
    kind = DepthwiseSame if isinstance(old, Conv2dSame) else Depthwise
    new = kind(
        old.in_channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        old.dilation,  # type: ignore[arg-type]
        old.groups,
        old.bias is not None,
    )
    new.weight, new.bias = old.weight, old.bias
    return new.train(old.training)
