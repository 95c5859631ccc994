"""The serve process: what `smartca serve` does once its options are read."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2

from ... import logs
from ...engine import DeviceLost, Engine, Foreign, Segmenter, open_segmenter
from ...engine.operating_point import NOT_CALIBRATED, PointName, how_to_calibrate
from ..displays.printed import Say
from ..link.endpoint import is_local
from ..link.keys import KeyRing
from ..serve import serve
from .pulse import Heart
from .supervise import DEVICE_LOST, MOST_RESTARTS, WITHIN_S

log = logging.getLogger(__name__)


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
            refused = serve(opened, settings.bind, settings.publish, settings.insecure, keep)
        except DeviceLost as error:
            if not ready:  # it never worked: to try again is no use
                raise
            say(str(error))
            return DEVICE_LOST
    if refused and pulse is None:
        say(f"{refused} message(s) or connection(s) were refused")
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
        _say_who_may_come(settings, say)
        info = segmenter.runner.info
        say(f"ready: {info.backend} {info.precision}, {info.size} x {info.size}, weights {info.digest}")
    if segmenter.point.fitted_on == NOT_CALIBRATED and settings.threshold is None:
        say(
            f"{engine.name} is not calibrated: outlines begin at a confidence of {segmenter.point.threshold}; "
            f"{_how_to_calibrate(engine)}"
        )
    return segmenter


def _say_who_may_come(settings: ServeSettings, say: Say) -> None:
    """Where other machines reach this engine: how it is protected."""
    far = [endpoint for endpoint in (settings.bind, settings.publish) if not is_local(endpoint)]
    if not far:
        return
    if settings.insecure:
        say(f"{' and '.join(far)} in the clear: whoever reaches this machine can see the pictures")
        return
    names = KeyRing().names("allowed")
    if names:
        say(f"encrypted; these may come in: {', '.join(names)}")
    else:
        say("encrypted; no other machine may come in yet: `smartca keys pair` lets one in, also while this runs")


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
