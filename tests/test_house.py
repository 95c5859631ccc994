"""The house itself: no import goes round in a circle or up a floor, rooms stay small, every one of them is packaged."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from pathlib import Path

import house
import pytest
from support.paths import ROOT

FOUND = house.modules()
GRAPH = house.imports(FOUND)
ROOMS = sorted(name for name, path in FOUND.items() if path.name == "__init__.py" and name != "smartca")
OUTER = sorted({house.room(name) for name in FOUND})


def files_of(*rooms: str) -> list[Path]:
    return [path for name, path in FOUND.items() if house.room(name) in rooms]


def test_the_imports_of_every_file_are_read() -> None:
    """What the tests below stand on: lazy imports and imports of a module by its package are seen."""
    assert "engine.nvidia.tensorrt_runner" in GRAPH["engine.opening"]  # inside a function
    assert "engine.operating_point" in GRAPH["engine.plan"]  # from . import operating_point
    assert len(FOUND) > 150


def test_no_import_goes_round_in_a_circle() -> None:
    """Among files: lazy imports count, and so do those for types."""
    assert house.circle(GRAPH) == []


@pytest.mark.parametrize("within", [name for name in ROOMS if any(room.startswith(f"{name}.") for room in ROOMS)])
def test_no_circle_goes_through_an_inner_room(within: str) -> None:
    """Between the inner rooms of one room and the files beside them."""
    assert house.circle(house.folded(GRAPH, within)) == []


@pytest.mark.parametrize("name", sorted(FOUND))
def test_nothing_points_up(name: str) -> None:
    floor = house.floor_of(house.room(name))
    for target in GRAPH[name]:
        same = house.room(target) == house.room(name)
        assert same or house.floor_of(house.room(target)) < floor, f"{name} imports {target}"


@pytest.mark.parametrize(
    "line",
    [
        "from smartca.commands.streaming import live",
        "import smartca.commands.streaming.live",
        'import importlib; importlib.import_module("smartca.commands.streaming.live")',
        "def later():\n    from ..commands.streaming import live",
    ],
)
def test_an_import_by_the_full_name_is_seen(line: str, tmp_path: Path) -> None:
    (tmp_path / "sneak.py").write_text(line)
    seen = house.imports({**FOUND, "pictures.sneak": tmp_path / "sneak.py"})["pictures.sneak"]
    assert "commands.streaming.live" in seen or "commands.streaming" in seen


def test_circles_and_high_imports_would_be_found() -> None:
    assert set(house.circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}
    tangled = {"r.x.one": {"r.y.two"}, "r.y.three": {"r.x.four"}, "r.x.four": set(), "r.y.two": set()}
    assert house.circle(tangled) == [] and house.circle(house.folded(tangled, "r"))


def test_every_package_is_listed() -> None:
    block = (ROOT / "pyproject.toml").read_text().split("\npackages = [", 1)[1].split("]", 1)[0]
    assert set(re.findall(r'"([^"]+)"', block)) == {f"smartca.{name}" for name in ROOMS} | {"smartca"}


@pytest.mark.parametrize("name", ROOMS)
def test_rooms_stay_small(name: str) -> None:
    inside = [other for other in FOUND if other.rpartition(".")[0] == name and other not in ROOMS]
    assert len(inside) <= house.MOST_FILES, f"{name} is crowded: two rooms are easier to live in"


@pytest.mark.parametrize("name", ROOMS)
def test_every_room_says_what_it_holds(name: str) -> None:
    said = ast.get_docstring(ast.parse(FOUND[name].read_text())) or ""
    assert said or name.endswith((".models", ".cines")), f"{name}/__init__.py has no docstring"


# names that several files give to the same role
SAME_ROLE = {
    # a command and the function that does its work
    *("adapt", "adopt", "attach", "bench", "calibrate", "classify", "evaluate", "export"),
    *("segment", "serve", "study", "view"),
    *("inspect", "is_quantised"),  # one for each library
    *("Grey", "Floats", "Spacing"),  # phantom/ knows nothing of pictures/
    "log",  # every file's own logger
}


def test_one_name_stands_for_one_thing() -> None:
    """No public function or class, nor a constant that other files import, has the name of another."""
    places: dict[str, set[str]] = defaultdict(set)
    imported: set[str] = set()
    for module, path in FOUND.items():
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].add(module)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                imported |= {alias.name for alias in node.names}
    constants: dict[str, set[str]] = defaultdict(set)
    for module, path in FOUND.items():
        for node in ast.parse(path.read_text()).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for target in targets:
                if isinstance(target, ast.Name) and target.id in imported:
                    constants[target.id].add(module)
    for name in constants:
        places[name] |= constants[name]
    twice = {name: sorted(where) for name, where in places.items() if len(where) > 1 and name not in SAME_ROLE}
    assert not twice


def test_files_stay_small() -> None:
    for path in FOUND.values():
        assert len(path.read_text().splitlines()) <= 350, f"{path} is crowded: two files are easier to read"


def test_the_picture_shows_the_house_as_it_is() -> None:
    assert house.PICTURE.read_text() == house.draw(FOUND, GRAPH), "run `uv run python docs/house.py`"


def foreign(path: Path) -> set[str]:
    """The packages that are not ours which a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_torch_stays_in_its_room_and_pickle_nowhere() -> None:
    for path in files_of(*(room for room in OUTER if room not in ("train", "calibration"))):
        assert not foreign(path) & {"torch", "timm", "torchvision"}, path
    for path in files_of("stream"):
        assert not foreign(path) & {"pickle", "dill", "marshal", "shelve"}, path


