"""A study's figures: Dice by speckle and by size, precision against recall, and outlines side by side. PNG."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from ...pictures.pixels import Mask
from ..checkpoint import replace_file
from .cells import CellResult
from .pictures import DataSet
from .plan import StudyPlan, Variant
from .run import StudyRun, open_study_data
from .scoring import Level, examples, squares_under, unpacked
from .statistics import counts, dice_by_picture
from .table import Rows, by_data

SIDE = 144  # pixels of one picture among the examples
MOST_COLUMNS = 10  # networks among the examples
RECALLS = np.linspace(0.01, 1, 100)
TRUTH, FOUND = (90, 220, 90), (255, 190, 40)  # colours of outlines
SIZES = ("smallest third", "middle third", "largest third")
Draw = Callable[[Any, Rows], None]  # (axes, one data set's rows)


def draw_plots(plan: StudyPlan, results: Sequence[CellResult], bench: StudyRun) -> None:
    """Write every figure of what is done into the study's folder, each under 500 kB."""
    found = by_data(plan, results)
    if not found:
        return
    levels = list(dict.fromkeys((plan.levels[0], plan.levels[-1])))
    _panels(plan, found, ["Dice by speckle"], [lambda axes, rows: dice_by_level(axes, rows, plan)], bench, "levels")
    names = [f"speckle {level}" for level in levels]
    curves: list[Draw] = [lambda axes, rows, level=level: precision_recall(axes, rows, level) for level in levels]
    _panels(plan, found, names, curves, bench, "precision-recall")
    sizes: list[Draw] = [lambda axes, rows, level=level: dice_by_size(axes, rows, level) for level in levels]
    _panels(plan, found, names, sizes, bench, "sizes")
    for name, data in open_study_data(plan, bench).items():
        if name in found:
            side_by_side(plan, found[name], data, bench)


def families(plan: StudyPlan, rows: Rows) -> dict[str, Rows]:
    """Rows that differ from the reference by the network, and those that differ by the rest: two figures, as one
    would be crowded. The reference is in both.
    """
    reference = next(variant for variant in plan.variants if variant.label == plan.reference)
    known = {variant.label: variant for variant in plan.variants}

    def alike(label: str, same: Callable[[Variant], bool]) -> bool:
        return label == plan.reference or same(known[label])

    by_network = {k: v for k, v in rows.items() if alike(k, lambda row: row[1:] == reference[1:])}
    by_loss = {k: v for k, v in rows.items() if alike(k, lambda row: row.network == reference.network)}
    found = {"networks": by_network, "losses": by_loss}
    return {name: part for name, part in found.items() if len(part) > 1} or {"networks": rows}


