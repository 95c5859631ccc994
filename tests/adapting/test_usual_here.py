"""What looks like a clinic's frames is the adapted network's to answer; all else stays the shipped one's."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch
from smartca.adapting.deploying import strange_apart
from smartca.adapting.usual_here import INSIDE, LIMIT, VIEWS, views_apart
from smartca.cli import main
from smartca.engine import open_segmenter
from smartca.engine.contract import SHIPPED_START
from smartca.engine.operating_point import OperatingPoint, store_point
from smartca.errors import InputError
from smartca.files import sha256
from smartca.phantom import Phantom, isotropic
from smartca.pictures.pixels import Grey
from smartca.train.checkpoint import read_checkpoint
from smartca.train.export import load_network
from smartca.train.nets.familiar import pooled
from smartca.train.nets.network import SmartCA
from smartca.train.study.pictures import StudyPicture, StudyPictures
from support.clinic import frames, own_folders
from support.networks import brightness_network, int8_beside

__all__ = ["frames", "own_folders"]  # fixtures
SIZE = 64


def texture(seed: int, grain: int, side: int = 96) -> Grey:
    """Noise of one grain: what one scanner makes of tissue, as far as a network's features can tell."""
    coarse = np.random.default_rng(seed).integers(20, 200, (side // grain, side // grain)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def pictures(grain: int, seeds: range) -> StudyPictures:
    each = [texture(seed, grain) for seed in seeds]
    return StudyPictures([StudyPicture(one, np.zeros(one.shape, np.bool_)) for one in each], [str(n) for n in seeds])


def settle_here(network: SmartCA, frames: StudyPictures, whose: Sequence[str], size: int, seed: int) -> None:
    """As `AdaptFit.familiarise`, without a training around it."""
    each = []
    for views in views_apart(frames, whose, seed):
        images = np.stack([cv2.resize(view, (size, size), interpolation=cv2.INTER_AREA) for view in views])
        picture = network.normalise(torch.from_numpy(images[:, None].astype(np.float32) / 255))
        each.append(pooled(network.known(picture)))
    network.familiar.settle_apart(each, INSIDE)


def strange(network: SmartCA, samples: StudyPictures) -> np.ndarray:
    found = []
    for pixels, _ in samples.items:
        square = cv2.resize(pixels, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        image = torch.from_numpy(square[None, None].astype(np.float32) / 255)
        with torch.no_grad():
            found.append(float(network.answer(network.known(network.normalise(image)))[0, 1]))
    return np.array(found)


@pytest.fixture(scope="module")
def network() -> SmartCA:
    if not SHIPPED_START.is_file():
        pytest.skip("the shipped checkpoint is not here")
    network, _ = load_network(SHIPPED_START)
    assert isinstance(network, SmartCA)
    return network


def test_its_own_is_usual_and_anothers_is_not(network: SmartCA) -> None:
    own = pictures(6, range(8))
    settle_here(network, own, own.names, SIZE, seed=1)
    unseen, others = strange(network, pictures(6, range(50, 70))), strange(network, pictures(16, range(20)))
    assert np.mean(unseen <= LIMIT) >= 0.8 and others.min() > LIMIT
    assert strange(network, own).max() <= LIMIT


def test_the_measure_is_what_a_patient_left_out_needs(network: SmartCA) -> None:
    """Of the views of patients who were left out in turn 90 % lie within the limit, by whichever measure."""
    own = pictures(6, range(6))
    whose = ["a", "a", "b", "b", "c", "c"]
    settle_here(network, own, whose, SIZE, seed=1)
    by_patient = network.familiar.whiten.clone()
    settle_here(network, own, own.names, SIZE, seed=1)
    # two frames fewer to know the clinic by: what is left out lies farther, and more is usual in the end
    assert float(by_patient.norm()) < float(network.familiar.whiten.norm())
    assert 0 < INSIDE < 1 < VIEWS


def test_frames_of_one_patient_are_left_out_one_by_one(network: SmartCA) -> None:
    own = pictures(6, range(5))
    settle_here(network, own, ["a"] * 5, SIZE, seed=1)
    by_frame = network.familiar.whiten.clone()
    settle_here(network, own, own.names, SIZE, seed=1)
    assert torch.equal(by_frame, network.familiar.whiten)
    with pytest.raises(InputError, match="two patients or frames at least"):
        settle_here(network, pictures(6, range(1)), ["a"], SIZE, seed=1)


@pytest.fixture(scope="module")
def made(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a network that was adapted, small and in a few steps, from the shipped weights."""
    if not SHIPPED_START.is_file():
        pytest.skip("the shipped checkpoint is not here")
    out = tmp_path_factory.mktemp("made") / "mine"
    words = ["adapt", frames, "--out", out, "--steps", 8, "--size", SIZE, "--batch", 4, "--seeds", 3]
    words += ["--validation-seeds", 3, "--threads", 1, "--cache", tmp_path_factory.mktemp("cache")]
    told = StringIO()
    with pytest.raises(SystemExit) as done, redirect_stderr(told):
        main([str(word) for word in words])
    assert done.value.code in (0, 1), told.getvalue()
    assert "healthy tissue may be outlined afterwards" not in told.getvalue()
    return out


def test_what_is_made_of_the_shipped_weights(made: Path) -> None:
    point = msgspec.json.decode((made / "adapted.json").read_bytes(), type=OperatingPoint)
    assert (point.otherwise, point.strange_limit) == ("shipped", LIMIT)
    assert "that look like them" in point.fitted_on
    before, after = (read_checkpoint(path)["state"] for path in (SHIPPED_START, made / "learning" / "best.pt"))
    changed = {name.split(".")[0] for name in before if not np.array_equal(before[name], after[name])}
    assert "familiar" in changed and not changed & {"pretrained", "classes"}
    assert "what is unlike your frames goes to the shipped network" in (made / "adapted.html").read_text()


def test_what_is_unlike_the_clinics_is_answered_as_it_was(made: Path, frames: Path) -> None:
    own = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted((frames / "images").iterdir())]
    with open_segmenter(made / "adapted.onnx") as adapted, open_segmenter() as shipped:
        assert adapted.otherwise is not None
        answered = []
        for pixels in own:
            adapted.start(np.asarray(pixels))
            answered.append(not adapted.finish().otherwise)
        assert np.mean(answered) >= 0.6  # so small a network sees little of a frame
        turned = isotropic(Phantom(90001).frame(0.0), 256)[0][::-1].copy()  # upside down
        found, alone = adapted(turned), shipped(turned)
        assert (
            found.otherwise
            and found.mask.any()
            and np.array_equal(found.mask, alone.mask)
            and found.confidence == alone.confidence
        )


def test_an_int8_network_that_finds_other_pictures_strange_is_not_kept(tmp_path: Path) -> None:
    model = brightness_network(tmp_path / "m.onnx", tells_more=True)
    views = pictures(6, range(8))
    assert strange_apart(model, [views], 1) == ""  # there is none
    for file, limit in ((model, 3.0), (int8_beside(model), 3.0)):
        store_point(OperatingPoint(sha256(file), strange_limit=limit), file)
    assert strange_apart(model, [views], 1) == ""
