"""smartca evaluate, phantom: what needs no stream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from ..engine.contract import NONSENSE
from .options import (
    FILE,
    LABELLED,
    crop_option,
    insecure_option,
    label_option,
    mask_value_option,
    model_options,
    one_of_both,
    say,
    spared,
    split_option,
    writable,
    write_report,
)
from .progress import bar

if TYPE_CHECKING:
    from ..engine import Engine
    from ..engine.operating_point import PointName


@click.command()
@click.option(
    "--data",
    required=True,
    metavar="phantom:seeds=A..B[,frames=30][,recipe=NAME] | DIR | FILE",
    help=f"What to score on: held-out phantoms, any source, or labelled pictures: {LABELLED}.",
)
@split_option("test")
@mask_value_option
@label_option
@click.option(
    "--speckle",
    default="none",
    show_default=True,
    metavar="none|moderate|severe",
    help="Put speckle on every picture first: the severe-speckle test. Also naive-.05, naive-.1, naive-.2.",
)
@click.option("--report", type=FILE, help="Write the scores as JSON.")
@crop_option
@insecure_option
@model_options
def evaluate(
    data: str,
    split: str,
    mask_value: int | None,
    label: tuple[str, ...],
    speckle: str,
    report: Path | None,
    crop: str,
    engine: Engine,
    threshold: float | None,
    point: PointName | None,
    precision: str,
    threads: int,
    insecure: bool,
) -> None:
    """Score a model, every frame of --data: Dice, precision, recall, distances, tears found, false outlines."""
    from ..engine import open_segmenter
    from ..engine.machine import versions
    from ..evaluation.evaluate import evaluate as score
    from ..evaluation.samples import samples
    from ..phantom.corruption import check_level
    from ..pictures.sector import parse_crop

    one_of_both(threshold, point)
    writable(report, "--report")
    spared(report, "--report", engine, data)
    check_level(speckle)
    chosen = samples(data, split, parse_crop(crop), mask_value, label)
    opened = open_segmenter(
        engine, precision=precision, threshold=threshold, point=point, threads=threads, insecure=insecure
    )
    with opened as segmenter, bar() as progress:
        task = progress.add_task("evaluating", total=chosen.count)

        def tick(done: int, total: int | None) -> None:
            progress.update(task, completed=done, total=total)

        found = score(segmenter, chosen, tick, speckle)
    found = {"data": data, **found, "versions": versions()}
    write_report(found, report)
    if not _tell(found):
        raise click.exceptions.Exit(1)


def _tell(found: dict[str, object]) -> bool:
    """Say what was found; whether the network answered, and nothing that no sound one would answer."""
    frames, truth = found["frames"], found.get("truth")
    assert isinstance(frames, dict)
    speckle = "" if found["speckle"] == "none" else f", {found['speckle']} speckle"
    states = found["states"]
    assert isinstance(states, dict)
    reasons = found["no_result"]
    assert isinstance(reasons, dict)
    for why, number in reasons.items():
        say(f"{number} of {frames['evaluated']} frames have no result: {why}")
    if found["outlined_share"] is None:
        click.echo(f"{frames['evaluated']} frames, no result{speckle}")
        return False
    unsure = f", {states['unsure']} unsure" if states["unsure"] else ""
    without = f", {states['no_result']} without a result" if states["no_result"] else ""
    shown = f"{found['outlined_share']:.1%} with an outline{unsure}{without}"
    click.echo(f"{frames['evaluated']} frames, {shown}{speckle}")
    sound = not set(reasons).intersection(NONSENSE)
    if not isinstance(truth, dict):
        return sound
    table = Table("score", "value", "of")
    for name, key, of in _rows(truth):
        value = truth[key]
        table.add_row(name, "none" if value is None else f"{value:.3f}", of)
    Console().print(table)
    unsure = f", {truth['unsure_negative_frames']} of them unsure" if truth["unsure_negative_frames"] else ""
    empty = truth["negative_frames"]
    click.echo(f"outlines on {truth['false_positive_frames']} of {empty} frames without a tear{unsure}")
    return sound


def _rows(truth: dict[str, object]) -> list[tuple[str, str, str]]:
    """Name, key in the report, and over what it is taken."""
    pixels, unit = "all pixels put together", truth["unit"]
    both = f"{truth['surface_pictures']} pictures with tear and outline; {truth['surface_pictures_left_out']} lack one"
    return [
        ("pooled Dice", "dice_pooled", pixels),
        ("precision", "precision", pixels),
        ("recall", "recall", pixels),
        ("IoU", "iou", pixels),
        ("Dice per picture", "dice_per_image", "pictures with a tear, their mean"),
        ("tears found", "lesion_sensitivity", f"{truth['tears']} tears"),
        ("tears found or unsure", "lesion_sensitivity_or_unsure", f"{truth['tears']} tears"),
        (f"HD95 ({unit})", "hd95", both),
        (f"surface distance ({unit})", "surface_distance", both),
        ("calibration error", "ece", f"{truth['ece_pixels']:,} pixels in question"),
    ]
