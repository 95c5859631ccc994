"""From `--calibrate DATA` and `--gate DATA` to pictures: what `smartca build` and `smartca calibrate report` take."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from ...calibration.int8.data import POOLED_DICE, RECALL, WORST_FRAME, CalibrationData
from ..options import crop_option, finite, label_option, mask_value_option


def _limit(name: str, usual: float, words: str) -> Any:
    return click.option(
        name,
        type=click.FloatRange(0, 1, min_open=name == "--worst-frame"),
        callback=finite,
        default=usual,
        show_default=True,
        help=f"{words} The build sheet tells it.",
    )


def data_options(required: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """--calibrate, --gate, --mask-value, --label, --crop; the command gets them as `data`, None without --calibrate."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def collected(
            calibrate: str | None,
            gate: str | None,
            mask_value: int | None,
            label: tuple[str, ...],
            crop: str,
            worst_frame: float,
            gate_dice: float,
            gate_recall: float,
            **more: Any,
        ) -> None:
            others = (worst_frame, gate_dice, gate_recall) != (WORST_FRAME, POOLED_DICE, RECALL)
            if calibrate is None and (gate or mask_value or label or others):
                raise click.UsageError(
                    "--gate, --mask-value, --label, --worst-frame, --gate-dice and --gate-recall go with --calibrate "
                    "DATA"
                )
            chosen = (gate, crop, mask_value, worst_frame, label, gate_dice, gate_recall)
            command(data=None if calibrate is None else CalibrationData(calibrate, *chosen), **more)

        for option in (
            crop_option,
            _limit("--gate-recall", RECALL, "Recall that all frames of the gate together may lose."),
            _limit("--gate-dice", POOLED_DICE, "Pooled Dice that all frames of the gate together may lose."),
            _limit("--worst-frame", WORST_FRAME, "Dice that any one frame may lose at the gate."),
            label_option,
            mask_value_option,
            click.option(
                "--gate",
                metavar="DATA",
                help="Pictures that the INT8 engine must outline as fp32 does.  [default: other pictures of "
                "--calibrate; of labelled ones, their split 'val']",
            ),
            click.option(
                "--calibrate",
                required=required,
                metavar="DATA",
                help="Pictures to take INT8 ranges from: what evaluate's --data takes; of labelled ones, their split "
                "'train'.",
            ),
        ):
            collected = option(collected)
        return collected

    return add
