"""`attach`, `serve` and `view` for scripts: the three processes' loops, each in whatever thread or process calls it.

Ctrl-C ends any of them as it ends other Python. `keep` is asked many times a second; False ends the loop in good order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..engine import Engine, open_segmenter
from ..engine.operating_point import PointName, point_name
from ..errors import RunError
from ..pictures.pixels import Sector
from . import ANSWERS_AT, FRAMES_AT
from .attach import AttachSettings
from .attach import attach as send
from .displays.contract import Display, Shown
from .order import Order
from .serve import serve as answer
from .sources import Source, open_source
from .tally import Tally
from .view import ViewState, watch

Keep = Callable[[], bool]


def _always() -> bool:
    return True


def attach(
    source: str | Path | Source,
    to: str = FRAMES_AT,
    *,
    fps: float | None = None,
    frames: int | None = None,
    crop: Sector | None = None,
    blank: bool = True,
    insecure: bool = False,
    keep: Keep = _always,
) -> str:
    """Send `source` to the engine at `to` until it ends; returns why it ended early, or ''.

    source: as for `open_source`, or an open one, which stays open. It waits for an engine with a viewer. fps: make it a
    live one at this pace, of which the newest frame wins. frames: stop after so many. crop: the ultrasound picture
    inside the screen; None finds it. blank: what lies outside it, patients' names among it, is sent black. Beyond this
    machine it is encrypted, with the keys of `smartca keys`; insecure takes that away.
    Raises InputError (an address, a source, a crop) or OSError, each with one sentence.
    """
    with contextlib.ExitStack() as closing:
        opened = source if isinstance(source, Source) else closing.enter_context(open_source(source))
        opened.prepare()
        settings = AttachSettings(fps, frames, crop=crop, blank=blank, insecure=insecure, alone=True)
        return send(opened, to, settings, lambda sent: keep())


def serve(
    engine: str | Engine = "shipped",
    bind: str = FRAMES_AT,
    publish: str = ANSWERS_AT,
    *,
    precision: str = "auto",
    threshold: float | None = None,
    point: PointName | None = None,
    threads: int = 0,
    insecure: bool = False,
    keep: Keep = _always,
) -> int:
    """Answer the frames that come to `bind` towards viewers at `publish`; returns how many messages were refused.

    The rest is as for `open_segmenter`. An address that other machines reach is encrypted, and lets in those that
    `smartca keys` allows; insecure takes that away.
    Raises InputError for an address, EngineError as `open_segmenter`, DeviceLost once its device has failed for good.
    """
    return answer(
        lambda: open_segmenter(
            engine, precision=precision, threshold=threshold, point=point, threads=threads, insecure=insecure
        ),
        bind,
        publish,
        insecure,
        keep,
    )


def view(
    endpoint: str = ANSWERS_AT,
    *,
    source: str = "",
    displays: Sequence[Display] = (),
    point: PointName | None = None,
    stay: bool = False,
    insecure: bool = False,
    keep: Keep = _always,
) -> Iterator[Shown]:
    """Each frame with its result, as the engine at `endpoint` publishes them, until the feed ends.

    A slow taker gets the newest frame of a live feed. source: the feed's name; '' takes the first that comes.
    displays: these get everything first, also the word that there is no new frame, and are closed at the end. point:
    ask the engine to outline at it, for all its viewers. stay: go on after the end of a feed. Beyond this machine it is
    encrypted; insecure takes that away.
    Raises InputError for an address, and RunError where the feed ended early, with its reason, after all frames.
    """
    state = ViewState(Tally(), Order(source))
    if point is not None:
        state.ask(point_name(point))
    try:
        yield from watch(endpoint, displays, state, lambda: keep() and (stay or not state.ended), insecure)
    finally:
        with contextlib.ExitStack() as closing:  # all of them, though one fails
            for display in displays:
                closing.callback(display.close)
    if state.problem:
        raise RunError(state.problem)
