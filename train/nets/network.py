"""SMART-CA: a frozen pre-trained encoder and a trainable one side by side, fused stage by stage, and a
decoder.

Lee et al., Sensors 2021;21(6):2214, table A2. The paper's decoder is not visible to us: this narrow one is
ours, as is the 1x1 convolution that fuses the two encoders' maps.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .backbone import Encoder, encoder
from .familiar import Familiarity

WIDTHS = (24, 40, 64, 128)  # decoder channels at strides 2, 4, 8, 16


def pointwise(before: int, after: int) -> nn.Sequential:
    """1x1 convolution, batch norm, ReLU."""
    return nn.Sequential(nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True))


def separable(before: int, after: int, dilation: int = 1) -> nn.Sequential:
    """3x3 depthwise, then 1x1: a 3x3 convolution at a ninth of the work."""
    depthwise = nn.Conv2d(before, before, 3, padding=dilation, dilation=dilation, groups=before, bias=False)
    return nn.Sequential(depthwise, nn.BatchNorm2d(before), *pointwise(before, after))


def twice(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, 2H, 2W), bilinear."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Context(nn.Module):
    """What surrounds a dark spot decides what it is: wider views and the whole picture's mean, added in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.near = separable(width, width, dilation=2)
        self.far = separable(width, width, dilation=4)
        self.whole = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.near(x)
        x = x + self.far(x)
        return x + self.whole(x.mean((2, 3), keepdim=True))


class Normalise(nn.Module):
    """Grey (N, 1, H, W) in 0..1 -> three equal channels, scaled as the encoder's weights expect."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        return (image.expand(-1, 3, -1, -1) - self.mean) / self.std


class SmartCA(nn.Module):
    """Grey picture float32 (N, 1, H, W) in 0..1 -> logits (N, 1, H, W); H and W multiples of 16.

    `pretrained` is frozen: no gradient, always in eval mode, so that its batch statistics stay what they
    were. Both encoders start from the same weights.
    """

    def __init__(self, backbone: str = "lite", imagenet: bool = True) -> None:
        super().__init__()
        self.backbone = backbone
        self.pretrained: Encoder = encoder(backbone, imagenet)
        self.trainable: Encoder = encoder(backbone, imagenet)
        self.trainable.load_state_dict(self.pretrained.state_dict())
        self.pretrained.requires_grad_(False)
        self.normalise = Normalise(self.pretrained.mean, self.pretrained.std)
        channels = self.pretrained.channels
        self.classes = two_classes(channels[-1]).requires_grad_(False)
        nn.init.zeros_(self.classes[-1].weight)  # type: ignore[arg-type]  # one half for either answer, until a
        nn.init.zeros_(self.classes[-1].bias)  # type: ignore[arg-type]  # classifier is adopted
        self.familiar = Familiarity(tuple(channels))
        self.fuse = nn.ModuleList(pointwise(2 * n, width) for n, width in zip(channels, WIDTHS, strict=True))
        self.context = Context(WIDTHS[-1])
        self.decode = nn.ModuleList(
            separable(deep + width, width) for deep, width in zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True)
        )
        self.head = nn.Sequential(separable(WIDTHS[0], WIDTHS[0]), nn.Conv2d(WIDTHS[0], 1, 1))
        nn.init.constant_(self.head[-1].bias, -2.0)  # type: ignore[arg-type]  # tears are rare: start from 'none'

    def adopt(self, classifier: Classifier, both: bool = False) -> None:
        """Freeze a fitted classifier inside: its encoder becomes `pretrained`, its answer `classes`.

        With `both` the trainable encoder starts from it too. Raises RuntimeError where the backbones differ.
        """
        self.pretrained.load_state_dict(classifier.encoder.state_dict())
        self.classes.load_state_dict(classifier.classes.state_dict())
        if both:
            self.trainable.load_state_dict(classifier.encoder.state_dict())

    def train(self, mode: bool = True) -> SmartCA:
        super().train(mode)
        self.pretrained.eval()
        self.classes.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        picture = self.normalise(image)  # (N, 3, H, W)
        return self.outlined(picture, self.known(picture))

    def known(self, picture: Tensor) -> list[Tensor]:
        """The frozen encoder's maps of a normalised picture; no gradient reaches it."""
        with torch.no_grad():
            return self.pretrained(picture)

    def answer(self, known: list[Tensor]) -> Tensor:
        """(N, 2): the frozen classifier's probability of a tear somewhere, and how strange the picture is."""
        tear = self.classes(mean_and_max(known[-1])).float().softmax(1)[:, 1]
        return torch.stack([tear, self.familiar(known)], 1)

    def outlined(self, picture: Tensor, known: list[Tensor]) -> Tensor:
        """Logits (N, 1, H, W) of a normalised picture and its maps from the frozen encoder."""
        learnt = self.trainable(picture)
        fused = [fuse(torch.cat(pair, 1)) for fuse, *pair in zip(self.fuse, known, learnt, strict=True)]
        x = self.context(fused[-1])  # stride 16
        for decode, skip in zip(self.decode, fused[-2::-1], strict=True):
            x = decode(torch.cat([twice(x), skip], 1))  # strides 8, 4, 2
        return twice(self.head(x))


