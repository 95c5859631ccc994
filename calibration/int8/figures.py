"""The pictures of the INT8 report, each ready for the `src` of an HTML image: no file of its own, no script."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...engine.operating_point import OperatingPoint
from ...errors import MissingPackage
from ...pictures.pixels import Grey, Mask
from ...scores.reliability import Reliability
from .findings import Int8Findings
from .gate import outlined
from .picture_choice import ALIKE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 10  # of the contact sheet
PIXELS = 94
GAP = 4
SHOWN = 4  # frames that changed most
SIDE = 238
BLUE, RED, GREY = "#2b6f8f", "#b5462f", "#7d8a92"
AMBER_BGR, CYAN_BGR = (0, 170, 255), (255, 230, 60)
LONGEST = 44  # letters of a layer's name


def need_matplotlib() -> None:
    """Raises ImportError with the cure where matplotlib is missing."""
    try:
        import matplotlib.figure  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPackage("the report needs matplotlib, which is not installed: pip install matplotlib") from error


def sheet(found: Int8Findings) -> str:
    """The chosen pictures, small, in the order in which they were chosen."""
    size = (PIXELS, PIXELS)
    chosen = [found.material.calibrate[index].square for index in found.chosen.chosen]
    return wall_of([cv2.resize(square, size, interpolation=cv2.INTER_AREA) for square in chosen], COLUMNS)


def reach(found: Int8Findings) -> str:
    """How far the farthest picture still is from a chosen one, after each choice."""
    figure, axes = new_figure(6.4, 2.5)
    steps = range(1, len(found.chosen.reach) + 1)
    axes.plot(steps, found.chosen.reach, ".-", color=BLUE)
    axes.axhline(ALIKE, ls="--", color=GREY, lw=1)
    axes.text(0.01, ALIKE, "alike", va="bottom", color=GREY, transform=axes.get_yaxis_transform())
    axes.set(xlabel="pictures chosen", ylabel="farthest one left out")
    axes.set(xlim=(0.5, max(len(steps), 2) + 0.5), ylim=(0, 1.1 * max(*found.chosen.reach, 2 * ALIKE)))
    axes.xaxis.get_major_locator().set_params(integer=True)
    return svg(figure)


def methods(found: Int8Findings) -> str:
    """What each way to find ranges changes."""
    names = list(found.methods)[::-1]
    colours = [BLUE if name == found.method else GREY for name in names]
    return _bars(names, [found.methods[name] for name in names], colours)


def harms(found: Int8Findings) -> str:
    """What each group of layers changes when it alone is in INT8."""
    groups = found.harms[::-1]
    colours = [RED if harm.group in found.kept else BLUE for harm in groups]
    return _bars([harm.group for harm in groups], [(harm.disagreement, harm.change) for harm in groups], colours)


def scatter(found: Int8Findings) -> str | None:
    """Every frame of the gate in both precisions; None where there is no frame to compare."""
    told = [frame for frame in found.verdict.frames if frame.exact is not None and frame.narrow is not None]
    exact = [frame.exact for frame in told if frame.exact is not None]
    narrow = [frame.narrow for frame in told if frame.narrow is not None]
    limit = found.limits.worst
    if exact:
        figure, axes = new_figure(4.6, 4.3)
        lowest = max(0.0, np.floor(10 * min(*exact, *narrow)) / 10 - 0.1)
        ends = (lowest, 1 + (1 - lowest) / 100)
        axes.plot([lowest, 1], [lowest, 1], "--", color=GREY, lw=1, label="unchanged")
        axes.plot([lowest, 1], [lowest - limit, 1 - limit], color=RED, lw=1, label="refused below")
        axes.scatter(exact, narrow, color=BLUE, alpha=0.6, s=26, linewidths=0, clip_on=False)
        axes.set(xlabel="a frame's Dice in fp32", ylabel="its Dice in INT8", xlim=ends, ylim=ends, aspect=1)
    else:
        shared = sorted(frame.agreement for frame in found.verdict.frames if frame.agreement is not None)
        if not shared:
            return None
        figure, axes = new_figure(6.4, 2.6)
        axes.scatter(range(1, len(shared) + 1), shared, color=BLUE, alpha=0.7, s=26, linewidths=0, clip_on=False)
        axes.axhline(1 - 2 * limit, color=RED, lw=1, label="refused below")
        axes.set(xlabel="frames with an outline, from the worst to the best", ylabel="Dice with fp32's")
        axes.set(xlim=(0.5, max(len(shared), 2) + 0.5), ylim=(0, 1.01))
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, loc="lower right")
    return svg(figure)


def changed(found: Int8Findings, point: OperatingPoint) -> str | None:
    """Where outlines of the gate's frames changed most: fp32's outline amber, over it INT8's in cyan."""
    agreements = [1.0 if frame.agreement is None else frame.agreement for frame in found.verdict.frames]
    worst = [int(index) for index in np.argsort(agreements, kind="stable") if agreements[index] < 1.0][:SHOWN]
    tiles = []
    for index in worst:
        masks = [outlined(answers[index], point) for answers in (found.exact, found.narrow)]
        part = around(masks[0] | masks[1])
        tile = cv2.cvtColor(enlarged(found.material.gate[index].square[part], cv2.INTER_CUBIC), cv2.COLOR_GRAY2BGR)
        for mask, colour in zip(masks, (AMBER_BGR, CYAN_BGR), strict=True):
            inside = enlarged(mask[part].astype(np.uint8), cv2.INTER_NEAREST)
            edges, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(tile, edges, -1, colour, 1)
        tiles.append(tile)
    return wall_of(tiles, SHOWN) if tiles else None