def test_the_live_page_is_imported_by_who_shows_it_only() -> None:
    """aiohttp takes a quarter of a second, which attach and serve need not wait for."""
    reached, waiting = set(), ["stream.run.attaching", "stream.run.serving", "stream.run.watching"]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting += [target for target in GRAPH[name] if target not in reached]
    assert "stream.displays.page.hub" not in reached


def test_the_phantom_needs_numpy_and_scipy_only() -> None:
    for path in files_of("phantom"):
        assert foreign(path) - set(sys.stdlib_module_names) - {"__future__"} <= {"numpy", "scipy"}, path


def test_pins_hold_no_address() -> None:
    for name in ("pyproject.toml", "requirements.txt"):
        assert not re.search(r"https?://|index-url", (ROOT / name).read_text()), name


def test_pins_stand_where_uv_run_reads_them() -> None:
    assert not (ROOT / "uv.toml").exists(), "uv would take its settings from there, but not its pins"
    assert len(re.findall(r'^    "[^"]+==[^"]+",$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)) > 100


def test_what_ships_is_there_and_small() -> None:
    models = ROOT / "engine" / "models"
    assert 1_000_000 < (models / "smartca-lite.onnx").stat().st_size < 8_000_000
    assert (models / "smartca-lite.json").is_file()
    assert "Not a medical device" in (models / "MODEL_CARD.md").read_text()


BUILT_IN = {"Exception", "ValueError", "OSError", "RuntimeError", "ImportError", "FileNotFoundError", "PermissionError"}


@pytest.mark.parametrize("name", sorted(FOUND))
def test_what_is_raised_with_a_message_is_a_smartca_error(name: str) -> None:
    """For people: see errors.py. A built-in exception with a message would be told as a bug of ours.

    One with an errno, its words and a file's name is the system's, and says as much.
    """
    for node in ast.walk(ast.parse(FOUND[name].read_text())):
        raised = node.exc if isinstance(node, ast.Raise) else None
        if isinstance(raised, ast.Call) and isinstance(raised.func, ast.Name) and 0 < len(raised.args) < 3:
            assert raised.func.id not in BUILT_IN, f"line {raised.lineno} raises {raised.func.id}: see errors.py"


@pytest.mark.parametrize("name", sorted(FOUND))
def test_loggers_are_called_log_and_named_by_their_module(name: str) -> None:
    words = FOUND[name].read_text()
    for line in re.findall(r"^.*= logging\.getLogger\(.*$", words, re.MULTILINE):
        assert line == "log = logging.getLogger(__name__)" or "getLogger(name)" in line
