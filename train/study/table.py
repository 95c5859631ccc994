"""The study's table in Markdown, with a plain sentence for every data set: who is best, and by how much."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .cells import CellResult
from .plan import StudyPlan, cells
from .statistics import Difference, compare

Rows = dict[str, list[CellResult]]
COLUMNS = {
    "dice": "Dice", "precision": "precision", "recall": "recall", "iou": "IoU", "dice_per_image": "Dice per picture",
    "hd95": "HD95 px", "lesion_sensitivity": "lesions found", "ece": "ECE",
}  # fmt: skip


def by_data(plan: StudyPlan, results: Sequence[CellResult]) -> dict[str, Rows]:
    """Data set -> row of the table -> its cells, in the plan's order; what has no cell yet is left out."""
    found: dict[str, Rows] = {}
    for data in plan.data:
        rows = {
            variant.label: [r for r in results if r.cell.data == data.name and r.cell.variant == variant]
            for variant in plan.variants
        }
        found[data.name] = {label: cells for label, cells in rows.items() if cells}
    return {name: rows for name, rows in found.items() if rows}


def markdown(plan: StudyPlan, results: Sequence[CellResult]) -> str:
    """The whole table.md."""
    sections = [section(plan, name, rows) for name, rows in by_data(plan, results).items()]
    return "\n\n".join([head(plan, results), *sections]) + "\n"


def head(plan: StudyPlan, results: Sequence[CellResult]) -> str:
    """What was done, so that the numbers below can be read."""
    wanted = len(cells(plan))
    first = plan.classifier_steps
    lines = [
        f"# Study `{plan.name}`",
        f"{len(results)} of {wanted} trainings are done. Written by `smartca study`; do not edit.",
        f"- Every row is shown {plan.steps * plan.batch} pictures of {plan.size} x {plan.size}: {plan.steps} steps of "
        f"{plan.batch}, with the same augmentation, optimiser and schedule. SMART-CA spends {first} of its steps on "
        f"its classifier and {plan.steps - first} on outlines; `-noclassifier` keeps ImageNet's encoder frozen "
        f"instead and spends all {plan.steps} on outlines. Pictures shown are counted, not seconds.",
        "- The weights of the best epoch and one threshold are chosen for each training by pooled Dice on the "
        "validation pictures, without added speckle; scores are of the test pictures, on the network's square. "
        "One training serves all levels of speckle, whose noise is the same for every row.",
        "- Mean ± standard deviation over seeds. Dice, precision, recall and IoU are pooled over pixels; Dice per "
        "picture is the mean over pictures that hold something to find; HD95 is in pixels of the network's square, "
        "over pictures with both truth and outline; a lesion is found where a tenth of it is outlined; false "
        "pictures are those without anything to find that carry an outline; ECE is of q before calibration, over "
        "pixels with q of .05 or more or near the truth. For losses other than IPLF and cross-entropy the "
        "sigmoid is no posterior, which their ECE shows. `segnet` and `attention-unet` have no ImageNet weights to "
        "start from.",
        f"- Δ is the pooled Dice less that of {plan.reference}, with a 95 % interval (paired bootstrap over "
        "pictures and seeds; with few seeds rather too narrow); p is Wilcoxon's signed-rank test of the Dice by "
        "picture, meant over seeds, Holm-corrected over the rows.",
    ]
    return "\n\n".join(lines[:2]) + "\n\n" + "\n".join(lines[2:])


def section(plan: StudyPlan, name: str, rows: Rows) -> str:
    """One data set: sentence, Dice by level, and a table for every level."""
    some = next(iter(rows.values()))[0]
    torn = sum(area > 0 for area in some.test.areas)
    parts = [
        f"## {name}",
        f"{some.train_pictures} training and {len(some.test.areas)} test pictures, {torn} of them with something to "
        f"find.",
        in_words(plan, name, rows),
        by_level(plan, rows),
    ]
    for level in plan.levels:
        parts += [f"### {name}, speckle {level}", at_level(plan, rows, level)]
    return "\n\n".join(parts)


def in_words(plan: StudyPlan, name: str, rows: Rows) -> str:
    """Who has the highest Dice without added speckle and at the worst level, and how the reference stands to it."""
    return " ".join(_winner(plan, name, rows, level) for level in dict.fromkeys((plan.levels[0], plan.levels[-1])))