def around(mask: Mask) -> tuple[slice, slice]:
    """A square part of the picture, as large as a mask (with something in it) and what stands around it."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    size = len(mask)
    side = min(size, max(int(1.6 * max(np.ptp(rows), np.ptp(columns))), size // 3))
    middles = (int(rows[0] + rows[-1]) // 2, int(columns[0] + columns[-1]) // 2)
    top, left = (min(max(middle - side // 2, 0), size - side) for middle in middles)
    return slice(top, top + side), slice(left, left + side)


def enlarged(square: NDArray[np.uint8], how: int) -> Any:
    return cv2.resize(square, (SIDE, SIDE), interpolation=how)


def reliability_figure(exact: Reliability, narrow: Reliability) -> str:
    """Shown confidence against the share of tear, in both precisions."""
    figure, axes = new_figure(4.6, 4.3)
    axes.plot([0, 1], [0, 1], "--", color=GREY, lw=1)
    for name, told, colour, style in (("fp32", exact, GREY, "s-"), ("INT8", narrow, BLUE, "o-")):
        label = f"{name}: ECE {told.expected_error:.4f}"
        axes.plot(told.confidence, told.share, style, color=colour, ms=5, label=label)
    axes.set(xlabel="shown confidence", ylabel="share of tear pixels", xlim=(0, 1), ylim=(0, 1.01), aspect=1)
    figure.legend(frameon=False, loc="outside lower center", ncols=2)
    return svg(figure)


def outlines_change(found: Int8Findings) -> bool:
    """Whether INT8 changed any outline of the pictures that ways and layers were compared on."""
    return any(share for share, _ in found.methods.values()) or any(harm.disagreement for harm in found.harms)


def _bars(names: Sequence[str], changes: Sequence[tuple[float, float]], colours: Sequence[str]) -> str:
    """Bars of the share of pixels changed or, where none is, of the mean change of q: both are in `changes`."""
    told = any(share for share, _ in changes)
    lengths = [100 * (share if told else change) for share, change in changes]
    figure, axes = new_figure(7.6, 0.6 + 0.25 * len(names))
    bars = axes.barh(range(len(names)), lengths, color=colours, height=0.7)
    axes.bar_label(bars, fmt="%.2f" if told else "%.2g", padding=3, fontsize=8)
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    words = "outlined pixels that change, %" if told else "mean change of the network's q, %"
    axes.set(xlabel=words, xlim=(0, 1.12 * max(lengths) or 1))
    axes.set_ylim(-0.6, len(names) - 0.4)
    return svg(figure)


def _short(name: str) -> str:
    """A name that leaves room for its bar; '$' would begin a formula."""
    return (name if len(name) <= LONGEST else f"...{name[-LONGEST:]}").replace("$", r"\$")


def new_figure(width: float, height: float) -> tuple[Figure, Any]:
    """A figure of `width` x `height` inches and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def svg(figure: Figure) -> str:
    from matplotlib import rc_context

    data = io.BytesIO()
    with rc_context({"svg.hashsalt": "smartca"}):  # the same page from the same findings
        figure.savefig(data, format="svg", metadata={"Date": None})
    return _source("image/svg+xml", data.getvalue())


def wall_of(tiles: Sequence[NDArray[np.uint8] | Grey | Any], columns: int) -> str:
    """Pictures of one shape side by side on white, as PNG."""
    height, width, *more = tiles[0].shape
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    wall = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, *more), 255, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // columns * (height + GAP), number % columns * (width + GAP)
        wall[top : top + height, left : left + width] = tile
    _, data = cv2.imencode(".png", wall)
    return _source("image/png", data.tobytes())


def _source(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
