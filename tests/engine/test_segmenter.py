"""The engine's contract, held against a network whose answer is known."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from smartca import plugins
from smartca.engine import (
    Answer,
    EngineError,
    EngineInfo,
    NoPicture,
    OperatingPoint,
    Runner,
    Sector,
    open_runner,
    open_segmenter,
)
from smartca.engine import operating_point as points
from smartca.engine.letterbox import from_letterbox, letterbox, letterbox_mask, to_input
from smartca.engine.segmenter import Segmenter, without_spots
from smartca.errors import InputError
from smartca.files import sha256
from smartca.pictures.pixels import whole
from smartca.scores.counts import Counts
from support.networks import brightness_network


def test_the_runner_computes_what_the_network_says(network: Path) -> None:
    picture = np.random.default_rng(0).random((1, 1, 64, 64), dtype=np.float32)
    with open_runner(network, "fp32") as runner:
        q = runner.infer(picture).q
        assert runner.info.input == (1, 1, 64, 64)
        assert runner.info.model_sha256 == sha256(network)
    centre = picture[0, 0, 20:29, 30:39].mean()
    assert q[24, 34] == pytest.approx(1 / (1 + np.exp(-(50 * centre - 30))), abs=1e-4)


def test_bf16_outlines_nearly_the_same(network: Path) -> None:
    picture = np.random.default_rng(0).random((1, 1, 64, 64), dtype=np.float32)
    with open_runner(network, "fp32") as exact, open_runner(network, "bf16") as rough:
        assert rough.info.precision == "bf16"
        assert np.abs(exact.infer(picture).q - rough.infer(picture).q).max() < 0.2


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (2, 1, 64, 64), (1, 1, 64, 48), (1, 1, 40, 40), (1, 1, 16, 16)])
def test_a_network_of_the_wrong_shape_is_one_sentence(tmp_path: Path, shape: tuple[int, ...]) -> None:
    wrong = brightness_network(tmp_path / "wrong.onnx", shape)
    with pytest.raises(EngineError, match="wrong shape") as error:
        open_runner(wrong)
    assert "\n" not in str(error.value)


def test_files_that_are_no_network(tmp_path: Path, network: Path) -> None:
    with pytest.raises(EngineError, match="no model at"):
        open_runner(tmp_path / "missing.onnx")
    text = tmp_path / "text.onnx"
    text.write_text("not a network")
    with pytest.raises(EngineError, match="not a readable ONNX"):
        open_runner(text)
    short = tmp_path / "short.onnx"
    short.write_bytes(network.read_bytes()[:-200])
    with pytest.raises(EngineError):
        open_runner(short)
    with pytest.raises(EngineError, match=r"not an \.onnx file"):
        open_runner(Path(__file__))
    with pytest.raises(EngineError, match="no precision"):
        open_runner(network, "int3")


def test_a_network_that_answers_nonsense_gives_no_mask(tmp_path: Path, network: Path) -> None:
    import onnx

    model = onnx.load(str(network))
    model.graph.node[-1].op_type = "Identity"  # logits instead of q
    onnx.save(model, str(tmp_path / "logits.onnx"))
    with pytest.raises(EngineError, match=r"outside 0\.\.1"):
        open_runner(tmp_path / "logits.onnx")


def test_the_mask_comes_back_where_the_brightness_was(network: Path) -> None:
    pixels = np.full((300, 400, 3), 40, np.uint8)
    pixels[120:180, 200:280] = 255
    with open_segmenter(network, precision="fp32") as segmenter:
        found = segmenter(pixels, Sector(100, 60, 240, 200))
    truth = np.zeros((300, 400), np.bool_)
    truth[120:180, 200:280] = True
    counts = Counts()
    counts.add(found.mask, truth)
    assert counts.dice_pooled is not None
    assert counts.dice_pooled > 0.85
    assert 0.5 < found.confidence <= 1.0


def test_outside_the_sector_nothing_is_looked_at(network: Path) -> None:
    pixels = np.full((300, 400), 40, np.uint8)
    pixels[:50] = 255
    with open_segmenter(network, precision="fp32") as segmenter:
        assert not segmenter(pixels, Sector(0, 60, 400, 200)).mask.any()


def test_a_dark_picture_is_no_picture(network: Path) -> None:
    with open_segmenter(network) as segmenter, pytest.raises(NoPicture, match="dark"):
        segmenter(np.zeros((100, 100), np.uint8), whole((100, 100)))


def spotted(grey: int, spot: int) -> np.ndarray:
    """A picture of one grey with a square of another in its middle."""
    pixels = np.full((100, 100), grey, np.uint8)
    pixels[40:60, 40:60] = spot
    return pixels


def test_the_answer_about_the_whole_picture_comes_with_q(tmp_path: Path) -> None:
    model = brightness_network(tmp_path / "more.onnx", tells_more=True)
    with open_runner(model, "fp32") as runner:
        answer = runner.infer(np.full((1, 1, 64, 64), 0.5, np.float32))
    assert answer.tear == pytest.approx(float(answer.q.max()), abs=1e-5)
    assert answer.strange == pytest.approx(5.0, abs=1e-4)


def test_a_network_without_such_answers_forbids_nothing(network: Path) -> None:
    with open_runner(network, "fp32") as runner:
        answer = runner.infer(np.zeros((1, 1, 64, 64), np.float32))
    assert (answer.tear, answer.strange) == (1.0, 0.0)


def test_nothing_is_outlined_where_the_classifier_sees_no_tear(tmp_path: Path) -> None:
    model = brightness_network(tmp_path / "more.onnx", tells_more=True)
    with open_runner(model, "fp32") as runner:
        pixels, sector = spotted(40, 165), whole((100, 100))
        sure = float(runner.infer(to_input(letterbox(pixels, sector, 64))).q.max())
        low, high = (Segmenter(runner, OperatingPoint(tear_threshold=t)) for t in (sure - 0.05, sure + 0.01))
        assert low(pixels, sector).mask.any()
        assert not high(pixels, sector).mask.any()


def test_a_picture_unlike_all_that_was_learnt_gets_no_result(tmp_path: Path) -> None:
    model = brightness_network(tmp_path / "more.onnx", tells_more=True)
    with open_runner(model, "fp32") as runner:
        segmenter = Segmenter(runner, OperatingPoint(strange_limit=3.0))
        assert segmenter(spotted(40, 255), whole((100, 100))).mask.any()
        with pytest.raises(NoPicture, match="unlike"):
            segmenter(spotted(120, 255), whole((100, 100)))


def test_a_probe_in_the_air_is_no_picture(network: Path) -> None:
    """Reverberation: a few bright lines beneath the probe, and nothing below."""
    pixels = np.zeros((200, 160), np.uint8)
    pixels[2:34:8] = 200
    with open_segmenter(network) as segmenter:
        with pytest.raises(NoPicture, match="on the skin"):
            segmenter(pixels, whole(pixels.shape))
        pixels[:60] = 60  # tissue, if only shallow
        segmenter(pixels, whole(pixels.shape))


@pytest.mark.parametrize("shape", [(100, 300), (300, 100), (64, 64), (480, 640)])
def test_the_letterbox_keeps_aspect_and_comes_back(shape: tuple[int, int]) -> None:
    mask = np.zeros(shape, np.bool_)
    mask[shape[0] // 4 : shape[0] // 2, shape[1] // 4 : shape[1] // 2] = True
    small = letterbox_mask(mask, whole(shape), 128)
    back = from_letterbox(small.astype(np.float32), whole(shape)) >= 0.5
    counts = Counts()
    counts.add(back, mask)
    assert counts.dice_pooled is not None
    assert counts.dice_pooled > 0.93
    rows, columns = np.ptp(np.nonzero(small)[0]) + 1, np.ptp(np.nonzero(small)[1]) + 1
    assert rows / columns == pytest.approx(shape[0] / shape[1], rel=0.1)


def test_the_input_contract() -> None:
    square = letterbox(np.full((50, 50, 3), 255, np.uint8), whole((50, 50)), 32)
    image = to_input(square)
    assert (image.shape, image.dtype, image.max()) == ((1, 1, 32, 32), np.float32, 1.0)


def test_small_spots_are_left_out() -> None:
    q = np.zeros((32, 32), np.float32)
    q[2:4, 2:4] = 0.9
    q[10:20, 10:20] = 0.9
    kept = without_spots(q, np.float32(0.5), 5)
    assert kept[3, 3] == 0.0
    assert kept[15, 15] == np.float32(0.9)


def test_spots_are_measured_as_labelling_does() -> None:
    """Against scipy's labels, on blobs of all sizes; none of them inside another's hole."""
    from scipy.ndimage import gaussian_filter, label

    q = gaussian_filter(np.random.default_rng(3).random((128, 128)), 1.6).astype(np.float32)
    q = (q - q.min()) / np.ptp(q)
    threshold, min_area = np.float32(0.68), 25
    labels = np.zeros(q.shape, np.int32)
    label(q >= threshold, np.ones((3, 3)), output=labels)
    areas = np.bincount(labels.ravel())
    assert (areas[1:] < min_area).any()
    assert (areas[1:] >= min_area).any()
    small = (areas < min_area)[labels] & (labels > 0)
    before = q.copy()
    assert np.array_equal(without_spots(q, threshold, min_area), np.where(small, np.float32(0), q))
    assert np.array_equal(q, before)


def test_the_raw_threshold_is_the_fitted_one(network: Path) -> None:
    point = OperatingPoint(threshold=0.3, slope=1.7, intercept=-0.4)
    raw = np.float32(point.raw_threshold)
    assert float(point.fitted(np.array([raw]))[0]) == pytest.approx(0.3, abs=1e-4)
    with open_runner(network) as runner:
        assert Segmenter(runner, point).point.threshold == 0.3


def test_an_operating_point_belongs_to_its_weights(network: Path) -> None:
    points.save_point(OperatingPoint(sha256(network), 0.25, 1.2, 0.1, 3), network)
    assert points.load_point(network, sha256(network)).threshold == 0.25
    points.save_point(OperatingPoint("0" * 64, 0.25), network)
    with pytest.raises(EngineError, match="other weights"):
        open_segmenter(network)
    points.point_path(network).write_text('{"threshold": 7}')
    with pytest.raises(EngineError, match="calibrate"):
        open_segmenter(network)
    with open_runner(network) as runner:  # as `smartca calibrate` opens it
        assert runner.infer(np.zeros((1, 1, 64, 64), np.float32)).q.shape == (64, 64)
        with pytest.raises(ValueError, match="calibrate"):
            runner.point()


def test_counts_by_hand() -> None:
    truth = np.array([[1, 1, 0, 0]], np.bool_)
    counts = Counts()
    counts.add(np.array([[1, 0, 1, 0]], np.bool_), truth)
    counts.add(np.array([[0, 0, 0, 1]], np.bool_), np.zeros((1, 4), np.bool_))
    counts.add(np.zeros((1, 4), np.bool_), np.zeros((1, 4), np.bool_))
    assert msgspec.to_builtins(counts) == {
        "tp": 1,
        "fp": 2,
        "fn": 1,
        "false_positive_frames": 1,
        "negative_frames": 2,
    }
    assert counts.dice_pooled == pytest.approx(2 / 5)
    assert counts.precision == pytest.approx(1 / 3)
    assert counts.recall == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    "view",
    [
        lambda picture: np.asfortranarray(picture),
        lambda picture: np.repeat(np.repeat(picture, 2, 0), 2, 1)[::2, ::2],
        lambda picture: picture[::-1].copy()[::-1],
        lambda picture: np.repeat(picture[:, :, None], 4, 2)[:, :, :3],
        lambda picture: np.repeat(picture[:, :, None], 3, 2)[:, :, ::-1],
        lambda picture: np.broadcast_to(picture[:, :, None], (*picture.shape, 3)),
    ],
    ids=["fortran", "strided", "upside down", "of four channels", "RGB as BGR", "broadcast"],
)
def test_a_view_is_outlined_as_its_copy(network: Path, view: Callable[[np.ndarray], np.ndarray]) -> None:
    picture = np.random.default_rng(3).integers(30, 90, (120, 150), dtype=np.uint8)
    picture[40:80, 50:100] = 250
    with open_segmenter(str(network), precision="fp32") as segment:
        wanted, seen = segment(picture), view(picture)
        found = segment(seen, whole(seen.shape))
        part = segment(seen, Sector(20, 10, 100, 90))
        assert np.array_equal(part.mask, segment(picture, Sector(20, 10, 100, 90)).mask)
    assert wanted.area > 1000 and np.array_equal(found.mask, wanted.mask) and found.confidence == wanted.confidence


@pytest.mark.parametrize(
    ("pixels", "says"),
    [
        (np.zeros((64, 64), np.float32), r"float32 array of shape \(64, 64\); .*\.astype\(np\.uint8\)"),
        (np.zeros((64, 64), np.uint16), r"uint16 array of shape \(64, 64\); .*0\.\.255"),
        (np.zeros((64, 64), np.bool_), r"bool array"),
        (np.zeros((64, 64, 4), np.uint8), r"shape \(64, 64, 4\), with 4 channels; .*pixels\[:, :, :3\]"),
        (np.zeros((64, 64, 1), np.uint8), r"with 1 channels; give pixels\[:, :, 0\]"),
        (np.zeros((64, 64, 2), np.uint8), r"with 2 channels; give uint8 grey"),
        (np.zeros((5, 64, 64, 3), np.uint8), r"shape \(5, 64, 64, 3\); .*one picture at a time"),
        (np.zeros(64, np.uint8), r"shape \(64,\); give uint8 grey"),
        (np.zeros((0, 64), np.uint8), r"shape \(0, 64\), too small.*8 x 8"),
        (np.zeros((7, 64), np.uint8), r"shape \(7, 64\), too small"),
        ([[1, 2], [3, 4]], r"a numpy array, not a list"),
    ],
)
def test_what_is_no_picture_is_told_with_its_cure(network: Path, pixels: Any, says: str) -> None:
    with open_segmenter(network) as segment:
        with pytest.raises(InputError, match=says) as told:
            segment(pixels)
        assert not isinstance(told.value, NoPicture) and "\n" not in str(told.value)
        with pytest.raises(InputError, match="does not fit a picture of 100 x 90"):
            segment(np.full((90, 100), 80, np.uint8), Sector(50, 0, 60, 60))


class Closing(Runner):
    """Counts how often it is closed; its stored point may be damaged."""

    info = EngineInfo("none", "fp32", "ef" * 32, (1, 1, 64, 64))
    closed = 0

    def start(self, image: np.ndarray) -> None:
        raise EngineError("it is never asked")

    def finish(self) -> Answer:
        raise EngineError("it is never asked")

    def point(self) -> OperatingPoint:
        raise InputError("the point is damaged")

    def close(self) -> None:
        self.closed += 1


def test_whatever_goes_wrong_the_device_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Closing()
    with Segmenter(runner, OperatingPoint()):
        assert not runner.closed
    assert runner.closed == 1
    monkeypatch.setattr(plugins, "_here", {("smartca.engines", "closing"): lambda rest: runner})
    with pytest.raises(EngineError, match="the point is damaged"):
        open_segmenter("closing:")
    with pytest.raises(EngineError, match="computes in fp32"):
        open_segmenter("closing:", precision="bf16")
    assert runner.closed == 3


def test_another_threshold(network: Path) -> None:
    for wrong in (2.0, -1.0):
        with pytest.raises(EngineError, match="between 0 and 1"):
            open_segmenter(network, threshold=wrong)
    with open_segmenter(network, threshold=0.25) as segment:
        assert segment.point.threshold == 0.25


def test_threads_that_share_a_segmenter_get_each_its_own_mask(network: Path) -> None:
    pictures = [np.full((64, 64), 60, np.uint8) for _ in range(4)]
    for number, picture in enumerate(pictures):
        picture[8 + 10 * number : 24 + 10 * number, 10:40] = 255
    with open_segmenter(network, precision="fp32", threads=1) as segment, ThreadPoolExecutor(4) as pool:
        wanted = [segment(picture).mask for picture in pictures]
        found = list(pool.map(lambda n: segment(pictures[n % 4]).mask, range(60)))
    assert all(np.array_equal(mask, wanted[n % 4]) for n, mask in enumerate(found))


def test_one_question_one_answer(network: Path) -> None:
    with open_runner(network, "fp32", 1) as runner:
        image = np.zeros((1, 1, 64, 64), np.float32)
        with pytest.raises(EngineError, match="no picture was started"):
            runner.finish()
        runner.start(image)
        with pytest.raises(EngineError, match="the picture before is not finished"):
            runner.start(image)
        runner.finish()
        runner.infer(image)  # nothing is left of the slip
        runner.close()
    runner.close()
    with pytest.raises(EngineError, match="is closed"):
        runner.infer(image)


def test_a_sector_is_four_whole_numbers(network: Path) -> None:
    picture = np.full((64, 64), 200, np.uint8)
    with open_segmenter(network, precision="fp32", threads=1) as segment:
        assert segment(picture, (0, 0, 64, 64)).area == segment(picture).area  # type: ignore[arg-type]
        for wrong in ((0.5, 0, 64, 64), "auto", (1, 2)):
            with pytest.raises(InputError, match="four whole numbers"):
                segment(picture, wrong)  # type: ignore[arg-type]
