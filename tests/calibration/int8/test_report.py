"""`smartca calibrate report`: a whole page that tells what was found, written also where the gate refuses."""

from __future__ import annotations

import base64
import html
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from smartca.calibration.int8 import figures
from smartca.calibration.int8.findings import Int8Findings, Material
from smartca.calibration.int8.gate import JudgedFrame, Verdict
from smartca.cli import root
from smartca.engine import open_runner
from smartca.engine.letterbox import to_input
from smartca.scores.reliability import LEAST, Reliability
from support.networks import brightness_network, quantised

if TYPE_CHECKING:
    from matplotlib.figure import Figure

pytest.importorskip("onnxruntime", reason="INT8 ranges are found with onnxruntime, of the extra 'build'")
pytest.importorskip("matplotlib", reason="the report is drawn with matplotlib")

SIDE = 64
EMPTY = {"meta", "img", "br"}  # tags without an end


class Page(HTMLParser):
    """A page read tag by tag: whether they close as they opened, the images, and the words."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.open, self.images, self.words, self.tags = list[str](), list[str](), "", set[str]()
        self.feed(file.read_text(encoding="utf-8"))
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        told = dict(attrs)
        assert not told.keys() & {"href", "onload", "srcset"}
        if tag == "img":
            assert told["alt"]
            self.images.append(told["src"] or "")
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data if "style" in self.open else f"{data} "

    def decoded(self) -> list[np.ndarray | None]:
        """Every image: pixels of a PNG, None for an SVG that is well formed."""
        return [_decoded(source) for source in self.images]


def _decoded(source: str) -> np.ndarray | None:
    kind, data = source.removeprefix("data:").split(";base64,")
    if kind == "image/svg+xml":
        assert ElementTree.fromstring(base64.b64decode(data)).tag.endswith("svg")
        return None
    assert kind == "image/png"
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return pixels


def pictures(folder: Path, peak: int = 255, number: int = 24) -> Path:
    """A labelled folder, half of it to calibrate with: a bright square, which is the truth, somewhere in noise."""
    lines = ["file,split"]
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for n in range(number):
        rng = np.random.default_rng(n)
        square = rng.integers(peak // 10, peak // 3, (SIDE, SIDE), dtype=np.uint8)
        top, left, side = rng.integers(4, 20, 3)
        place = (slice(top, top + 16 + side), slice(left, left + 16 + side))
        square[place] = peak
        truth = np.zeros((SIDE, SIDE), np.uint8)
        truth[place] = 255
        cv2.imwrite(str(folder / "images" / f"{n}.png"), square)
        cv2.imwrite(str(folder / "masks" / f"{n}.png"), truth)
        lines.append(f"{n}.png,{'train' if n % 2 else 'val'}")
    (folder / "split.csv").write_text("\n".join(lines))
    return folder


def asked(*arguments: object) -> Result:
    """`smartca calibrate ...` in this process, on OpenVINO where it is a report."""
    return CliRunner().invoke(root, ["calibrate", *map(str, arguments)], obj=0)


def sentence(done: Result) -> str:
    """What a person is told: the command's words, or the error that `smartca` says as one."""
    return f"{done.output}{done.exception}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model and labelled pictures."""
    folder = tmp_path_factory.mktemp("report")
    brightness_network(folder / "bright.onnx")
    pictures(folder / "data")
    return folder


@pytest.fixture(scope="module")
def made(place: Path) -> tuple[Result, Path]:
    """A report on pictures whose truth is known, and where it is."""
    out = place / "report.html"
    model = shutil.copy(place / "bright.onnx", place / "a<b>&.onnx")
    return asked("report", model, "--calibrate", place / "data", "--backend", "openvino", "-o", out), out


