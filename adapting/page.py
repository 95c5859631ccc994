"""The page about an adapted network, before and after: one HTML file with its pictures inside."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..calibration.int8.figures import BLUE, GREY, new_figure, svg, wall_of
from ..calibration.int8.report import DISCLAIMER, STYLE, Value, html_table, image
from ..engine.operating_point import POINT_NAMES, OperatingPoint, Reached
from ..pictures.pixels import Grey, Mask
from ..scores.counts import Counts
from ..train.logs import Row
from .compare import Outcome

SHOWN = 6  # pictures
SIDE = 320  # pixels of each
MUCH = 0.05  # Dice on the rehearsal, or share of healthy pictures outlined: who loses more has forgotten
UNSEEN = "what it makes of healthy tissue was not looked at: give --negatives, real pictures without a tear"
WIDE = ".wide{overflow-x:auto}.wide th,.wide td{overflow-wrap:normal}"
TRUTH_BGR, BEFORE_BGR, AFTER_BGR = (255, 255, 255), (0, 170, 255), (255, 230, 60)


class BeforeAfter(NamedTuple):
    """The same pictures by the weights that were started from, and by the adapted ones."""

    before: Outcome
    after: Outcome


@dataclass(frozen=True)
class Story:
    """What the page tells: of the frames held out, of the rehearsal, and of real pictures without a tear, if any.

    as_it_stood: the frames held out by the model that stands beside the checkpoint, at its own operating point.
    best_dice: of the start, at the best threshold, on the frames held out and on the rehearsal.
    """

    clinic: BeforeAfter
    rehearsal: BeforeAfter
    healthy: BeforeAfter | None
    as_it_stood: Outcome | None
    rows: Sequence[Row]
    best_dice: tuple[float, float]
    point: OperatingPoint
    facts: Sequence[tuple[str, str]]
    words: Sequence[str]
    commands: Sequence[tuple[str, str]]  # (what for, command)
    precision: str


def verdict(story: Story) -> tuple[bool, str]:
    """Whether it was worth it, and a sentence for a person."""
    before, after = story.clinic
    known_before, known_after = story.rehearsal
    gained = after.dice - before.dice
    own = len(after.squares) - after.otherwise
    words = (
        f"Dice on the frames held out {before.dice:.3f} before, {after.dice:.3f} after ({gained:+.3f}); on the "
        f"rehearsal {known_before.dice:.3f} before, {known_after.dice:.3f} after"
    )
    if story.point.otherwise:
        words += f"; {own} of {len(after.squares)} frames held out are its own to answer"
        words += ", and what is unlike your frames goes to the shipped network"
    if story.healthy is None:
        words += f"; {UNSEEN}"
    else:
        healthy = [f"{_healthy(each)}" for each in story.healthy]
        words += f"; healthy pictures outlined {healthy[0]} before, {healthy[1]} after"
    if gained <= 0:
        return False, f"Nothing was gained, so stay with the weights that you have: {words}"
    if known_before.dice - known_after.dice > MUCH or _spoilt(story.healthy):
        return True, f"It was worth it on your frames, but what was known before is partly forgotten: {words}"
    return True, f"It was worth it: {words}"


def _spoilt(healthy: BeforeAfter | None) -> bool:
    """Whether clearly more of the real pictures without a tear are outlined than before."""
    if healthy is None:
        return False
    shares = [each.counts.false_positive_frames / max(each.counts.negative_frames, 1) for each in healthy]
    return shares[1] - shares[0] > MUCH


def adapted_page(story: Story) -> str:
    """The HTML page. Raises ImportError where matplotlib is missing."""
    good, words = verdict(story)
    told = "".join(f"<p>{html.escape(line[:1].upper() + line[1:])}.</p>" for line in story.words)
    commands = "".join(f"<p>{html.escape(what)}: <code>{html.escape(line)}</code></p>" for what, line in story.commands)
    parts = [
        "<h1>The network, adapted</h1>",
        f"<p class='verdict {'yes' if good else 'no'}'>{html.escape(words)}.</p>",
        told,
        commands if good else "",
        _scores(story),
        _pictures(story),
        _points(story.point),
        f"<h2>How it was learnt</h2>{image(_curve(story), 'Dice by step')}",
        f"<h2>Is the shown confidence right?</h2><p>On the frames held out: of the pixels shown with a confidence of "
        f"0.7, seven in ten should be tear (the dashed line).</p>{_reliability(story)}",
        f"<h2>What it is</h2>{html_table([], story.facts)}",
        f"<p class='note'>This page holds pictures of the frames: keep it where they may be kept.<br>{DISCLAIMER}</p>",
    ]
    head = (
        "<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>The network, adapted</title><style>{STYLE}{WIDE}</style>"
    )
    return f"<!doctype html>\n<html lang='en'><head>{head}</head>\n<body>{chr(10).join(parts)}</body></html>\n"


def _scores(story: Story) -> str:
    stood = [story.as_it_stood] if story.as_it_stood else []
    pairs = [story.clinic, story.rehearsal, *([story.healthy] if story.healthy else [])]
    columns: list[Outcome] = [*stood, *(each for pair in pairs for each in pair)]
    answered: list[Value] = [*("" for _ in stood), *(cell for pair in pairs for cell in ("", _others(pair.after)))]
    head = ["", *(["as it stood"] if stood else []), "before", "after", "rehearsal before", "rehearsal after"]
    head += ["healthy before", "healthy after"] if story.healthy else []
    rows: list[Sequence[Value]] = [
        ("Dice, pooled over pixels", *(each.counts.dice_pooled for each in columns)),
        ("precision", *(each.counts.precision for each in columns)),
        ("recall", *(each.counts.recall for each in columns)),
        ("tears found", *(f"{each.lesions.found} of {each.lesions.tears}" for each in columns)),
        ("healthy, yet outlined", *(_healthy(each) for each in columns)),
        *([("answered by the shipped network", *answered)] if story.point.otherwise else []),
        ("calibration error (ECE)", *(each.calibration.as_report()["ece"] for each in columns)),
    ]
    note = (
        "<p class='note'>'Before' are the weights that it started from, at the threshold that suits each kind of "
        "pictures best; 'after' are the adapted ones as they run, in "
        f"{html.escape(story.precision)}, at one threshold for all. All thresholds were found on the frames held out, "
        "so the scores of these are a little flattered. "
        + ("'As it stood' is the model beside the checkpoint, at its own threshold.</p>" if stood else "</p>")
    )
    return f"<h2>Before and after</h2>{_wide(html_table(head, rows))}{note}"


def _others(found: Outcome) -> str:
    return f"{found.otherwise} of {len(found.squares)}"


def _wide(shown: str) -> str:
    """A table whose numbers do not break: on a narrow screen it is moved sideways."""
    return f"<div class='wide'>{shown}</div>"


def _points(point: OperatingPoint) -> str:
    """The three operating points, and what each reached on what they were found on."""
    head = ["", "threshold", "unsure from", "recall", "precision", "tears found", "or unsure", "empty, yet outlined"]
    rows: list[Sequence[Value]] = []
    for name in POINT_NAMES:
        one = point.at(name)
        told = one.reached or Reached()
        shares = (told.recall, told.precision, told.tears_found, told.tears_found_or_unsure, told.empty_outlined)
        rows.append((name, one.threshold, one.unsure, *shares))
    note = f"<p class='note'>Found on {html.escape(point.fitted_on)}. The scores above are of balanced.</p>"
    return f"<h2>Its three operating points</h2>{_wide(html_table(head, rows))}{note}"


def _healthy(found: Outcome) -> str:
    return f"{found.counts.false_positive_frames} of {found.counts.negative_frames}"


def _pictures(story: Story) -> str:
    before, after = story.clinic
    order = np.argsort([-_change(*masks) for masks in zip(before.masks, after.masks, strict=True)], kind="stable")
    tiles: list[Any] = []
    for n in order[:SHOWN].tolist():
        for masks, colour in ((before.masks, BEFORE_BGR), (after.masks, AFTER_BGR)):
            tiles.append(_drawn(before.squares[n], [(before.truths[n], TRUTH_BGR), (masks[n], colour)]))
    words = "Left before (amber), right after (cyan); the truth in white"
    return f"<h2>Frames held out that changed most</h2><p>{words}.</p>{image(wall_of(tiles, 2), words)}"


def _change(one: Mask, other: Mask) -> float:
    """1 less the Dice of two outlines; 0 where there are none."""
    counts = Counts()
    counts.add(one, other)
    return 1 - (1.0 if counts.dice_pooled is None else counts.dice_pooled)


def _drawn(square: Grey, outlines: Sequence[tuple[Mask, tuple[int, int, int]]]) -> NDArray[np.uint8]:
    tile: Any = cv2.cvtColor(cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2BGR)
    for mask, colour in outlines:
        large = cv2.resize(mask.astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
        edges, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(tile, edges, -1, colour, 1)
    return tile


def _curve(story: Story) -> str:
    figure, axes = new_figure(6.4, 3.2)
    steps = [0, *(row["step"] for row in story.rows)]
    for name, first, key, colour in (
        ("frames held out", story.best_dice[0], "dice", BLUE),
        ("rehearsal", story.best_dice[1], "rehearsal", GREY),
    ):
        axes.plot(steps, [first, *(row[key] for row in story.rows)], ".-", color=colour, label=name)
    best = max(story.rows, key=lambda row: (row["kept"], row["worth"]))
    axes.axvline(best["step"], ls="--", lw=1, color=GREY)
    axes.set(xlabel="step (dashed: the weights that were kept)", ylabel="Dice at its best threshold", ylim=(0, 1))
    figure.legend(frameon=False, loc="outside lower center", ncols=2)
    return svg(figure)


def _reliability(story: Story) -> str:
    figure, axes = new_figure(4.6, 4.3)
    axes.plot([0, 1], [0, 1], "--", color=GREY, lw=1)
    for name, found, colour in zip(("before", "after"), story.clinic, (GREY, BLUE), strict=True):
        told = found.calibration.reliability()
        if told.pixels.sum():
            label = f"{name}: ECE {told.expected_error:.4f}"
            axes.plot(told.confidence, told.share, "o-", color=colour, ms=5, label=label)
    axes.set(xlabel="shown confidence", ylabel="share of tear pixels", xlim=(0, 1), ylim=(0, 1.01), aspect=1)
    figure.legend(frameon=False, loc="outside lower center", ncols=2)
    return image(svg(figure), "reliability diagram")
