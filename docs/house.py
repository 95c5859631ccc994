"""The house, read from its own imports: who imports whom, whether that goes round in a circle, and a picture of it.

    uv run python docs/house.py          # draws docs/img/house.svg anew

tests/test_house.py holds the same imports against FLOORS, and the picture against the imports.
"""

from __future__ import annotations

import ast
import textwrap
from collections import defaultdict
from collections.abc import Collection
from graphlib import CycleError, TopologicalSorter
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "img" / "house.svg"
ELSEWHERE = ("tests", "benchmarks", "docs", "studies", "examples", "build", "dist", "runs")
# from the ground up: a room imports only rooms of lower floors; a file at the root is a room of its own
FLOORS = (
    ("version", "errors"),
    ("onnx_bytes",),
    ("files",),
    ("logs",),
    ("plugins",),
    ("phantom", "pictures"),
    ("scores",),
    ("engine",),
    ("stream", "train"),
    ("evaluation",),
    ("calibration",),
    ("adapting",),
    ("commands",),
    ("cli", "smartca"),
    ("__main__",),
)
MOST_FILES = 16  # in one room, its __init__.py not counted
Graph = dict[str, set[str]]
Place = tuple[int, int]  # of a box' upper left corner in the picture


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Every module of the package by its dotted name without 'smartca.'; the package itself is 'smartca'."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[0] not in ELSEWHERE and not any(part.startswith(".") for part in parts):
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "smartca"] = path
    return found


def imports(found: dict[str, Path]) -> Graph:
    """module -> the modules of ours it imports: at its top, inside functions, or for types only."""
    return {name: _imported(name, path, found) - {name} for name, path in found.items()}


def _imported(name: str, path: Path, found: dict[str, Path]) -> set[str]:
    package = path.parts[-1] == "__init__.py"
    here = [] if name == "smartca" else name.split(".") if package else name.split(".")[:-1]
    targets = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: len(here) - node.level + 1]
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{module}.{alias.name}" if module else alias.name
                targets.add(inner if inner in found else module or "smartca")
        targets |= {_known(target, found) for target in _absolute(node)}
    return targets


