"""SegNet: VGG-16's convolutions, then their mirror, which puts every value back where its maximum stood.

Badrinarayanan, Kendall, Cipolla, IEEE TPAMI 2017;39(12):2481. None of the libraries used here has it. The published one
starts at 64 channels; this one starts at 16, so that a CPU can train it, and is else the same.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

DEPTHS = (2, 2, 3, 3, 3)  # convolutions per stage of VGG-16
GROWTH = (1, 2, 4, 8, 8)  # channels per stage, in widths


def convolution_block(*channels: int) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU from each number of channels to the next."""
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class SegNet(nn.Module):
    """Picture (N, 3, H, W) -> logits (N, 1, H, W); H and W multiples of 32. `width` is the first stage's channels."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        widths = [width * n for n in GROWTH]
        before = [3, *widths[:-1]]
        self.down = nn.ModuleList(
            convolution_block(first, *[n] * depth) for first, n, depth in zip(before, widths, DEPTHS, strict=True)
        )
        after = [widths[0], *widths[:-1]]  # channels that a stage hands up
        self.up = nn.ModuleList(
            convolution_block(*[n] * depth, last) for n, last, depth in zip(widths, after, DEPTHS, strict=True)
        )
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.unpool = nn.MaxUnpool2d(2)
        self.head = nn.Conv2d(widths[0], 1, 3, padding=1)

    def forward(self, picture: Tensor) -> Tensor:
        x, places = picture, []
        for down in self.down:
            x, place = self.pool(down(x))
            places.append(place)
        for up, place in zip(reversed(self.up), reversed(places), strict=True):
            x = up(self.unpool(x, place))
        return self.head(x)
