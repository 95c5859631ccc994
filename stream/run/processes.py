"""The three processes: what `smartca attach`, `serve` and `view` do once their options are read."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2

from ... import logs
from ...engine import DeviceLost, Engine, Foreign, Segmenter, open_segmenter
from ...engine.operating_point import NOT_CALIBRATED, PointName, how_to_calibrate
from ...errors import SmartcaError
from ..attach import AttachSettings, attach
from ..displays.contract import Display
from ..displays.printed import Say
from ..displays.recording import shortfall
from ..order import Order
from ..serve import serve
from ..sources import NO_CHOICE, Source, TruthChoice, open_source
from ..tally import Tally
from ..view import ViewState, view
from .pulse import Heart, Pulse
from .supervise import DEVICE_LOST, MOST_RESTARTS, WITHIN_S

log = logging.getLogger(__name__)


def run_attach(
    spec: str, to: str, settings: AttachSettings, pulse: str | None, say: Say, choice: TruthChoice = NO_CHOICE
) -> int:
    """Attach the source `spec`, with the truth of `choice`, to the engine at `to`; returns the exit code.

    A camera that is lost is waited for: somebody may be about to plug it in again.
    """
    cv2.setNumThreads(1)
    heart = Heart("attach", pulse)

    def keep(sent: int) -> bool:
        # ready once a frame has gone: a crop that does not fit is found out with the first
        heart.ready(sent > 0)
        return heart.alive()

    with contextlib.closing(heart):
        source: Source | None = open_source(spec, None, *choice)
        while source is not None:
            with source:
                if pulse is None:
                    say(f"'{source.name}' goes to {to} as soon as an engine with a viewer is there")
                source.prepare()
                problem = attach(source, to, settings, keep)
            if problem and (pulse is None or source.live):  # of a file's damage the supervisor hears, and tells
                say(problem)
            if not problem or not source.live:
                break
            source = reopened(spec, heart)
    return 0


def reopened(spec: str, heart: Heart) -> Source | None:
    """The source `spec` once it is there again, asked for about once a second; None once told to stop."""
    while heart.alive():
        heart.ready(False)
        try:
            return open_source(spec)
        except (SmartcaError, OSError):
            for _ in range(10):
                heart.ready(False)
                time.sleep(0.1)
    return None


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Which engine, at which threshold (None: its own), how it computes, and where it listens and publishes."""

    engine: Engine
    threshold: float | None
    precision: str
    threads: int
    bind: str
    publish: str
    insecure: bool
    point: PointName | None = None


def run_serve(settings: ServeSettings, pulse: str | None, say: Say) -> int:
    """Serve the engine; returns the exit code, DEVICE_LOST once its device has failed for good."""
    cv2.setNumThreads(1)
    heart = Heart("serve", pulse)
    ready = False

    def opened() -> Segmenter:
        nonlocal ready
        segmenter = _opened(settings, pulse is None, say)
        ready = True
        return segmenter

    def keep() -> bool:
        heart.ready()
        return heart.alive()

    with contextlib.closing(heart):
        try:
            serve(opened, settings.bind, settings.publish, settings.insecure, keep)
        except DeviceLost as error:
            if not ready:  # it never worked: to try again is no use
                raise
            say(str(error))
            return DEVICE_LOST
    return 0


def _opened(settings: ServeSettings, alone: bool, say: Say) -> Segmenter:
    engine = settings.engine
    log.info("opening the engine", extra={"precision": settings.precision, "threads": settings.threads})
    segmenter = open_segmenter(
        engine,
        precision=settings.precision,
        threshold=settings.threshold,
        point=settings.point,
        threads=settings.threads,
        insecure=settings.insecure,
    )
    if alone:
        info = segmenter.runner.info
        say(f"ready: {info.backend} {info.precision}, {info.size} x {info.size}, weights {info.digest}")
    if segmenter.point.fitted_on == NOT_CALIBRATED and settings.threshold is None:
        say(
            f"{engine.name} is not calibrated: outlines begin at a confidence of {segmenter.point.threshold}; "
            f"{_how_to_calibrate(engine)}"
        )
    return segmenter


def _how_to_calibrate(engine: Engine) -> str:
    """What a server runs took the operating point of its model along, as an engine does."""
    if isinstance(engine, Foreign):
        return "its plugin may give another one by `point`, or give --threshold"
    return how_to_calibrate(engine if isinstance(engine, Path) else Path(engine.name))


def start_again(arguments: list[str], losses: int, worked_s: float, say: Say) -> None:
    """Put a new process in the place of this one, whose device is lost: nothing less brings a GPU back.

    Returns where that is no use: after `MOST_RESTARTS` losses, none of which came after a minute's work.
    """
    losses = 1 if worked_s > WITHIN_S else losses + 1
    if losses > MOST_RESTARTS:
        say(f"the device was lost {losses} times, each time within {WITHIN_S:.0f} s; `smartca doctor` looks at it")
        return
    if sys.platform == "win32":  # which would leave the terminal to both processes
        say("start `smartca serve` again")
        return
    say("starting again, in a new process")
    _flush()
    command = [*arguments, *logs.settings().arguments(), "--losses", str(losses)]
    os.execv(sys.executable, [sys.executable, "-m", "smartca", *command])


def end_at_once(code: int) -> None:
    """End this process without taking anything apart: on a lost device that may take for ever, and somebody waits."""
    _flush()
    os._exit(code)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def run_view(
    endpoint: str,
    make_displays: Callable[[ViewState], list[Display]],
    finish: Callable[[ViewState], None],
    stay: bool,
    insecure: bool,
    from_start: bool,
    source: str,
    pulse: str | None,
    say: Say,
) -> int:
    """View answers until the feed ends (unless `stay`) or the process is told to stop.

    Returns the exit code: 1 if what was shown is not all in the recording.

    make_displays may raise OSError (port in use, no such folder); `finish` is called at the end in any case.
    """
    cv2.setNumThreads(1)
    heart = Heart("view", pulse)
    state = ViewState(Tally(), Order(source))

    def beat(stage: Literal["", "finishing", "finished"] = "") -> None:
        heart.beat(
            Pulse(
                "view",
                os.getpid(),
                True,
                state.order.next_seq,
                state.tally,
                state.engine,
                state.ended,
                state.problem,
                state.recorded(),
                stage,
            )
        )

    def keep() -> bool:
        if heart.due:
            beat()
        return heart.alive() and (stay or not state.ended)

    with contextlib.closing(heart):
        displays = make_displays(state)
        try:
            view(endpoint, displays, state, keep, insecure, from_start, one_feed=pulse is not None)
        finally:
            beat("finishing")
            finish(state)
            beat("finished")
    recorded = state.recorded()
    if pulse is not None or recorded is None:  # the supervisor counts over all its viewers, and tells
        return 0
    lacks = shortfall([recorded], state.tally.shown)
    for sentence in lacks or ([recorded.note] if recorded.note else []):
        if sentence != recorded.problem:  # which was told when it came
            say(sentence)
    return 1 if lacks else 0
