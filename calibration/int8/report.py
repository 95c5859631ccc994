"""The page that shows how an INT8 network was found and judged: one HTML file with its pictures inside."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Iterable, Sequence

from ...engine.building.assembly import Asked
from ...engine.contract import Answer
from ...engine.operating_point import NOT_CALIBRATED, OperatingPoint
from ...scores.reliability import LEAST, REACH_SHARE, CalibrationScores, Reliability
from . import figures
from .findings import Int8Findings
from .picture_choice import ALIKE

FEW = 8  # different pictures; fewer can hardly show all that the engine will see
STYLE = """:root{color-scheme:light}
body{font:16px/1.5 system-ui,"DejaVu Sans",sans-serif;max-width:62rem;margin:2rem auto;padding:0 1.2rem;
color:#1c2a33;background:#fff;font-variant-numeric:tabular-nums}
h1{font-size:1.6rem;margin-bottom:.3rem}h2{font-size:1.2rem;margin:2.6rem 0 .4rem;border-top:1px solid #d8dfe3;
padding-top:1.2rem}h3{font-size:1rem;margin:1.4rem 0 .2rem}p{max-width:46rem}img{max-width:100%;display:block;
margin:.8rem 0}table{border-collapse:collapse;margin:.6rem 0}th,td{padding:.25rem 1.6rem .25rem 0;text-align:left;
border-bottom:1px solid #e4e9ec;vertical-align:top;overflow-wrap:anywhere}th{font-weight:500}thead th{color:#5b6a73}
code{font-size:.85em;background:#f1f4f6;padding:.1rem .3rem;overflow-wrap:anywhere}
.verdict{border-left:.4rem solid;padding:.5rem 1rem;font-weight:600}.yes{color:#0b6b3a;background:#eef8f2}
.no{color:#a3200d;background:#fdf1ef}.note{color:#5b6a73;font-size:.9rem}.lost{color:#a3200d;font-weight:600}"""
DISCLAIMER = "Research software. Not a medical device. Not for diagnosis or treatment decisions."
Value = float | int | bool | str | None


def page(found: Int8Findings, asked: Asked, command: str) -> str:
    """The HTML page about `found`, which was made of `asked`; `command` would build that network.

    Raises ImportError where matplotlib is missing.
    """
    title = f"INT8 for {html.escape(asked.name)}"
    parts = [
        f"<h1>{title}</h1>",
        _verdict(found, command),
        _network(found, asked),
        _gate(found, asked.point),
        _confidence(found, asked.point),
        _pictures(found),
        _search(found),
        f"<p class='note'>This page holds pictures of the data named above: keep it where they may be kept.<br>"
        f"{DISCLAIMER}</p>",
    ]
    head = (
        "<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>{title}</title><style>{STYLE}</style>"
    )
    return f"<!doctype html>\n<html lang='en'><head>{head}</head>\n<body>{chr(10).join(parts)}</body></html>\n"


def _verdict(found: Int8Findings, command: str) -> str:
    if found.verdict.accepted:
        build = f"<p>To build it: <code>{html.escape(command)}</code></p>"
        return f"<p class='verdict yes'>The gate lets it pass.</p>{build}"
    lost = "".join(f"<br>{html.escape(words)}" for words in found.verdict.refusals)
    advice = (
        "<p>No engine can be built of this. Calibrate with pictures that show what the engine will see, or build in "
        "bf16 or fp16.</p>"
    )
    return f"<p class='verdict no'>The gate refuses it:{lost}</p>{advice}"


def _network(found: Int8Findings, asked: Asked) -> str:
    before, after, point = len(asked.data), len(found.network), asked.point
    on = "" if point.fitted_on == NOT_CALIBRATED else "found on "
    rows: list[tuple[str, Value]] = [
        ("picture", f"{asked.size} x {asked.size} pixels"),
        ("fp32 file", f"{before / 1e6:.2f} MB, SHA-256 {hashlib.sha256(asked.data).hexdigest()[:16]}..."),
        ("INT8 file", f"{after / 1e6:.2f} MB, {after / before:.0%} of fp32"),
        ("convolutions in INT8", f"{found.narrow_layers} of {found.layers}"),
        ("in fp32 stay", ", ".join(found.kept) or "none of them"),
        ("judged for", f"{asked.backend}, by asking {found.judged_by}"),
        ("operating point", f"threshold {point.threshold:.3f}, {on}{point.fitted_on}"),
    ]
    return f"<h2>The network</h2>{html_table([], rows)}"


def _gate(found: Int8Findings, point: OperatingPoint) -> str:
    scores, limits = found.verdict.scores, found.limits
    labelled = bool(scores.get("labelled"))
    rows: list[Sequence[Value]] = []
    if labelled:
        rows = [
            _compared("pooled Dice", scores, "dice", limits.dice),
            ("worst change of one frame's Dice", None, None, _signed(scores.get("worst_change")), f"-{limits.worst:g}"),
            _compared("recall (share of tear pixels outlined)", scores, "recall", limits.recall),
            _counted("frames without a tear, yet outlined", scores, "false_positive_frames"),
        ]
    rows.append(("agreement of the outlines (Dice)", None, scores.get("agreement"), None, f"{1 - limits.agreement:g}"))
    worst = None if labelled else f"{1 - 2 * limits.worst:g}"
    rows.append(("the same, worst frame", None, scores.get("agreement_worst"), None, worst))
    rows.append(_compared("how strange the pictures seem, on average", scores, "strange", None))
    measure = "their truth is known" if labelled else "their truth is not known, so fp32's outlines are the measure"
    number, words = scores.get("frames"), html.escape(found.material.gate_words)
    seen = scores.get("outlined_frames")
    told = (
        f"Both precisions were asked about {number} {'frame' if number == 1 else 'frames'} of {words}, "
        f"{seen} of which {'carries' if seen == 1 else 'carry'} an outline in either"
    )
    plot, worst_frames = figures.scatter(found), figures.changed(found, point)
    parts = [
        f"<h2>The gate</h2><p>{told}; {measure}.</p>",
        html_table(["", "fp32", "INT8", "change", "no less than"], rows),
        image(plot, "every frame in both precisions") if plot else "<p>There is no outline to compare.</p>",
    ]
    if worst_frames:
        words = "Where outlines changed most: fp32's amber, INT8's cyan over it"
        parts.append(f"<h3>{words}</h3>{image(worst_frames, words)}")
    return "".join(parts)


def _confidence(found: Int8Findings, point: OperatingPoint) -> str:
    title = "<h2>Is the shown confidence right?</h2>"
    exact, narrow = (_reliability(found, point, answers) for answers in (found.exact, found.narrow))
    if exact is None or narrow is None:
        return f"{title}<p>That cannot be told: the truth of the gate's pictures is not known.</p>"
    if not (exact.pixels.sum() and narrow.pixels.sum()):
        return f"{title}<p>That cannot be told: no tear is in the gate's pictures, and none is suspected.</p>"
    return (
        f"{title}<p>Of the pixels shown with a confidence of 0.7, seven in ten should be tear (the dashed line). ECE, "
        f"the expected calibration error, is the mean distance from that: {exact.expected_error:.4f} in fp32, "
        f"{narrow.expected_error:.4f} in INT8. Over {narrow.pixels.sum():,} pixels of a confidence of {LEAST} or more, "
        f"or with a tear within {REACH_SHARE:.0%} of the picture's height.</p>"
        f"{image(figures.reliability_figure(exact, narrow), 'reliability diagram')}"
    )


def _reliability(found: Int8Findings, point: OperatingPoint, answers: Iterable[Answer]) -> Reliability | None:
    """Of the fitted confidence on the gate's pictures; None where their truth is not known."""
    calibration = CalibrationScores()
    for answer, shown in zip(answers, found.material.gate, strict=True):
        if shown.truth is None:
            return None
        calibration.add(point.fitted(answer.q), shown.truth)
    return calibration.reliability()


def _pictures(found: Int8Findings) -> str:
    number, last = len(found.chosen.chosen), found.chosen.reach[-1]
    rest = (
        f"Every other one looks like one of these (the farthest is {last:.3f} away; up to {ALIKE:g} two are alike)."
        if last <= ALIKE
        else f"The farthest that was left out is {last:.3f} away from the nearest of these."
    )
    only = "All pictures look the same" if number == 1 else f"Only {number} pictures look different"
    few = f"<p class='lost'>{only}: the engine will see more than that. Give --calibrate others as well.</p>"
    curve = image(figures.reach(found), "distance of the farthest picture left out, after each choice")
    return (
        f"<h2>Pictures that the ranges were taken from</h2><p>{number} of {len(found.material.calibrate)} from "
        f"{html.escape(found.material.calibrate_words)}, in the order of choice: each as far as can be from those "
        f"before it. {rest}</p>{few if number < FEW else ''}{image(figures.sheet(found), 'the chosen pictures')}"
        f"{curve if number > 1 else ''}"
    )


def _search(found: Int8Findings) -> str:
    method, kept = html.escape(found.method), html.escape(", ".join(found.kept))
    stay = f"In fp32 stay (red): {kept}." if kept else "All of them are in INT8."
    words = "No outline changed on the pictures tried (perhaps there is none): only q itself can be compared."
    still = "" if figures.outlines_change(found) else f"<p>{words}</p>"
    return (
        f"<h2>Ways to find ranges</h2><p>Tried on other pictures where there are any. The one that changes least was "
        f"taken: <b>{method}</b>.</p>{still}{image(figures.methods(found), 'outlined pixels changed by each way')}"
        f"<h2>Sensitive layers</h2><p>Each group alone in INT8, the rest in fp32. {stay}</p>"
        f"{image(figures.harms(found), 'outlined pixels changed by each group of layers')}"
    )


def _compared(words: str, scores: dict[str, Value], name: str, limit: float | None) -> Sequence[Value]:
    """A row: a score in both precisions, its change, and how much it may fall."""
    before, after = scores.get(f"{name}_fp32"), scores.get(name)
    change = after - before if isinstance(after, float) and isinstance(before, float) else None
    return words, before, after, _signed(change), None if limit is None else f"-{limit:g}"


def _signed(change: Value) -> str | None:
    return f"{change:+.4f}" if isinstance(change, float) else None


def _counted(words: str, scores: dict[str, Value], name: str) -> Sequence[Value]:
    before, after = scores.get(f"{name}_fp32"), scores.get(name)
    change = f"{after - before:+d}" if isinstance(after, int) and isinstance(before, int) else None
    return words, before, after, change, None


def html_table(head: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    top = "".join(f"<th>{html.escape(words)}</th>" for words in head)
    body = "".join(
        f"<tr><th>{_spoken(first)}</th>{''.join(f'<td>{_spoken(value)}</td>' for value in rest)}</tr>"
        for first, *rest in rows
    )
    return f"<table>{f'<thead><tr>{top}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"


def _spoken(value: Value) -> str:
    if value is None:
        return ""
    return html.escape(f"{value:.4f}" if isinstance(value, float) else str(value))


def image(source: str, words: str) -> str:
    return f"<img alt='{html.escape(words)}' src='{source}'>"
