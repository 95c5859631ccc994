"""Shapes that tools draw: rounds, holes by what lies on top, brushes over the edge; others are refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from smartca.pictures.datasets import open_data
from smartca.pictures.outlines.shapes import Ellipse, MarkedOutline, rasterised, run_lengths, tear_of

ROWS, COLUMNS = 240, 320


def cvat(root: Path, *shapes: str) -> Path:
    (root / "images").mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(root / "images" / "0.png"), np.full((ROWS, COLUMNS), 90, np.uint8))
    image = f'<image id="0" name="0.png" width="{COLUMNS}" height="{ROWS}">{"".join(shapes)}</image>'
    (root / "annotations.xml").write_text(f"<annotations><version>1.1</version>{image}</annotations>")
    return root


def labelme(root: Path, kind: str, points: list[list[float]]) -> Path:
    assert cv2.imwrite(str(root / "0.png"), np.full((ROWS, COLUMNS), 90, np.uint8))
    shape = {"label": "tear", "points": points, "shape_type": kind}
    about: dict[str, Any] = {"version": "5.4.1", "imagePath": "0.png", "imageHeight": ROWS, "imageWidth": COLUMNS}
    (root / "0.json").write_text(json.dumps({**about, "shapes": [shape]}))
    return root


def truth(root: Path, *labels: str) -> np.ndarray:
    return open_data(root, "all", label=labels or None)[0][1]


def near(mask: np.ndarray, area: float) -> bool:
    return abs(int(mask.sum()) - area) <= 0.01 * area


def test_a_circle_of_labelme_is_a_disc(tmp_path: Path) -> None:
    for edge in ([190.0, 120.0], [160.0, 150.0], [160.0 - 18, 120.0 + 24]):  # 30 pixels away, wherever
        mask = truth(labelme(tmp_path, "circle", [[160, 120], edge]))
        assert near(mask, np.pi * 900)
        rows, columns = np.nonzero(mask)
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (90, 149, 130, 189)
    assert truth(labelme(tmp_path, "circle", [[0, 0], [30, 0]])).sum() < 0.3 * np.pi * 900  # cut at the corner


@pytest.mark.parametrize("degrees", [0, 30, 90, 135, -60])
def test_an_ellipse_of_cvat_may_be_turned(degrees: int, tmp_path: Path) -> None:
    shape = f'<ellipse label="tear" cx="160" cy="120" rx="40" ry="25" rotation="{degrees}"/>'
    mask = truth(cvat(tmp_path, shape if degrees else shape.replace(' rotation="0"', "")))
    assert near(mask, np.pi * 1000)
    drawn = np.zeros((ROWS, COLUMNS), np.uint8)  # OpenCV, too, turns with the clock
    cv2.ellipse(drawn, (160, 120), (40, 25), degrees, 0, 360, 1, -1)
    assert np.count_nonzero(mask != (drawn > 0)) < 0.05 * mask.sum()


@pytest.mark.parametrize("across", [0.0, -3.0, float("nan"), float("inf")])
def test_a_round_without_a_size_is_none(across: float) -> None:
    with pytest.raises(ValueError, match="is no circle or ellipse with a size"):
        rasterised(MarkedOutline("tear", ellipse=Ellipse(9, 9, across, 4)), 20, 20)


@pytest.mark.parametrize("kind", ["rectangle", "line", "linestrip", "point", "points"])
def test_other_shapes_of_labelme_are_refused_by_name(kind: str, tmp_path: Path) -> None:
    root = labelme(tmp_path, kind, [[10, 10], [60, 40]])
    with pytest.raises(ValueError, match=rf"an outline of 0\.png is a box or a line and not an outline \({kind}\)"):
        truth(root)
    with pytest.raises(ValueError, match="is no circle of a centre and a point"):
        truth(labelme(tmp_path, "circle", [[10, 10]]))


@pytest.mark.parametrize("kind", ["box", "polyline", "points", "cuboid", "skeleton"])
def test_other_shapes_of_cvat_are_refused_by_name(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"not an outline \({kind}\)"):
        truth(cvat(tmp_path, f'<{kind} label="tear" points="1,1;2,2" xtl="1" ytl="1" xbr="9" ybr="9"/>'))


def square(label: str, left: int, side: int, z: int | None = None) -> str:
    right, low = left + side, 20 + side
    points = f"{left},20;{right},20;{right},{low};{left},{low}"
    return f'<polygon label="{label}" points="{points}"{"" if z is None else f" z_order={chr(34)}{z}{chr(34)}"}/>'


def test_what_lies_on_top_makes_a_hole(tmp_path: Path) -> None:
    tear, hole = square("tear", 20, 40, 0), square("background", 30, 10, 1)
    for order in ((tear, hole), (hole, tear)):  # the file's order says nothing
        assert truth(cvat(tmp_path, *order), "tear").sum() == 1600 - 100
    island = square("tear", 30, 4, 2)
    assert truth(cvat(tmp_path, tear, hole, island), "tear").sum() == 1600 - 100 + 16
    assert truth(cvat(tmp_path, tear, hole), "background").sum() == 100
    assert truth(cvat(tmp_path, tear, hole), "tear", "background").sum() == 1600
    round_hole = '<ellipse label="bone" cx="40" cy="40" rx="5" ry="5" z_order="3"/>'
    assert near(truth(cvat(tmp_path, tear, round_hole), "tear"), 1600 - np.pi * 25)


def test_what_lies_no_higher_or_is_a_frame_hides_nothing(tmp_path: Path) -> None:
    tear = square("tear", 20, 40, 1)
    box = '<box label="region" xtl="0" ytl="0" xbr="99" ybr="99" z_order="5"/>'
    for other in (square("bone", 30, 10, 1), square("bone", 30, 10, 0), square("bone", 30, 10), box):
        assert truth(cvat(tmp_path, tear, other), "tear").sum() == 1600
    with pytest.raises(ValueError, match=r"the outlines of 0\.png cover no pixel"):
        truth(cvat(tmp_path, tear, square("bone", 0, 200, 2)), "tear")


def test_a_brush_may_reach_over_the_edge(tmp_path: Path) -> None:
    mask = '<mask label="tear" rle="0,400" left="{}" top="{}" width="20" height="20"/>'
    for left, top, area in ((-5, 30, 300), (-5, -5, 225), (COLUMNS - 15, ROWS - 16, 240), (-10, 0, 200)):
        found = truth(cvat(tmp_path, mask.format(left, top)))
        rows, columns = np.nonzero(found)
        assert found.sum() == area and rows.min() == max(0, top) and columns.min() == max(0, left)
    for left, top in ((-11, 30), (-20, 0), (-300, 0), (0, ROWS), (COLUMNS + 50, ROWS + 50)):
        with pytest.raises(ValueError, match="reaches outside the picture"):
            truth(cvat(tmp_path, mask.format(left, top)))
    left_of_it = square("tear", -30, 40)
    assert truth(cvat(tmp_path, left_of_it)).sum() == 10 * 40


def test_ids_may_be_words_and_numbers(tmp_path: Path) -> None:
    for number, level in enumerate((60, 70)):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((ROWS, COLUMNS), level, np.uint8))
    names = [{"id": id, "file_name": name} for id, name in (("a-7f", "0.png"), (12, "1.png"))]
    square = [10, 10, 30, 10, 30, 30, 10, 30]
    half = {"counts": [0, ROWS * COLUMNS // 2, ROWS * COLUMNS // 2], "size": [ROWS, COLUMNS]}
    drawn = [
        {"image_id": "a-7f", "category_id": "1", "segmentation": [square]},
        {"image_id": "12", "category_id": 1, "segmentation": half},
    ]
    content = {"images": names, "annotations": drawn, "categories": [{"id": 1, "name": "tear"}]}
    (tmp_path / "set.json").write_text(json.dumps(content))
    data = open_data(tmp_path / "set.json", "all")
    assert [int(data[number][1].sum()) for number in range(2)] == [400, ROWS * COLUMNS // 2]
    content["images"] = [{"id": id, "file_name": name} for id, name in (("12", "0.png"), (12, "1.png"))]
    (tmp_path / "set.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="several pictures with the id 12"):
        open_data(tmp_path / "set.json", "all")


def test_run_lengths_of_no_picture_take_no_memory() -> None:
    for lengths, rows, columns in (([10**18], 10**9, 10**9), ([10**30], 10**15, 10**15), ([], 0, 0), ([-1, 5], 2, 2)):
        assert run_lengths(lengths, rows, columns, down=True) is None


def test_nothing_wanted_is_nothing() -> None:
    assert not tear_of([MarkedOutline("bone", polygon=(0, 0, 9, 0, 9, 9))], ["tear"], 20, 20).any()
