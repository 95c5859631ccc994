from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from smartca.calibration.calibrate import calibrate as calibrate_file
from smartca.calibration.operating import REAL, Labelled, find_point
from smartca.engine import Answer, EngineError
from smartca.engine.building.assembly import Options
from smartca.engine.building.build import build_engine
from smartca.engine.building.output_checks import refuse_point
from smartca.engine.operating_point import load_point
from smartca.files import sha256
from smartca.pictures.pixels import Sector
from smartca.scores.histograms import Histograms, logit
from support.labelled_forms import FORMS, TEAR, Command, as_masks, command, mask, pixels


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
    found = find_point(brightness, frames(), 0.9, size=64, model_sha256="ab")
    assert found.point.recall_found is not None and found.point.recall_found >= 0.9
    assert found.point.min_area > 1 and found.counts.false_positive_frames == 0
    assert (found.counts.dice_pooled or 0) > 0.9
    assert 40 / 255 < found.point.raw_threshold < 180 / 255
    assert found.point.model_sha256 == "ab"


def test_the_wish_for_more_recall_lowers_the_threshold() -> None:
    def unsure(square: NDArray[np.uint8]) -> Answer:
        noise = np.random.default_rng(5).normal(0, 0.2, square.shape)
        return Answer(np.clip(square / 255 + noise, 0.001, 0.999).astype(np.float32))

    low, high = (find_point(unsure, frames(), recall, size=64).point for recall in (0.3, 0.99))
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
    found = find_point(knowing, [*frames(60), *real], 0.9, size=64)
    assert found.groups[REAL].negative_frames == 20 and found.groups[REAL].false_positive_frames == 0
    assert 0.05 < found.point.tear_threshold <= 0.5
    assert found.point.strange_limit == pytest.approx(9.2)
    assert (found.groups["data"].dice_pooled or 0) > 0.9


def test_without_such_answers_nothing_is_strange() -> None:
    assert find_point(brightness, frames(), 0.9, size=64).point.strange_limit is None


