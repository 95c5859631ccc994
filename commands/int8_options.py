"""From `--calibrate DATA` and `--gate DATA` to pictures: what `smartca build` and `smartca calibrate report` take."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from ..calibration.int8.data import WORST_FRAME, CalibrationData
from .options import crop_option, finite, label_option, mask_value_option


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
            **more: Any,
        ) -> None:
            if calibrate is None and (gate or mask_value or label or worst_frame != WORST_FRAME):
                raise click.UsageError("--gate, --mask-value, --label and --worst-frame go with --calibrate DATA")
            chosen = (gate, crop, mask_value, worst_frame, label)
            command(data=None if calibrate is None else CalibrationData(calibrate, *chosen), **more)

        for option in (
            crop_option,
            click.option(
                "--worst-frame",
                type=click.FloatRange(0, 1, min_open=True),
                callback=finite,
                default=WORST_FRAME,
                show_default=True,
                help="Dice that any one frame may lose at the gate; it is told in the build sheet.",
            ),
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
