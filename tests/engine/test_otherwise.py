"""A network that hands pictures which are strange to it to another one: whose answer it is, is never mistaken."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from smartca.engine import EngineError, NoPicture, OperatingPoint, Segmenter, open_runner, open_segmenter
from smartca.engine.building.assembly import Options
from smartca.engine.building.build import build_engine
from smartca.engine.contract import SHIPPED_MODEL
from smartca.engine.operating_point import Setting, load_point, store_point
from smartca.errors import InputError
from smartca.evaluation.evaluate import evaluate
from smartca.evaluation.samples import EvaluationSet, Sample
from smartca.files import sha256
from smartca.phantom import Phantom, isotropic
from smartca.pictures.pixels import whole
from support.networks import brightness_network
from support.waiting import wait_until

POINTS: dict[Literal["careful", "searching"], Setting] = {"careful": Setting(0.9), "searching": Setting(0.1)}


def spotted(grey: int) -> NDArray[np.uint8]:
    """A bright spot; the network finds the picture ten times as strange as it is bright on the mean."""
    pixels = np.full((100, 100), grey, np.uint8)
    pixels[40:60, 40:60] = 255
    return pixels


USUAL, STRANGE = spotted(40), spotted(120)
SHOULDER = np.clip(isotropic(Phantom(90001).frame(0.0), 256)[0] + 80.0, 0, 255).astype(np.uint8)  # bright, so strange


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A model that hands what is stranger than 3 to the shipped network."""
    model = brightness_network(tmp_path / "own.onnx", tells_more=True)
    store_point(OperatingPoint(sha256(model), 0.5, strange_limit=3.0, otherwise="shipped", points=POINTS), model)
    return model


def pair(model: Path, limit: float | None = None) -> Segmenter:
    """Two of the same network: the other one outlines nothing, and finds what is over `limit` strange."""
    other = Segmenter(open_runner(model, "fp32"), OperatingPoint(min_area=4096, strange_limit=limit))
    return Segmenter(open_runner(model, "fp32"), OperatingPoint(threshold=0.5, strange_limit=3.0), "balanced", other)


def test_a_strange_picture_gets_the_other_ones_outline(own: Path) -> None:
    with pair(own) as both:
        for pixels, otherwise in ((USUAL, False), (STRANGE, True), (USUAL, False)):
            both.start(pixels)
            answer = both.finish()
            assert answer.otherwise is otherwise
            whose = both.whose(answer)
            assert whose is (both.otherwise if otherwise else both)
            found = both.outline(answer, pixels.shape)
            alone = whose(pixels)
            assert np.array_equal(found.mask, alone.mask) and found.confidence == alone.confidence
        assert both(USUAL).mask.any() and not both(STRANGE).mask.any()


def test_an_evaluation_counts_them(own: Path) -> None:
    each = [Sample(pixels, whole(pixels.shape), None, None) for pixels in (USUAL, STRANGE, USUAL)]
    with pair(own) as both:
        report = evaluate(both, EvaluationSet(iter(each), 3, "pictures", "px"), lambda done, total: None)
    assert report["answered_otherwise"] == 1


def test_what_is_strange_to_both_has_no_result(own: Path) -> None:
    with pair(own, limit=4.0) as both:
        with pytest.raises(NoPicture, match="unlike"):
            both(STRANGE)
        assert both(USUAL).mask.any()  # and the next picture is the next picture


def test_with_two_under_way_each_is_handed_on_as_itself(own: Path) -> None:
    """Of two pictures at the engine at once the strange one is the one that is handed on."""
    first, second = spotted(120), spotted(120)
    second[:20] = 200
    with pair(own) as both:
        runner = both.runner
        runner.widen()
        if os.cpu_count() != 2:
            pytest.skip("only on two cores two pictures are computed at a time")
        wait_until(lambda: runner.in_flight == 2)
        alone = [both.otherwise(pixels).confidence for pixels in (first, second) if both.otherwise]
        both.start(first)
        both.start(second)
        assert [both.outline(both.finish(), first.shape).confidence for _ in range(2)] == alone


def test_a_picture_that_fails_leaves_no_trace(own: Path) -> None:
    with pair(own) as both:
        with pytest.raises(NoPicture):
            both.start(np.zeros((50, 50), np.uint8))
        both.start(STRANGE)
        assert both.finish().otherwise
        with pytest.raises(EngineError, match="no picture was started"):
            both.finish()


def test_the_shipped_network_is_opened_with_it_switched_and_closed(own: Path) -> None:
    with open_segmenter(own, point="careful") as both:
        other = both.otherwise
        assert other is not None and other.runner.info.model_sha256 in _shipped()
        assert (both.point_name, other.point_name) == ("careful", "careful")
        both.switch("searching")
        assert (both.point_name, other.point_name) == ("searching", "searching")
        with open_segmenter(point="searching") as shipped:
            alone = shipped(SHOULDER)
        found = both(SHOULDER)
        assert found.otherwise and found.point == "searching"
        assert alone.mask.any() and np.array_equal(found.mask, alone.mask) and found.confidence == alone.confidence
    for each in (both, other):
        with pytest.raises(EngineError, match="closed"):
            each(USUAL)
    with open_segmenter(own, threshold=0.42) as both:
        assert both.otherwise and both.otherwise.point.threshold == 0.42 and both.otherwise.point_name == ""


def _shipped() -> set[str]:
    return {sha256(path) for path in SHIPPED_MODEL.parent.glob("smartca-lite*.onnx")}


def test_where_no_other_is_named_there_is_none(own: Path) -> None:
    store_point(OperatingPoint(sha256(own), strange_limit=3.0), own)
    with open_segmenter(own) as alone:
        assert alone.otherwise is None
        with pytest.raises(NoPicture, match="unlike"):
            alone(STRANGE)


def test_it_is_stored_and_travels(own: Path, tmp_path: Path) -> None:
    own.with_suffix(".json").unlink()  # what is inside the file counts then
    assert load_point(own, sha256(own)).otherwise == "shipped"
    options = Options(backend="openvino", precision="fp32", out=tmp_path / "built.onnx")
    with open_segmenter(build_engine(own, options, lambda *_: None, tmp_path / "cache")) as both:
        assert both.otherwise is not None
        assert both(USUAL).mask.any()
    point = msgspec.json.decode((tmp_path / "built.json").read_bytes())
    assert point["otherwise"] == "shipped" and point["strange_limit"] == 3.0


@pytest.mark.parametrize("content", [b'{"otherwise": "theirs", "strange_limit": 1.0}', b'{"otherwise": "shipped"}'])
def test_what_cannot_be_is_refused(own: Path, content: bytes) -> None:
    own.with_suffix(".json").write_bytes(content)
    with pytest.raises(InputError, match="is not an operating point"):
        load_point(own, sha256(own))
