"""The view process: what `smartca view` does once its options are read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Literal

import cv2

from ..displays.contract import Display
from ..displays.printed import Say
from ..displays.recording import shortfall
from ..order import Order
from ..tally import Tally
from ..view import ViewState, view
from .pulse import Heart, Pulse


def run_view(
    endpoint: str,
    make_displays: Callable[[ViewState], list[Display]],
    finish: Callable[[ViewState, bool], None],
    stay: bool,
    insecure: bool,
    from_start: bool,
    source: str,
    pulse: str | None,
    say: Say,
) -> int:
    """View answers until the feed ends (unless `stay`) or the process is told to stop.

    Returns the exit code: 1 if what was shown is not all in the recording.

    make_displays may raise OSError (port in use, no such folder); `finish` is called at the end in any case, and told
    whether the supervisor was killed, so that nobody else writes a report.
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
            finish(state, pulse is not None and heart.orphaned)
            beat("finished")
    recorded = state.recorded()
    if pulse is not None or recorded is None:  # the supervisor counts over all its viewers, and tells
        return 0
    lacks = shortfall([recorded], state.tally.shown)
    for sentence in lacks or ([recorded.note] if recorded.note else []):
        if sentence != recorded.problem:  # which was told when it came
            say(sentence)
    return 1 if lacks else 0
