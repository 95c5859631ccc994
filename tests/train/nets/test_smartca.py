from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import timm
import torch
from smartca.train.nets.backbone import LiteEncoder, encoder, lite_weights
from smartca.train.nets.network import Classifier, SmartCA, confidence, confidence_logit


@pytest.fixture(scope="module")
def network() -> SmartCA:
    torch.manual_seed(0)
    return SmartCA("lite")


@pytest.mark.parametrize("name", ["lite", "vgg", "mobilenetv3_small_050"])
def test_four_stages_at_strides_2_4_8_16(name: str) -> None:
    maps = encoder(name, imagenet=False).eval()(torch.rand(1, 3, 64, 64))
    assert [m.shape[-1] for m in maps] == [32, 16, 8, 4]
    assert [m.shape[1] for m in maps] == list(encoder(name, imagenet=False).channels)


def test_vgg_is_the_papers_table() -> None:
    shapes = [tuple(p.shape[:2]) for p in encoder("vgg").parameters() if p.dim() == 4]
    assert [out for out, _ in shapes] == [64] * 2 + [128] * 2 + [256] * 4 + [512] * 4


@pytest.mark.parametrize("name", ["no_such_network", "vit_tiny_patch16_224"])
def test_a_name_without_four_stages_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="choose lite, vgg or another"):
        encoder(name)


def test_imagenet_weights_still_know_a_uniform() -> None:
    """With our mapping the whole classifier sees ImageNet's 652, 'military uniform', in a known portrait."""
    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    whole.load_state_dict(lite_weights(whole.state_dict()))
    picture = cv2.imread(str(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"))
    assert picture is not None
    square = cv2.resize(picture[:512, :, ::-1], (224, 224), interpolation=cv2.INTER_CUBIC)
    tensor = (torch.from_numpy(square.astype(np.float32)).permute(2, 0, 1)[None] / 255 - 0.5) / 0.5
    with torch.no_grad():
        assert whole(tensor).softmax(1)[0].argmax().item() == 652


def test_light_encoder_is_the_whole_network_cut_at_stride_16() -> None:
    name = "tf_efficientnet_lite0"
    whole = timm.create_model(name, features_only=True, pretrained=False, out_indices=(0, 1, 2, 3))
    ours = LiteEncoder().eval()
    named = lite_weights(timm.create_model(name, pretrained=False).state_dict())
    whole.load_state_dict({key: named[key] for key in whole.state_dict()})
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for mine, theirs in zip(ours(picture), whole.eval()(picture), strict=True):
            assert torch.allclose(mine, theirs, atol=1e-5)
    assert sum(p.numel() for p in ours.parameters()) < 0.75e6


def test_logits_have_the_pictures_shape_and_the_net_is_small(network: SmartCA) -> None:
    assert network(torch.rand(2, 1, 64, 64)).shape == (2, 1, 64, 64)
    assert sum(p.numel() for p in network.parameters()) * 4 < 7.5e6


def test_the_pretrained_encoder_never_changes(network: SmartCA) -> None:
    before = {name: value.clone() for name, value in network.pretrained.state_dict().items()}
    network.train()
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    network(torch.rand(2, 1, 64, 64)).square().mean().backward()
    optimiser.step()
    assert not network.pretrained.training and network.trainable.training
    assert all(torch.equal(value, before[name]) for name, value in network.pretrained.state_dict().items())
    changed = network.trainable.state_dict()
    assert any(not torch.equal(changed[name], value) for name, value in before.items())


def test_classifier_has_two_classes_for_a_picture_of_any_size() -> None:
    network = Classifier("lite", imagenet=False).eval()
    assert network(torch.rand(3, 1, 96, 64)).shape == (3, 2)


@pytest.mark.parametrize(("gamma", "beta"), [(2.0, 1.0), (1.0, 0.5), (3.0, 2.0)])
def test_confidence_is_the_posterior_of_the_formula(gamma: float, beta: float) -> None:
    x = np.linspace(-25, 15, 401)
    p = 1 / (1 + np.exp(-x))
    h = p ** (gamma + 1) / (1 - p) - gamma * p**gamma * np.log1p(-p)  # float64 carries the first form this far
    expected = np.log(beta * h)
    found = confidence_logit(torch.from_numpy(x.astype(np.float32)), gamma, beta).numpy()
    assert np.allclose(found, expected, atol=2e-4)


def test_confidence_is_finite_rising_and_between_0_and_1_everywhere() -> None:
    x = torch.tensor([-1e4, -100.0, -30.0, -17.0, -12.0, -3.0, 0.0, 3.0, 17.0, 100.0, 1e4])
    q = confidence(x)
    assert torch.isfinite(confidence_logit(x)).all()
    assert (q[1:] >= q[:-1]).all() and q[0] == 0 and q[-1] == 1
    assert confidence(x.half()).dtype == torch.float32


def test_confidence_is_where_the_losss_gradient_is_zero() -> None:
    """Pixels of one true share of tear settle where q is that share, with the normaliser fixed."""
    from smartca.train.losses import iplf

    share = 0.3
    x = torch.linspace(-6, 6, 2401, requires_grad=True)
    loss = share * iplf(x, torch.ones_like(x), normaliser=1.0) + (1 - share) * iplf(
        x, torch.zeros_like(x), normaliser=1.0
    )
    (slope,) = torch.autograd.grad(loss, x)
    settled = x[int(slope.abs().argmin())].detach()
    assert confidence(settled).item() == pytest.approx(share, abs=0.005)
