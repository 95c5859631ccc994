"""A study's results as files, rebuilt from its cells whenever one is done."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from ..checkpoint import replace_file
from .cells import CellResult

SCORES = (
    "precision", "recall", "dice", "iou", "dice_per_image", "hd95", "hd95_left_out", "lesion_sensitivity", "lesions",
    "false_positive_pictures", "negative_pictures", "ece",
)  # fmt: skip


def rows(results: Sequence[CellResult]) -> list[dict[str, object]]:
    """One row for every cell and level."""
    lines = []
    for result in results:
        cell = result.cell
        for name, level in result.levels.items():
            lines.append(
                {
                    "data": cell.data, "network": cell.network, "loss": cell.loss, "speckle_trained": int(cell.speckle),
                    "seed": cell.seed, "level": name, **{score: getattr(level, score) for score in SCORES},
                    "threshold_logit": result.threshold, "validation_dice": result.validation_dice,
                    "parameters": result.parameters, "trainable": result.trainable,
                    "classifier_steps": cell.classifier_steps, "segment_steps": cell.segment_steps,
                    "presentations": result.presentations, "classify_seconds": round(result.classify_seconds, 2),
                    "segment_seconds": round(result.segment_seconds, 2),
                    "score_seconds": round(result.score_seconds, 2),
                    "start": cell.start, "pictures": "" if cell.pictures is None else cell.pictures,
                }
            )  # fmt: skip
    return lines


def write_csv(results: Sequence[CellResult], path: Path) -> None:
    """results.csv; scores that do not exist (no outline at all) are left empty."""
    lines = rows(results)
    if not lines:
        return
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(lines[0]))
    table.writeheader()
    table.writerows(lines)
    replace_file(path, lambda file: file.write(text.getvalue().encode()))
