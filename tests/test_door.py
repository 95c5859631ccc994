"""`import smartca`: quick, complete, and five lines away from an outline."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import time
from typing import get_args

import numpy as np
import pytest
import smartca
from smartca import plugins
from support.paths import ROOT

HEAVY = {"openvino", "torch", "onnx", "matplotlib", "rich", "aiohttp", "scipy", "av", "zmq", "click"}


@pytest.mark.parametrize(
    ("code", "heavy"),
    [("", {*HEAVY, "numpy", "cv2"}), ("smartca.Sector, smartca.Source, smartca.Segmenter", HEAVY)],
)
def test_nothing_heavy_is_imported(code: str, heavy: set[str]) -> None:
    words = f"import sys, smartca\n{code}\nfound = {heavy} & sys.modules.keys()\nassert not found, found"
    subprocess.run([sys.executable, "-c", words], check=True)


def test_the_import_is_quick() -> None:
    code = "import time; t = time.perf_counter(); import smartca; print(time.perf_counter() - t)"
    spent = []
    for _ in range(5):  # another process may have the machine just now
        spent.append(float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout))
        if spent[-1] < 0.2:
            break
        time.sleep(0.5)
    assert min(spent) < 0.2


def test_every_name_is_there_and_its_type_is_the_one_that_pyright_sees() -> None:
    told = {}
    for node in ast.walk(ast.parse((ROOT / "__init__.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.level and node.module not in ("errors", "version"):
            told |= {name.name: node.module for name in node.names}
    assert told == smartca._PLACES
    assert set(smartca.__all__) == {*told, "SmartcaError", "__version__"}
    for name, place in told.items():
        assert getattr(smartca, name) is getattr(importlib.import_module(f"smartca.{place}"), name)
    assert set(smartca.__all__) <= set(dir(smartca))
    with pytest.raises(AttributeError, match="no attribute 'segment_all'"):
        _ = smartca.segment_all  # type: ignore[attr-defined]


def test_types_are_shipped() -> None:
    assert (ROOT / "py.typed").is_file()
    assert 'smartca = ["py.typed"]' in (ROOT / "pyproject.toml").read_text()


def test_five_lines_outline_an_array() -> None:
    with smartca.open_source("phantom:frames=1") as source:
        picture = next(source.pictures())
    with smartca.open_segmenter() as segment:
        found = segment(picture.pixels)
        colour = segment(np.repeat(picture.pixels[:, :, None], 3, axis=2))
    assert found.mask.shape == picture.pixels.shape and found.mask.dtype == np.bool_
    assert found.area == found.mask.sum() > 1000 and 0.5 < found.confidence <= 1.0
    assert np.array_equal(colour.mask, found.mask)
    assert picture.truth is not None and (found.mask & picture.truth).sum() > 0.5 * picture.truth.sum()


def test_the_document_names_everything() -> None:
    told = (ROOT / "docs" / "python.md").read_text()
    named = {*smartca.__all__, *get_args(plugins.Group), *(path.name for path in (ROOT / "examples").glob("*.py"))}
    assert [name for name in named - {"__version__"} if name not in told] == []
