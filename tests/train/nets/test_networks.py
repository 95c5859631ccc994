from __future__ import annotations

import socket
from copy import deepcopy
from typing import Any

import pytest
import timm
import torch
from smartca.train.loss_names import loss
from smartca.train.nets.backbone import LiteEncoder, encoder
from smartca.train.nets.depthwise import Depthwise, quick_depthwise
from smartca.train.nets.network import SmartCA
from smartca.train.nets.networks import DECODERS, NETWORK_NAMES, Greyscale, build_network, describe, macs
from smartca.train.nets.segnet import SegNet
from torch import nn

SMALL = ("smartca-mobilenetv3_small_050", "unet-resnet18", "unet-tu-mobilenetv3_small_050")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tries to reach a model hub fails loudly."""

    def refuse(*_: object) -> None:
        raise AssertionError("a network connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("name", [*NETWORK_NAMES, *SMALL])
def test_grey_pictures_become_logits_and_every_trainable_weight_has_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(name).train()
    logits = network(torch.rand(2, 1, 64, 96))
    assert logits.shape == (2, 1, 64, 96) and logits.dtype == torch.float32
    loss("ce")(logits, (torch.rand_like(logits) < 0.1).float()).backward()
    learning = {key: weight for key, weight in network.named_parameters() if weight.requires_grad}
    silent = {key for key, weight in learning.items() if weight.grad is None}
    assert not silent and all(torch.isfinite(weight.grad).all() for weight in learning.values())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", DECODERS)
def test_packaged_weights_in_the_librarys_encoder_are_the_light_encoders(name: str) -> None:
    network: Any = build_network(name).eval()
    ours = LiteEncoder().eval()
    picture = torch.rand(1, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        theirs = network.body.encoder(picture)
        for mine, same in zip(ours(picture), theirs[1:5], strict=True):
            assert mine.shape == same.shape and torch.allclose(mine, same, atol=1e-5)


def test_the_deepest_stage_holds_the_packaged_weights_too() -> None:
    """Stride 32 lies beyond our encoder: its weights differ from random ones, and from run to run they do not."""
    twins = [build_network("unet-lite").state_dict() for _ in range(2)]
    scratch = build_network("unet-lite-scratch").state_dict()
    key = "body.encoder.model.blocks.6.0.conv_pwl.weight"
    assert torch.equal(twins[0][key], twins[1][key]) and not torch.equal(twins[0][key], scratch[key])


@pytest.mark.parametrize("name", ["smartca-lite", "unet-lite", "manet-lite"])
def test_scratch_is_the_same_network_without_imagenet(name: str) -> None:
    known, scratch = build_network(name).state_dict(), build_network(f"{name}-scratch").state_dict()
    assert {k: v.shape for k, v in known.items()} == {k: v.shape for k, v in scratch.items()}
    stem = next(key for key in known if key.endswith(("conv_stem.weight", "stem.0.weight")))
    reference = LiteEncoder().state_dict()["stem.0.weight"]
    assert torch.equal(known[stem], reference) and not torch.equal(scratch[stem], reference)
    torch.manual_seed(3)
    one = build_network(name, pretrained=False).state_dict()
    torch.manual_seed(3)
    assert torch.equal(one[stem], build_network(f"{name}-scratch").state_dict()[stem])


@pytest.mark.parametrize(
    "name", ["", "unet", "resnet50", "smartca-", "smartca-nothing", "unet-nothing", "unet-tu-nothing", "fpn-resnet18"]
)
def test_an_unknown_name_is_refused_with_the_list(name: str) -> None:
    with pytest.raises(ValueError, match=r"choose smartca-lite, .*attention-unet"):
        build_network(name)


@pytest.mark.parametrize("name", ["smartca-hf-hub:a/b", "unet-tu-hf-hub:a/b"])
def test_a_hubs_name_is_refused_before_anything_is_fetched(name: str) -> None:
    with pytest.raises(ValueError, match="is no network"):
        build_network(name)


def test_only_stages_that_are_used_are_built() -> None:
    maps = encoder("mobilenetv3_small_050").eval()
    whole: Any = timm.create_model(
        "mobilenetv3_small_050", pretrained=False, features_only=True, out_indices=(0, 1, 2, 3)
    )
    whole.load_state_dict({**whole.state_dict(), **{k.removeprefix("body."): v for k, v in maps.state_dict().items()}})
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for mine, theirs in zip(maps(picture), whole.eval()(picture), strict=True):
            assert torch.equal(mine, theirs)
    assert sum(p.numel() for p in maps.parameters()) < sum(p.numel() for p in whole.parameters()) / 2


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        build_network("segnet")(torch.zeros(1, 1, 64, 80))


def test_grey_is_scaled_as_the_weights_expect() -> None:
    seen = Greyscale(nn.Identity(), (0.5,) * 3, (0.25,) * 3)(torch.full((1, 1, 32, 32), 0.75))
    assert torch.equal(seen, torch.ones(1, 3, 32, 32))


def test_segnet_puts_each_value_back_where_its_maximum_stood() -> None:
    network = SegNet(width=2)
    x = torch.rand(1, 2, 8, 8)
    small, places = network.pool(x)
    back = network.unpool(small, places)
    kept = back != 0
    assert kept.sum() == small.numel() and torch.equal(back[kept], x[kept])


def test_segnet_has_the_convolutions_of_vgg_16_twice() -> None:
    kernels = [part for part in SegNet().modules() if isinstance(part, nn.Conv2d)]
    assert len(kernels) == 2 * 13 + 1
    assert [k.out_channels // 16 for k in kernels[:13]] == [1, 1, 2, 2, 4, 4, 4, 8, 8, 8, 8, 8, 8]


def test_weights_and_work_are_counted() -> None:
    network = build_network("smartca-lite")
    size = describe("smartca-lite")
    assert isinstance(network, SmartCA)
    frozen = sum(p.numel() for part in (network.pretrained, network.classes) for p in part.parameters())
    assert size.parameters - size.trainable == frozen
    assert describe("segnet").parameters == describe("segnet").trainable
    # convolutions alone: four times the pixels, four times the work
    assert macs("segnet", 64) == 4 * macs("segnet", 32)


def test_work_of_one_convolution_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    from smartca.train.nets import networks

    monkeypatch.setitem(networks.MADE, "any", lambda imagenet: nn.Conv2d(1, 5, 3, padding=1))
    assert networks.macs("any", 32) == 32 * 32 * 9 * 5


def test_quick_depthwise_changes_neither_names_nor_answers() -> None:
    plain = LiteEncoder()
    quick = deepcopy(plain)
    quick_depthwise(quick)
    assert sum(isinstance(part, Depthwise) for part in quick.modules()) == 7
    assert list(plain.state_dict()) == list(quick.state_dict())
    picture = torch.rand(2, 3, 64, 64)
    for mode in (True, False):
        for one, other in zip(plain.train(mode)(picture), quick.train(mode)(picture), strict=True):
            assert torch.equal(one, other)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for one, other in zip(plain.eval()(picture), quick.eval()(picture), strict=True):
            assert torch.equal(one, other)


def test_quick_depthwise_learns_in_float32_under_autocast() -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(8, 8, 5, stride=2, padding=2, groups=8, bias=False)
    quick = nn.Sequential(deepcopy(plain))
    quick_depthwise(quick)
    x = torch.rand(4, 8, 32, 32, dtype=torch.bfloat16)
    plain(x.float()).square().sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        found = quick(x)
    assert found.dtype == torch.bfloat16
    found.float().square().sum().backward()
    exact, near = plain.weight.grad, next(quick.parameters()).grad
    assert exact is not None and near is not None
    assert torch.allclose(near, exact, rtol=0.01, atol=0.01 * exact.abs().max().item())