def two_classes(channels: int) -> nn.Sequential:
    """Logits (N, 2) of a pooled map (N, 2 * channels); normalised first, as maxima are far larger than means."""
    return nn.Sequential(nn.BatchNorm1d(2 * channels), nn.Linear(2 * channels, 2))


def mean_and_max(deepest: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, 2C): global mean and maximum."""
    return torch.cat([deepest.mean((2, 3)), deepest.amax((2, 3))], 1)


class Classifier(nn.Module):
    """Tear or no tear of a whole picture: encoder, global pooling, two classes (paper, table A1).

    The paper flattens into two dense layers of 4096; at 256 x 256 the flatten alone would be 537 M weights, so global
    pooling replaces it: mean and maximum, since a tear is a few per cent of the picture and a mean alone drowns it.
    Its encoder, once fitted, is SMART-CA's pre-trained one.
    """

    def __init__(self, backbone: str = "lite", imagenet: bool = True) -> None:
        super().__init__()
        self.encoder: Encoder = encoder(backbone, imagenet)
        self.normalise = Normalise(self.encoder.mean, self.encoder.std)
        self.classes = two_classes(self.encoder.channels[-1])

    def forward(self, image: Tensor) -> Tensor:
        """Grey (N, 1, H, W) in 0..1 -> logits (N, 2) of (no tear, tear)."""
        deepest = self.encoder(self.normalise(image))[-1]
        return self.classes(mean_and_max(deepest))


def confidence_logit(logits: Tensor, gamma: float = 2.0, beta: float = 1.0) -> Tensor:
    """logit(q) from logits x of any shape, in float32 and in the log domain.

    q = beta*h / (1 + beta*h), h = p^gamma * (e^x + gamma * softplus(x)): the posterior that IPLF's minimum
    stands for (design note on our reading of IPLF), so logit(q) = ln(beta) + gamma*ln(p) + ln(e^x +
    gamma*softplus(x)).
    """
    x = logits.float().clamp(-40.0, 40.0)
    # below -12 softplus(x) is e^x to 3e-6, and some back ends compute it as ln(1 + e^x), which is 0 from -17
    # down
    log_softplus = torch.where(x < -12.0, x, torch.log(F.softplus(x.clamp(min=-12.0))))
    other = log_softplus + math.log(gamma) if gamma > 0 else torch.full_like(x, -1e4)
    larger, smaller = torch.maximum(x, other), torch.minimum(x, other)
    log_sum = larger + torch.log1p(torch.exp(smaller - larger))
    return math.log(beta) - gamma * F.softplus(-x) + log_sum


def confidence(logits: Tensor, gamma: float = 2.0, beta: float = 1.0) -> Tensor:
    """The confidence q in 0..1 of logits of any shape; until calibrated, 'q before calibration'."""
    return torch.sigmoid(confidence_logit(logits, gamma, beta))
