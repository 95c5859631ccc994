"""The house itself: every room is packaged, nothing points up, nothing reads as it must not."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("engine", "phantom", "train", "calibration", "stream", "commands")
MAY_IMPORT = {
    "engine": set(),
    "phantom": set(),
    "train": {"engine", "phantom"},
    "calibration": {"engine", "phantom", "train"},
    "stream": {"engine", "phantom"},
    "commands": {"engine", "phantom", "train", "calibration", "stream"},
}


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def test_every_package_is_listed() -> None:
    block = (ROOT / "pyproject.toml").read_text().split("\npackages = [", 1)[1].split("]", 1)[0]
    listed = set(re.findall(r'"([^"]+)"', block))
    found = {".".join(("smartca", *path.parent.relative_to(ROOT).parts)) for room in ROOMS for path in modules(room)}
    assert listed == found | {"smartca"}


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_points_up(room: str) -> None:
    for path in modules(room):
        depth = len(path.relative_to(ROOT).parts) - 1  # dots that lead to the root
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level > depth:
                names = [node.module or name.name for name in node.names]
                rooms = {name.split(".")[0] for name in names} & set(ROOMS)
                assert rooms <= MAY_IMPORT[room] | {room}, f"{path.relative_to(ROOT)} imports {rooms}"


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_torch_stays_in_its_room_and_pickle_nowhere() -> None:
    for room in ("engine", "phantom", "stream", "commands"):
        for path in modules(room):
            assert not imports(path) & {"torch", "timm", "torchvision"}, path
    for path in modules("stream"):
        assert not imports(path) & {"pickle", "dill", "marshal", "shelve"}, path


def test_the_phantom_needs_numpy_and_scipy_only() -> None:
    for path in modules("phantom"):
        outside = imports(path) - set(sys.stdlib_module_names) - {"__future__"}
        assert outside <= {"numpy", "scipy"}, path


def test_files_stay_small() -> None:
    for room in ROOMS:
        for path in modules(room):
            assert len(path.read_text().splitlines()) <= 350, f"{path} is crowded: two rooms are easier to live in"


def test_pins_hold_no_address() -> None:
    for name in ("pyproject.toml", "requirements.txt"):
        assert not re.search(r"https?://|index-url", (ROOT / name).read_text()), name


def test_what_ships_is_there_and_small() -> None:
    models = ROOT / "engine" / "models"
    assert 1_000_000 < (models / "smartca-lite.onnx").stat().st_size < 8_000_000
    assert (models / "smartca-lite.json").is_file()
    assert "Not a medical device" in (models / "MODEL_CARD.md").read_text()
