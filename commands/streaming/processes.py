"""`smartca attach`, `serve` and `view`: the three processes by themselves."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...stream import ANSWERS_AT, FRAMES_AT
from ..options import (
    FILE,
    PORT,
    apart,
    crop_option,
    display_option,
    finite,
    insecure_option,
    keep_screen_option,
    label_option,
    mask_value_option,
    model_arguments,
    model_options,
    one_of_both,
    say,
    writable,
    write_report,
)
from .config import config_option

if TYPE_CHECKING:
    from ...engine import Engine
    from ...engine.operating_point import PointName
    from ...stream.displays.contract import Display
    from ...stream.view import ViewState

_pulse = click.option("--pulse", hidden=True, help="Where the supervisor listens for signs of life.")


@click.command()
@click.argument("source")
@click.option("--to", default=FRAMES_AT, show_default=True, help="Where the engine takes frames.")
@click.option(
    "--fps",
    type=click.FloatRange(0, 1000, min_open=True),
    callback=finite,
    help="Make the source a live one at this pace.",
)
@click.option("--frames", type=click.IntRange(1), help="Stop after this many frames.")
@click.option("--start", type=click.IntRange(0), default=0, help="Number of the first frame of a file.")
@keep_screen_option
@mask_value_option
@label_option
@crop_option
@insecure_option
@config_option
@_pulse
def attach(
    source: str,
    to: str,
    fps: float | None,
    frames: int | None,
    start: int,
    keep_screen: bool,
    mask_value: int | None,
    label: tuple[str, ...],
    crop: str,
    insecure: bool,
    pulse: str | None,
) -> int:
    """Send SOURCE (as in `smartca run`) to an engine.

    Names of patients stand outside the ultrasound picture. That part of the screen is made black before it is sent.
    """
    from ...pictures.sector import parse_crop
    from ...stream.attach import AttachSettings
    from ...stream.run.attaching import run_attach
    from ...stream.sources import TruthChoice

    settings = AttachSettings(fps, frames, start, parse_crop(crop), not keep_screen, insecure)
    return run_attach(source, to, settings, pulse, say, TruthChoice(mask_value, label))


@click.command()
@click.option("--bind", default=FRAMES_AT, show_default=True, help="Where feeds attach.")
@click.option("--publish", default=ANSWERS_AT, show_default=True, help="Where viewers look.")
@click.option("--losses", type=click.IntRange(0), default=0, hidden=True)
@model_options
@insecure_option
@config_option
@_pulse
def serve(
    bind: str,
    publish: str,
    losses: int,
    engine: Engine,
    threshold: float | None,
    point: PointName | None,
    precision: str,
    threads: int,
    insecure: bool,
    pulse: str | None,
) -> int:
    """Run the engine between feeds and viewers, until Ctrl-C."""
    from ...stream.run.serving import ServeSettings, end_at_once, run_serve, start_again
    from ...stream.run.supervise import DEVICE_LOST

    one_of_both(threshold, point)
    started = time.monotonic()
    settings = ServeSettings(engine, threshold, precision, threads, bind, publish, insecure, point)
    code = run_serve(settings, pulse, say)
    if code == DEVICE_LOST and pulse is not None:  # the supervisor starts it again
        end_at_once(code)
    if code == DEVICE_LOST:
        arguments = ["serve", "--bind", bind, "--publish", publish, *(["--insecure"] if insecure else [])]
        arguments += model_arguments(engine, threshold, precision, threads, point)
        start_again(arguments, losses, time.monotonic() - started, say)
    return code


@click.command()
@click.option("--from", "endpoint", default=ANSWERS_AT, show_default=True, help="Where the engine publishes.")
@click.option(
    "--source",
    default="",
    help="Feed to show, by its source's name or as its attach process says.  [default: the first that comes]",
)
@click.option("--headless", is_flag=True, help="No page; states are printed.")
@click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="Port of the live page.")
@click.option("--record", type=FILE, help="Record the overlays as mp4, masks and timings beside it.")
@click.option("--report", type=FILE, help="Write what was measured as JSON.")
@display_option
@click.option("--stay", is_flag=True, help="Stay after the feed has ended.")
@insecure_option
@click.option("--from-start", is_flag=True, hidden=True)
@click.option("--asked", hidden=True, help="What else the head of a recording says, as JSON.")
@click.option("--orphans-report", type=FILE, hidden=True, help="The report, if the supervisor is killed.")
@click.option("--keep-record", is_flag=True, help="Do not replace an earlier recording; take the next free name.")
@config_option
@_pulse
def view(
    endpoint: str,
    source: str,
    headless: bool,
    port: int,
    record: Path | None,
    report: Path | None,
    displays: tuple[str, ...],
    stay: bool,
    insecure: bool,
    from_start: bool,
    asked: str | None,
    orphans_report: Path | None,
    keep_record: bool,
    pulse: str | None,
) -> int:
    """Show the overlays of the engine at --from, on a page or headless."""
    from ...engine.machine import versions
    from ...stream.run.viewing import Viewing
    from ...stream.run.watching import run_view

    writable(report, "--report")
    writable(record, "--record")
    apart("", record, report)
    known = json.loads(asked) if asked else {}
    page, quiet = None if headless else port, pulse is not None
    writing = Viewing(page, record, not keep_record, say, quiet, displays, known, insecure)

    def finish(state: ViewState, orphaned: bool) -> None:
        writing.close()
        body = {
            **state.tally.as_report(),
            "engine": state.engine,
            "problem": "the run's first process was killed" if orphaned else state.problem or None,
            "refused_messages": state.rejected,
            "versions": versions(),
        }
        write_report(body, orphans_report if orphaned else report)

    def make(state: ViewState) -> list[Display]:
        return writing.open(state)

    return run_view(endpoint, make, finish, stay, insecure, from_start, source, pulse, say)