@pytest.mark.parametrize("recall", [0.0, 1.0, 90.0])
def test_a_recall_that_is_no_share_is_refused(recall: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        find_point(brightness, frames(), recall)


def test_files_that_are_no_models_are_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no model at .*model\.onnx"):
        calibrate_file(model=tmp_path / "model.onnx")
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(EngineError, match=r"model\.onnx is not a readable ONNX"):
        calibrate_file(model=tmp_path / "model.onnx", seeds=1, frames=1)


def test_the_shipped_model_calibrates_to_a_file_beside_it(tmp_path: Path) -> None:
    import shutil

    import smartca.engine.models as models

    shipped = Path(str(models.__file__)).parent / "smartca-lite.onnx"
    model = tmp_path / "copy.onnx"
    shutil.copy(shipped, model)
    found = calibrate_file(model=model, seeds=6, frames=1, diagram=tmp_path / "d.png", threads=1)
    assert load_point(model, sha256(model)) == found.point
    assert found.point.fitted_on == (
        "phantom seeds 89994-89999 of the recipes "
        "usual, other-shapes, other-textures, other-scanners in turn, 1 frames each"
    )
    assert (found.counts.dice_pooled or 0) > 0.7
    assert (tmp_path / "d.png").stat().st_size > 1000


@pytest.fixture
def smartca(capfd: pytest.CaptureFixture[str]) -> Command:
    """A command of ours in this process: exit code and stderr in one line."""
    return command(capfd)


@pytest.mark.parametrize("name", FORMS)
def test_every_form_calibrates_to_the_same_point(name: str, tmp_path: Path, network: Path, smartca: Command) -> None:
    """Through the command: the three pictures of the split val, two of which hold the bright box that is the tear."""
    form = FORMS[name](tmp_path / name)
    code, told = smartca("calibrate", "--model", network, "--data", form.data, *form.choice, "--threads", 1)
    assert code == 0 and f"on 3 pictures of {form.data.name}, split val" in told
    found = load_point(network, sha256(network))
    expected = calibrate_file(model=network, data=str(as_masks(tmp_path / "same").data), mask_value=TEAR, threads=1)
    assert found.raw_threshold == expected.point.raw_threshold and (found.recall_found or 0) >= 0.9
    assert expected.counts.tp + expected.counts.fn == sum(int((mask(n) == TEAR).sum()) for n in (6, 7, 8))
    assert (expected.counts.dice_pooled or 0) > 0.7


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--data", "masks", "--mask-value", 7], "is 7 the tear's mask value?"),
        (["--data", "masks", "--label", "tear"], "has masks, which have values and no labels"),
        (["--data", "coco"], "has several labels; give --label with the tear's: bone, tear"),
        (["--data", "coco", "--label", "cuff"], "has no label cuff; it has bone, tear"),
        (["--data", "nowhere"], "there is no file or folder nowhere"),
        (["--label", "tear"], "phantoms have tears only; leave --mask-value and --label out"),
        (["--data", "masks", "--diagram", "nofolder/x.png"], "make it first, for --diagram"),
        (["--data", "masks", "--diagram", "masks"], "does not end in .png"),
        (["--data", "masks", "--diagram", "folder.png"], "folder.png is a folder"),
        (["--data", "masks", "--negatives", "trainonly"], "gives no picture to the split val or validate or valid"),
        (["--data", "masks", "--recall", 0], "0.0 is not in the range 0<x<1"),
        (["--data", "masks", "--recall", 1], "1.0 is not in the range 0<x<1"),
        (["--data", "masks", "--recall", "nan"], "nan is not a number to work with"),
    ],
)
def test_what_calibration_refuses_leaves_nothing(
    options: list[object], says: str, tmp_path: Path, network: Path, smartca: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("masks", "coco"):
        FORMS[name](tmp_path / name)
    (tmp_path / "coco" / "annotations" / "instances_default.json").rename(tmp_path / "coco" / "_annotations.coco.json")
    for folder in ("folder.png", "trainonly"):
        (tmp_path / folder).mkdir()
    cv2.imwrite("trainonly/0.png", pixels(3))
    (tmp_path / "trainonly" / "negatives.csv").write_text("file,x,y,width,height,split\n0.png,0,0,64,48,train\n")
    before = sorted(tmp_path.rglob("*"))
    code, told = smartca("calibrate", "--model", network, "--threads", 1, *options)
    assert code == 2 and says in told and "Traceback" not in told
    assert sorted(tmp_path.rglob("*")) == before


def test_pictures_without_a_tear_count_too(tmp_path: Path, network: Path, smartca: Command) -> None:
    form = as_masks(tmp_path / "masks")
    (tmp_path / "negatives").mkdir()
    for n in range(2):
        cv2.imwrite(str(tmp_path / "negatives" / f"{n}.png"), np.kron(pixels(3), np.ones((4, 4), np.uint8)))
    table = "file,x,y,width,height,split\n0.png,0,0,256,192,val\n1.png,0,0,256,192,train\n"
    (tmp_path / "negatives" / "negatives.csv").write_text(table)
    options = ["--data", form.data, *form.choice, "--negatives", tmp_path / "negatives", "--threads", 1]
    code, told = smartca("calibrate", "--model", network, *options)
    assert code == 0 and "; 1 real pictures without a tear, as they are and lit as a shoulder's" in told
    assert "warning: only 2 pictures show a tear" in told


def test_what_is_outlined_wrongly_is_told_and_stored_all_the_same(
    tmp_path: Path, network: Path, smartca: Command
) -> None:
    """The truth is dark, and the network outlines what is bright."""
    folder, random = tmp_path / "dark", np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    lines = ["file,split"]
    for n in range(12):
        picture, mask = random.integers(0, 256, (64, 64), np.uint8), np.zeros((64, 64), np.uint8)
        mask[30:36, 30:36] = 255
        cv2.imwrite(str(folder / "images" / f"{n}.png"), np.where(mask, 0, picture))
        cv2.imwrite(str(folder / "masks" / f"{n}.png"), mask)
        lines.append(f"{n}.png,val")
    (folder / "split.csv").write_text("\n".join(lines))
    code, told = smartca("calibrate", "--model", network, "--data", folder, "--threads", 1)
    assert code == 0 and network.with_suffix(".json").is_file()
    assert "warning: most of what it outlines is no tear: precision 0." in told and "show a tear" not in told


def test_what_was_built_is_not_calibrated_but_its_model(tmp_path: Path, network: Path) -> None:
    made = build_engine(
        network, Options("openvino", "bf16", out=tmp_path / "b.onnx"), lambda *told: None, tmp_path / "cache"
    )
    with pytest.raises(EngineError, match=f"run `smartca calibrate --model {network}`, then `smartca build"):
        calibrate_file(model=made, seeds=1)


def test_a_file_that_is_no_operating_point_is_kept(network: Path) -> None:
    other = network.with_suffix(".json")
    other.write_text('{"annotations": []}')
    with pytest.raises(ValueError, match="is there already and is no operating point"):
        calibrate_file(model=network, seeds=1)
    assert other.read_text() == '{"annotations": []}'


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder is known here that nobody may write into")
def test_a_place_that_cannot_be_written_is_found_before_the_work() -> None:
    with pytest.raises(OSError, match=r"/proc/x\.json cannot be written"):
        refuse_point(Path("/proc/x.onnx"))


def test_a_diagram_needs_matplotlib_before_the_work(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="needs matplotlib"):
        calibrate_file(model=network, seeds=1, diagram=network.with_suffix(".png"))
    assert not network.with_suffix(".json").exists()
