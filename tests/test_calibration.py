from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from smartca.calibration.command import calibrate as calibrate_file
from smartca.calibration.operating import REAL, Labelled, calibrate
from smartca.engine import Answer, EngineError
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
        yield Labelled(pixels, mask > 0, Sector(20, 10, 120, 100))


def brightness(square: NDArray[np.uint8]) -> Answer:
    return Answer(np.divide(square, 255, dtype=np.float32))


def test_calibrated_point_reaches_the_recall_and_drops_specks() -> None:
    found = calibrate(brightness, frames(), 0.9, size=64, model_sha256="ab")
    assert found.point.recall_found is not None and found.point.recall_found >= 0.9
    assert found.point.min_area > 1 and found.counts.false_positive_frames == 0
    assert (found.counts.dice_pooled or 0) > 0.9
    assert 40 / 255 < found.point.raw_threshold < 180 / 255
    assert found.point.model_sha256 == "ab"


def test_the_wish_for_more_recall_lowers_the_threshold() -> None:
    def unsure(square: NDArray[np.uint8]) -> Answer:
        noise = np.random.default_rng(5).normal(0, 0.2, square.shape)
        return Answer(np.clip(square / 255 + noise, 0.001, 0.999).astype(np.float32))

    low, high = (calibrate(unsure, frames(), recall, size=64).point for recall in (0.3, 0.99))
    assert high.raw_threshold < low.raw_threshold
    assert (high.recall_found or 0) >= 0.98


def test_real_pictures_and_strangeness_decide_too() -> None:
    """A classifier that knows the real pictures' false spots, and frames of which one is far from the others."""

    def knowing(square: NDArray[np.uint8]) -> Answer:
        real = int(square[square > 0].min()) > 50
        return Answer(brightness(square).q, 0.05 if real else 0.95, 4.0 if real else 1.0)

    rng = np.random.default_rng(3)
    real = []
    for _ in range(20):
        pixels = rng.integers(60, 70, (120, 160), dtype=np.uint8)
        pixels[40:70, 60:90] = 180  # as large as the tears: only the classifier can tell
        real.append(Labelled(pixels, np.zeros(pixels.shape, bool), Sector(20, 10, 120, 100), REAL))
    found = calibrate(knowing, [*frames(60), *real], 0.9, size=64)
    assert found.groups[REAL].negative_frames == 20 and found.groups[REAL].false_positive_frames == 0
    assert 0.05 < found.point.tear_threshold <= 0.5
    assert found.point.strange_limit == pytest.approx(9.2)
    assert (found.groups["data"].dice_pooled or 0) > 0.9


def test_without_such_answers_nothing_is_strange() -> None:
    assert calibrate(brightness, frames(), 0.9, size=64).point.strange_limit is None


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