def _absolute(node: ast.AST) -> list[str]:
    """The modules of ours that a line names in full: an absolute import, or a call that imports by name."""
    named: list[str] = []
    if isinstance(node, ast.Import):
        named = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and not node.level:
        named = [f"{node.module}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
        named = [str(word.value) for word in node.args[:1] if isinstance(word, ast.Constant)]
    return [name for name in named if name.split(".")[0] == "smartca"]


def _known(name: str, found: dict[str, Path]) -> str:
    """The module that a full name means: itself, or the one that holds it."""
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in found:
        parts.pop()
    return ".".join(parts) or "smartca"


def room(module: str) -> str:
    """The outermost folder of a module; of a file at the root, the file."""
    return module.split(".")[0]


def circle(graph: Graph) -> list[str]:
    """One circle of imports, its first module once more at the end; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def folded(graph: Graph, within: str) -> Graph:
    """The same imports between the files and the inner rooms of one room: each inner room is a single point."""

    def point(module: str) -> str:
        parts, depth = module.split("."), within.count(".") + 2
        return ".".join(parts[:depth])

    inside = {name: targets for name, targets in graph.items() if name.startswith(f"{within}.")}
    found: Graph = defaultdict(set)
    for name, targets in inside.items():
        found[point(name)] |= {point(target) for target in targets if target.startswith(f"{within}.")} - {point(name)}
    return dict(found)


def between_rooms(graph: Graph) -> Graph:
    """room -> the rooms that it imports."""
    found: Graph = defaultdict(set)
    for name, targets in graph.items():
        found[room(name)] |= {room(target) for target in targets} - {room(name)}
    return dict(found)


def floor_of(name: str) -> int:
    """On which floor a room stands. Raises KeyError where FLOORS does not say."""
    return {room: number for number, rooms in enumerate(FLOORS) for room in rooms}[name]


def needed(graph: Graph) -> Graph:
    """Without what is reached through another room as well: few enough arrows to be drawn."""

    def reached(start: str) -> set[str]:
        below = set(graph.get(start, ()))
        return below.union(*(reached(name) for name in below)) if below else below

    return {
        name: {target for target in targets if not any(target in reached(other) for other in targets - {target})}
        for name, targets in graph.items()
    }


# ---- the picture: two columns, a floor a row ----

WIDE, HIGH, ROW, COLUMN, MARGIN = 340, 84, 118, 420, 24
RIGHT = {"train", "scores", "phantom"}
SMALL = 'font-size="12"'


def draw(found: dict[str, Path], graph: Graph) -> str:
    """The rooms on their floors as SVG; an arrow reads 'imports', and is left out where another way leads there."""
    rooms = [name for name in {room(module) for module in found} if found.get(name, ROOT).name == "__init__.py"]
    rooms = sorted((name for name in rooms if name != "smartca"), key=lambda name: (floor_of(name), name))
    rows = sorted({floor_of(name) for name in rooms}, reverse=True)
    places = {name: (MARGIN + COLUMN * (name in RIGHT), 70 + ROW * rows.index(floor_of(name))) for name in rooms}
    arrows = needed({name: between_rooms(graph).get(name, set()) & set(rooms) for name in rooms})
    width, height = 2 * MARGIN + COLUMN + WIDE, 80 + ROW * len(rows)
    body = [_arrow(places[name], places[target], places.values()) for name in rooms for target in sorted(arrows[name])]
    body += [_box(name, *places[name], found) for name in rooms]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" '
        'font-size="14">\n<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0,0 L10,5 L0,10 z" fill="#334155"/></marker></defs>\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n'
        f'<text x="{MARGIN}" y="32" font-weight="700">The rooms, as their imports are</text>\n'
        f'<text x="{MARGIN}" y="52" {SMALL} fill="#64748b">an arrow reads \'imports\'; none points up, and what is '
        "reached through another room is left out</text>\n" + "\n".join(body) + "\n</svg>\n"
    )


def _arrow(start: Place, end: Place, places: Collection[Place]) -> str:
    """From box to box; round the outside where another box stands between."""
    (x1, y1), (x2, y2) = start, end
    side1, side2 = y1 + HIGH // 2, y2 + HIGH // 2
    if x1 == x2 and any(x == x1 and y1 < y < y2 for x, y in places):
        out = x1 + WIDE + 16
        line = f"M{x1 + WIDE},{side1} H{out} V{side2} H{x2 + WIDE + 2}"
    elif x1 == x2:
        line = f"M{x1 + WIDE // 2},{y1 + HIGH} V{y2 - 2}"
    elif x1 < x2:
        line = f"M{x1 + WIDE},{side1} L{x2 - 2},{side2}"
    else:
        line = f"M{x1},{side1} L{x2 + WIDE + 2},{side2}"
    return f'<path d="{line}" fill="none" stroke="#334155" marker-end="url(#tip)"/>'


def _box(name: str, x: int, y: int, found: dict[str, Path]) -> str:
    files = [module for module, path in found.items() if room(module) == name and path.name != "__init__.py"]
    inner = [module for module, path in found.items() if module.startswith(f"{name}.") and path.name == "__init__.py"]
    lines = [f"<tspan {SMALL}>{escape(line)}</tspan>" for line in textwrap.wrap(_purpose(found[name]), 48)[:2]]
    if inner:
        words = "  ".join(f"{module.split('.')[1]}/" for module in inner if module.count(".") == 1)
        lines.append(f'<tspan {SMALL} fill="#155e75">{words}</tspan>')
    text = [
        f'<rect x="{x}" y="{y}" width="{WIDE}" height="{HIGH}" rx="8" fill="#ecfeff" stroke="#155e75"/>',
        f'<text x="{x + 12}" y="{y + 21}" font-weight="700">{name}/</text>',
        f'<text x="{x + WIDE - 12}" y="{y + 21}" {SMALL} fill="#64748b" text-anchor="end">{len(files)} files</text>',
        *(f'<text x="{x + 12}" y="{y + 40 + 16 * row}">{line}</text>' for row, line in enumerate(lines)),
    ]
    return "\n".join(text)


def _purpose(path: Path) -> str:
    """The first line of a room's own words."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]


def main() -> None:
    """Draw it anew."""
    found = modules()
    PICTURE.write_text(draw(found, imports(found)), encoding="utf-8")


if __name__ == "__main__":
    main()
