from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from smartca.calibration.command import calibrate as calibrate_file
from smartca.calibration.operating import Labelled, calibrate
from smartca.calibration.threshold import counted, smallest_area, spots
from smartca.engine import EngineError
from smartca.engine.pixels import Sector
from smartca.train.scores import Histograms, logit


def test_histogram_scores_are_those_of_the_pixels() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random((50, 50)) < 0.2
    x = rng.normal(np.where(truth, 1, -1), 1.0)
    counts = Histograms()
    counts.add(x, truth)
    for score in counts.scores()[200:280:8]:
        marked = x >= score.logit
        tp = (marked & truth).sum()
        assert score.dice == pytest.approx(2 * tp / (marked.sum() + truth.sum()))
        assert score.recall == pytest.approx(tp / truth.sum())
        assert score.precision == pytest.approx(tp / marked.sum())
    assert counts.best().dice == max(score.dice for score in counts.scores())
    assert counts.best(recall=0.95).recall >= 0.95
    assert counts.best(recall=1.1) == counts.best()


def test_logit_of_extremes_is_finite() -> None:
    assert np.isfinite(logit(np.array([0.0, 1.0], np.float32))).all()


def frame_with(*squares: tuple[int, int], truth: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """An outline of squares (side, column), of which the first `truth` are tears."""
    outlined, real = np.zeros((40, 100), bool), np.zeros((40, 100), bool)
    for n, (side, column) in enumerate(squares):
        outlined[2 : 2 + side, column : column + side] = True
        if n < truth:
            real[2 : 2 + side, column : column + side] = True
    return outlined, real


def test_small_spots_are_left_out_of_the_count() -> None:
    frames = [spots(*frame_with((20, 0), (3, 50), truth=1)), spots(*frame_with((4, 10)))]
    whole_count, sifted = counted(frames, 0), counted(frames, 17)
    assert (whole_count.tp, whole_count.fp, whole_count.false_positive_frames) == (400, 9 + 16, 1)
    assert (sifted.tp, sifted.fp, sifted.fn, sifted.false_positive_frames) == (400, 0, 0, 0)
    assert sifted.negative_frames == 1


def test_the_smallest_area_that_clears_intact_frames_is_chosen() -> None:
    intact = [spots(*frame_with((5, 10)))] + [spots(*frame_with())] * 9
    torn = [spots(*frame_with((25, 0), truth=1))] * 10
    assert smallest_area(intact + torn) == 32  # the first above 25 pixels


def test_area_is_not_bought_with_real_tears() -> None:
    intact = [spots(*frame_with((15, 10)))] * 10
    torn = [spots(*frame_with((10, 0), truth=1))] * 10
    assert smallest_area(intact + torn) == 96  # tears of 100 pixels must stay


def frames(count: int = 12) -> Iterator[Labelled]:
    """Screens with a sector inside; a third of them intact, with one bright speck, the others with a tear."""
    rng = np.random.default_rng(0)
    for n in range(count):
        mask = np.zeros((120, 160), np.uint8)
        if n % 3:
            cv2.circle(mask, (int(rng.integers(60, 100)), int(rng.integers(40, 80))), 14, 1, -1)
        pixels = np.where(mask > 0, 180, 40).astype(np.uint8)
        if n % 3 == 0:
            pixels[60:63, 80:83] = 180
        yield pixels, mask > 0, Sector(20, 10, 120, 100)


def brightness(square: np.ndarray) -> NDArray[np.float32]:
    return np.divide(square, 255, dtype=np.float32)


def test_calibrated_point_reaches_the_recall_and_drops_specks() -> None:
    found = calibrate(brightness, frames(), 0.9, size=64, model_sha256="ab")
    assert found.point.recall_found is not None and found.point.recall_found >= 0.9
    assert found.point.min_area > 1 and found.counts.false_positive_frames == 0
    assert (found.counts.dice_pooled or 0) > 0.9
    assert 40 / 255 < found.point.raw_threshold < 180 / 255
    assert found.point.model_sha256 == "ab"


def test_the_wish_for_more_recall_lowers_the_threshold() -> None:
    def unsure(square: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(5).normal(0, 0.2, square.shape)
        return np.clip(square / 255 + noise, 0.001, 0.999).astype(np.float32)

    low, high = (calibrate(unsure, frames(), recall, size=64).point for recall in (0.3, 0.99))
    assert high.raw_threshold < low.raw_threshold
    assert (high.recall_found or 0) >= 0.98


@pytest.mark.parametrize("recall", [0.0, 1.0, 90.0])
def test_a_recall_that_is_no_share_is_refused(recall: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        calibrate(brightness, frames(), recall)


def test_files_that_are_no_models_are_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no model at .*model\.onnx"):
        calibrate_file(model=tmp_path / "model.onnx")
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(EngineError, match=r"model\.onnx is not a readable ONNX"):
        calibrate_file(model=tmp_path / "model.onnx", seeds=1, frames=1)


def test_the_shipped_model_calibrates_to_a_file_beside_it(tmp_path: Path) -> None:
    import shutil

    import smartca.engine.models as models
    from smartca.engine.operating_point import load, sha256

    shipped = Path(str(models.__file__)).parent / "smartca-lite.onnx"
    model = tmp_path / "copy.onnx"
    shutil.copy(shipped, model)
    found = calibrate_file(model=model, seeds=6, frames=1, diagram=tmp_path / "d.png", threads=1)
    assert load(model, sha256(model)) == found.point
    assert found.point.fitted_on == "phantom seeds 89994-89999, 1 frames each"
    assert (found.counts.dice_pooled or 0) > 0.7
    assert (tmp_path / "d.png").stat().st_size > 1000