def _winner(plan: StudyPlan, name: str, rows: Rows, level: str) -> str:
    dice = {label: float(np.mean(_values(results, level, "dice"))) for label, results in rows.items()}
    order = sorted(dice, key=lambda label: -dice[label])
    best, where = order[0], f"On {name}, speckle {level},"
    if plan.reference not in dice:
        return f"{where} {best} has the highest Dice ({dice[best]:.3f}); {plan.reference} has not been trained yet."
    differences = compare(rows, plan.reference, level)
    if best != plan.reference:
        found = differences.get(best)
        rank = order.index(plan.reference) + 1
        return (
            f"{where} **{best}** has the highest Dice ({dice[best]:.3f}); {plan.reference} comes {_ordinal(rank)} of "
            f"{len(order)} with {dice[plan.reference]:.3f}{_below(found, -1)}."
        )
    if len(order) == 1:
        return f"{where} only {best} has been trained yet ({dice[best]:.3f})."
    second = order[1]
    return (
        f"{where} **{best}** has the highest Dice ({dice[best]:.3f}); next is {second} with "
        f"{dice[second]:.3f}{_below(differences.get(second), 1)}."
    )


def _below(found: Difference | None, sign: int) -> str:
    """How far the lower one of two rows is below the other; `sign` -1 where the reference is the lower one."""
    if found is None:
        return ""
    low, high = sorted((sign * found.low, sign * found.high))
    doubt = "; the test by picture does not tell them apart" if found.p_holm >= 0.05 else ""
    difference = f"95 % of the difference {low:+.3f} to {high:+.3f}, p {_p(found.p_holm)}"
    return f", {-sign * found.dice:.3f} below ({difference}{doubt})"


def by_level(plan: StudyPlan, rows: Rows) -> str:
    """Dice at every level, what the last one costs, size and seconds of each row."""
    lines = []
    for label, results in rows.items():
        dice = [_mean(results, level, "dice") for level in plan.levels]
        first, last = (np.array(_values(results, plan.levels[n], "dice")) for n in (0, -1))
        seconds = np.mean([r.classify_seconds + r.segment_seconds for r in results])
        millions = f"{results[0].parameters / 1e6:.2f} ({results[0].trainable / 1e6:.2f})"
        lines.append([label, str(len(results)), *dice, _spread(first - last), millions, f"{seconds:.0f}"])
    names = [f"Dice, {level}" for level in plan.levels]
    drop = f"drop under {plan.levels[-1]}"
    return _table(["network/loss", "seeds", *names, drop, "M weights (learning)", "seconds"], lines)


def at_level(plan: StudyPlan, rows: Rows, level: str) -> str:
    """All scores at one level, and each row's difference to the reference."""
    differences, lines = compare(rows, plan.reference, level), []
    for label, results in rows.items():
        scores = [_mean(results, level, column) for column in COLUMNS]
        false = np.mean([r.levels[level].false_positive_pictures for r in results])
        negatives = results[0].levels[level].negative_pictures
        found = differences.get(label)
        change = f"{found.dice:+.3f} [{found.low:+.3f}, {found.high:+.3f}]" if found else "reference"
        if label != plan.reference and not found:
            change = ""
        lines.append([label, *scores, f"{false:.1f} of {negatives}", change, _p(found.p_holm) if found else ""])
    return _table(["network/loss", *COLUMNS.values(), "false pictures", "Δ Dice [95 %]", "p"], lines)


def _values(results: Sequence[CellResult], level: str, column: str) -> list[float]:
    """One score of each cell; where nothing was outlined there is none, which for the Dice means 0."""
    values = [getattr(result.levels[level], column) for result in results]
    if column == "dice":
        return [value or 0.0 for value in values]
    return [value for value in values if value is not None]


def _mean(results: Sequence[CellResult], level: str, column: str) -> str:
    values = np.array(_values(results, level, column))
    return _spread(values, 1 if column == "hd95" else 3)


def _spread(values: np.ndarray, digits: int = 3) -> str:
    if not len(values):
        return "–"
    spread = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"


def _p(p: float) -> str:
    return "< .001" if p < 0.001 else f"{p:.3f}"


def _ordinal(rank: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{rank}{'th' if 10 < rank % 100 < 14 else endings.get(rank % 10, 'th')}"


def _table(names: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = [":--", *["--:"] * (len(names) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (names, rule, *lines))
