"""The attach process: what `smartca attach` does once its options are read."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace

import cv2

from ...errors import SmartcaError
from ..attach import AttachSettings, attach, feed_name, token_of
from ..displays.printed import Say
from ..sources import NO_CHOICE, Source, TruthChoice, open_source
from .pulse import Heart


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
        settings = replace(settings, feed=token_of(spec))
        while source is not None:
            with source:
                if pulse is None:
                    name = feed_name(source, settings.feed)
                    say(f"'{source.name}' goes to {to} as soon as somebody looks (feed {name.feed})")
                source.prepare()
                problem = attach(source, to, settings, keep, say)
            if problem and (pulse is None or source.live):  # of a file's damage the supervisor hears, and tells
                say(problem)
            if not problem or not source.live:
                break
            source = reopened(spec, heart)
    return 0


def reopened(spec: str, heart: Heart) -> Source | None:
    """The source `spec` once it is there again; None once told to stop.

    A device is asked for about once a second, another machine less and less often.
    """
    tenths = 10
    while heart.alive():
        heart.ready(False)
        try:
            return open_source(spec)
        except (SmartcaError, OSError):
            for _ in range(tenths):
                heart.ready(False)
                time.sleep(0.1)
                if not heart.alive():
                    return None
            tenths = min(100, round(1.5 * tenths)) if "://" in spec else tenths
    return None