def test_the_page_is_whole_and_alone(made: tuple[Result, Path]) -> None:
    done, out = made
    assert done.exit_code == 0, sentence(done)
    assert done.stdout.strip() == str(out)
    assert "the gate lets it pass" in done.stderr
    page = Page(out)
    assert "script" not in page.tags and "link" not in page.tags
    assert html.escape("a<b>&.onnx") in out.read_text(encoding="utf-8")
    assert "b" in page.tags and "a<b>&.onnx" in page.words
    assert "Not a medical device" in page.words
    assert not list(out.parent.glob(".*.partial"))


def test_it_shows_what_was_chosen_compared_and_found(made: tuple[Result, Path], place: Path) -> None:
    page = Page(made[1])
    for title in ("The network", "The gate", "confidence right?", "Ways to find ranges", "Sensitive layers"):
        assert title in page.words
    assert f"12 of 12 from {place / 'data'}, split train" in page.words
    assert f"12 frames of {place / 'data'}, split val" in page.words
    assert "1 of 1" in page.words  # convolutions in INT8
    assert "smartca build" in page.words and "--precision int8" in page.words
    sheet = next(pixels for pixels in page.decoded() if pixels is not None and pixels.ndim == 2)
    rows, columns = sheet.shape  # twelve pictures, ten in a row
    assert 4 < columns / rows < 6
    assert len([pixels for pixels in page.decoded() if pixels is None]) == 5  # scatter, confidence, reach, ways, layers


def test_its_expected_error_is_that_of_all_judged_pixels(made: tuple[Result, Path], place: Path) -> None:
    """Reckoned once more, pixel by pixel; the model is not calibrated, so what it shows is its own q."""
    shown, tear = [], []
    with open_runner(place / "bright.onnx", "fp32", 1) as runner:
        for n in range(0, 24, 2):
            square = cv2.imread(str(place / "data" / "images" / f"{n}.png"), cv2.IMREAD_GRAYSCALE)
            truth = cv2.imread(str(place / "data" / "masks" / f"{n}.png"), cv2.IMREAD_GRAYSCALE)
            assert square is not None and truth is not None
            q = runner.infer(to_input(square.astype(np.uint8))).q
            near = cv2.dilate(truth, cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3))) > 0  # 3 % of 64 pixels
            judged = (q >= LEAST) | near
            shown.append(q[judged].astype(np.float64))
            tear.append(truth[judged] > 0)
    q, hit = np.concatenate(shown), np.concatenate(tear)
    bins = np.minimum((q * 10).astype(int), 9)
    error = sum(abs(q[bins == b].sum() - hit[bins == b].sum()) for b in range(10)) / len(q)
    assert f"{error:.4f} in fp32" in Page(made[1]).words


def test_where_the_gate_refuses_the_page_says_why(place: Path, tmp_path: Path) -> None:
    """Ranges of dim pictures cut off everything that is bright."""
    dim, out = pictures(tmp_path / "dim", peak=30), tmp_path / "report.html"
    arguments = ["report", place / "bright.onnx", "--calibrate", dim, "--gate", place / "data", "-o", out]
    done = asked(*arguments, "--backend", "openvino")
    assert done.exit_code == 1, sentence(done)
    assert "the gate refuses this INT8 engine (12 frames" in done.stderr
    assert "(at most 0.005)" in done.stderr
    words = Page(out).words
    assert "The gate refuses it" in words and "pooled Dice falls by" in words and "To build it" not in words
    assert "Where outlines changed most" in words