def _panels(
    plan: StudyPlan, found: dict[str, Rows], titles: list[str], draws: Sequence[Draw], bench: StudyRun, file: str
) -> None:
    """FILE-networks.png and FILE-losses.png: a line of panels for every data set, one legend."""
    for family in dict.fromkeys(name for rows in found.values() for name in families(plan, rows)):
        parts = {data: families(plan, rows).get(family, {}) for data, rows in found.items()}
        figure = Figure(figsize=(1.8 + 4.2 * len(draws), 3.4 * len(parts) + 0.4), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(len(parts), len(draws), squeeze=False)
        for line, (data, rows) in zip(panels, parts.items(), strict=True):
            for axes, title, each in zip(line, titles, draws, strict=True):
                each(axes, rows)
                axes.set_title(f"{data}: {title}", fontsize=10)
        handles, labels = panels[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", fontsize=8)
        _save(figure, bench, f"{file}-{family}.png")


def _styles(rows: Rows) -> dict[str, dict[str, Any]]:
    colours = colormaps["tab10" if len(rows) <= 10 else "tab20"].colors  # type: ignore[attr-defined]
    return {
        label: {"color": colours[n % len(colours)], "label": label, "lw": 2.4 if n == 0 else 1.3}
        for n, label in enumerate(rows)
    }


def dice_by_level(axes: Any, rows: Rows, plan: StudyPlan) -> None:
    """Pooled Dice, mean over seeds with bars of one standard deviation."""
    apart = 0.3 / max(len(rows) - 1, 1)
    for n, (label, style) in enumerate(_styles(rows).items()):
        dice = np.array([[result.levels[level].dice or 0.0 for level in plan.levels] for result in rows[label]])
        spread = dice.std(0, ddof=1) if len(dice) > 1 else np.zeros(len(plan.levels))
        place = np.arange(len(plan.levels)) + (n - (len(rows) - 1) / 2) * apart
        axes.errorbar(place, dice.mean(0), spread, marker="o", ms=4, capsize=2, **style)
    axes.set(xticks=range(len(plan.levels)), xticklabels=plan.levels, ylabel="Dice, pooled", ylim=(0, 1))
    axes.grid(alpha=0.3)


def precision_recall(axes: Any, rows: Rows, level: str) -> None:
    """Over all thresholds, precision at equal recall meant over seeds; a dot where the chosen thresholds lie."""
    for label, style in _styles(rows).items():
        levels = [result.levels[level] for result in rows[label]]
        axes.plot(RECALLS, np.mean([_precision(each) for each in levels], 0), **style)
        known = [(each.recall, each.precision) for each in levels if each.precision is not None]
        if known:
            axes.plot(*np.mean(np.array(known, float), 0), "o", color=style["color"], ms=5)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)


def _precision(level: Level) -> NDArray[np.float64]:
    """One training's precision at RECALLS."""
    tp, fp = (np.cumsum(np.array(part, float)[::-1]) for part in (level.tear, level.other))
    shown = tp > 0
    if not shown.any():
        return np.zeros(len(RECALLS))
    return np.interp(RECALLS, tp[shown] / tp[-1], tp[shown] / (tp + fp)[shown])


def dice_by_size(axes: Any, rows: Rows, level: str) -> None:
    """Mean Dice of pictures whose lesion area is among the smallest, middle and largest third."""
    for label, style in _styles(rows).items():
        areas = np.array([area for area in rows[label][0].test.areas if area])
        if len(areas) < len(SIZES):
            continue
        dice = dice_by_picture(counts(rows[label], level))
        thirds = np.array_split(np.argsort(areas, kind="stable"), len(SIZES))
        axes.plot(SIZES, [dice[third].mean() for third in thirds], "o-", ms=4, **style)
    axes.set(ylabel="Dice per picture", ylim=(0, 1))
    axes.grid(alpha=0.3)


def side_by_side(plan: StudyPlan, rows: Rows, data: DataSet, bench: StudyRun) -> None:
    """examples-DATA.png: a picture, its truth and the outlines of the first seed's networks, plain and at the worst
    level of speckle.
    """
    labels = list(rows)[:MOST_COLUMNS]
    lines, names = [], []
    for level in dict.fromkeys((plan.levels[0], plan.levels[-1])):
        squares, truths = squares_under(data, level, plan.size)
        for n in examples(data):
            outlines = [rows[label][0].levels[level].outlines[data.test.names[n]] for label in labels]
            masks = [np.zeros_like(truths[n]), truths[n], *map(unpacked, outlines)]
            lines.append([_outlined(squares[n], mask, truth=k == 1) for k, mask in enumerate(masks)])
            names.append(f"speckle\n{level}")
    if not lines:
        return
    figure = Figure(figsize=(1.35 * len(lines[0]) + 0.5, 1.35 * len(lines) + 0.7), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(lines), len(lines[0]), squeeze=False)
    for line, tiles, name in zip(panels, lines, names, strict=True):
        for axes, tile in zip(line, tiles, strict=True):
            axes.imshow(tile)
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=7)
    for axes, title in zip(panels[0], ["picture", "truth", *labels], strict=True):
        axes.set_title(title.replace("/", "\n").replace("-noclassifier", "\n-noclassifier"), fontsize=6)
    _save(figure, bench, f"examples-{data.name}.png", _greys())


def _outlined(square: NDArray[np.uint8], mask: Mask, truth: bool) -> NDArray[np.uint8]:
    """The square at SIDE pixels in colour, the mask's outline drawn in."""
    small = cv2.cvtColor(cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2RGB)
    shape = cv2.resize(mask.astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    found, _ = cv2.findContours(shape, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(small, found, -1, TRUTH if truth else FOUND, 1)  # type: ignore[return-value]


def _save(figure: Figure, bench: StudyRun, name: str, palette: Image.Image | None = None) -> None:
    """As PNG, coarser until it is under 500 kB: speckle hardly compresses. All of it or nothing."""
    for dpi in (120, 100, 80, 65, 50):
        drawn, content = io.BytesIO(), io.BytesIO()
        figure.savefig(drawn, dpi=dpi, format="png")
        picture = Image.open(drawn).convert("RGB")
        if palette:
            picture = picture.quantize(palette=palette, dither=Image.Dither.NONE)
        picture.save(content, "PNG", optimize=True)
        if content.tell() < 500_000:
            break
    replace_file(bench.place.out / name, lambda file: file.write(content.getvalue()))


def _greys() -> Image.Image:
    """Sixty-two greys and the colours of the outlines: ultrasound needs no more."""
    colours = [*TRUTH, *FOUND, *np.linspace(0, 255, 62).round().astype(int).repeat(3).tolist()]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours * 4)
    return palette