def test_ten_black_pictures_make_a_page_that_can_be_read(place: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "black", tmp_path / "report.html"
    folder.mkdir()
    for n in range(10):
        cv2.imwrite(str(folder / f"{n}.png"), np.zeros((SIDE, SIDE), np.uint8))
    arguments = ("report", place / "bright.onnx", "--calibrate", folder, "--backend", "openvino", "-o", out)
    done = asked(*arguments)
    assert done.exit_code != 0 and "fp32 outlines something on none" in sentence(done)
    assert not out.exists()
    asked(*arguments, "--gate", place / "data")
    page = Page(out)
    assert "All pictures look the same" in page.words and "1 of 10" in page.words
    assert "No outline changed on the pictures tried" in page.words
    assert "12 frames of" in page.words
    assert re.search(r"split val, ([3-9]|1[0-2]) of which carry an outline in either", page.words)
    assert "nan" not in page.words.split()


def test_figures_have_room_for_what_they_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """One frame alone stands on a scale of whole frames, and a legend covers no curve."""
    drawn: list[Figure] = []
    monkeypatch.setattr(figures, "svg", lambda figure: drawn.append(figure) or "")
    verdict = Verdict({}, [JudgedFrame(None, None, 0.97)])
    figures.scatter(Int8Findings(Material([], [], "these", "those"), verdict=verdict))
    told = Reliability(np.array([0.2, 0.8]), np.array([0.9, 1.0]), np.array([5, 5]))
    figures.reliability_figure(told, told)
    (frames,), (curves,) = drawn[0].axes, drawn[1].axes
    assert (frames.get_xlim(), frames.get_ylim()) == ((0.5, 2.5), (0.0, 1.01))
    drawn[1].draw_without_rendering()
    (legend,) = drawn[1].legends
    assert curves.get_legend() is None
    assert not legend.get_window_extent().overlaps(curves.get_window_extent())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-o", "new.html"], "Missing option '--calibrate'"),
        (["--calibrate", "nowhere"], "Missing option '-o'"),
        (["--calibrate", "nowhere", "-o", "new.pdf"], "does not end in .html"),
        (["--calibrate", "nowhere", "-o", "old.html/new.html"], "may not be written"),
        (["--calibrate", "nowhere", "-o", "taken.html"], "is a folder"),
        (["gone.onnx", "--calibrate", "nowhere", "-o", "new.html"], "no .onnx file at gone.onnx"),
        (["narrow.onnx", "--calibrate", "nowhere", "-o", "new.html"], "INT8 ranges of its own"),
        (["bright.onnx", "--calibrate", "nowhere", "-o", "old.html"], "no file or folder"),
    ],
)
def test_what_cannot_be_is_one_sentence_before_the_work(
    arguments: list[str], says: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(place / "bright.onnx", tmp_path)
    quantised(tmp_path / "narrow.onnx", place / "bright.onnx")
    (tmp_path / "taken.html").mkdir()
    (tmp_path / "old.html").write_text("of last week")
    done = asked("report", *arguments)
    assert done.exit_code != 0
    assert says in sentence(done)
    assert not Path("new.html").exists()
    assert Path("old.html").read_text() == "of last week"


@pytest.mark.parametrize("package", ["matplotlib", "onnxruntime"])
def test_a_missing_package_is_named_before_the_work(
    package: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package] or [package]:
        monkeypatch.setitem(sys.modules, name, None)
    done = asked("report", place / "bright.onnx", "--calibrate", "nowhere", "-o", tmp_path / "new.html")
    assert isinstance(done.exception, ImportError)
    assert package in str(done.exception) and "pip install" in str(done.exception)


def test_calibrate_itself_goes_on(place: Path) -> None:
    told = asked("--help").stdout
    assert "--recall" in told and "report" in told
    assert "Missing option '--model'" in sentence(asked())
    assert "--recall stands before report" in sentence(
        asked("--recall", "0.8", "report", "--calibrate", "x", "-o", "y")
    )
    pytest.importorskip("torch", reason="calibrating needs the extra 'train'")
    assert "no/such" in sentence(asked("--model", place / "bright.onnx", "--diagram", "no/such/diagram.png"))


def test_calibrate_itself_stores_the_operating_point(place: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="calibrating needs the extra 'train'")
    model = shutil.copy(place / "bright.onnx", tmp_path)
    done = asked("--model", model, "--data", place / "data", "--threads", 1)
    assert done.exit_code == 0, sentence(done)
    assert "threshold" in done.stderr and (tmp_path / "bright.json").is_file()
