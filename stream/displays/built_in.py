"""Where a viewer's overlays go: the live page, a recording, or only the report."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import RunError, SmartcaError, mendable, sentence
from ...pictures.pixels import Mask
from ..frame import State
from ..tally import Tally
from .contract import Display, Shown
from .overlay import draw_overlay, outlines
from .recording import FilmRecord

if TYPE_CHECKING:  # what serves a page and what writes a film take long to import, and only some views have them
    from .page.hub import PageHeader, PageServer
    from .recorder import Recorder

JPEG_QUALITY = 90


class PageDisplay(Display):
    """The live page: picture as JPEG and outline as corners, in one message. Closing it ends the server."""

    def __init__(self, server: PageServer, engine: Callable[[], dict[str, str | list[int]] | None]) -> None:
        self.server = server
        self._engine = engine
        self._last: PageHeader = {}

    def show(self, shown: Shown, tally: Tally) -> None:
        """See `Display.show`."""
        frame, result = shown.frame, shown.result
        ok, jpeg = cv2.imencode(".jpg", frame.pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not ok:
            raise RunError("the picture cannot be encoded as JPEG")
        self._last = {
            "state": result.state.value,
            "note": result.reason,
            "seq": frame.seq,
            "epoch": frame.epoch,
            "captured_local_ns": shown.captured_local_ns,
            "uncertainty_ms": shown.uncertainty_ns / 1e6,
            "width": frame.pixels.shape[1],
            "height": frame.pixels.shape[0],
            "outlines": _corners(result.mask),
            "unsure": _corners(result.unsure),
            "point": result.point,
            "confidence": round(result.confidence, 3),
            "fps": shown.fps,
            "inference_ms": round(result.inference_ns / 1e6, 1),
            **self._totals(tally, result.engine),
            "source": frame.source,
            "mm_per_pixel": frame.mm_per_pixel,
            "sector": frame.sector,
            "sector_sure": frame.sector_sure,
        }
        self.server.publish(jpeg.tobytes(), self._last)

    def status(self, state: State, note: str, tally: Tally) -> None:
        """See `Display.status`."""
        kept = {name: self._last[name] for name in ("source", "seq", "epoch") if name in self._last}
        self.server.status({"state": state.value, "note": note, **self._totals(tally), **kept})

    def close(self) -> None:
        """See `Display.close`."""
        self.server.stop()

    def _totals(self, tally: Tally, answered: str = "") -> PageHeader:
        engine = self._engine() or {}
        digest = str(engine.get("model_sha256", ""))[:12]
        name = f"{engine.get('backend', '')} {engine.get('precision', '')} {digest}".strip()
        if digest and answered not in ("", digest):
            name += f"; this picture by the shipped network, {answered}"
        return {
            "captured": tally.captured,
            "shown": tally.shown,
            "dropped": tally.causes,
            "engine": name,
            "points": engine.get("points", ""),
        }


def _corners(mask: Mask | None) -> list[list[int]]:
    """The page's form of `outlines`: x, y, x, y, ... of each."""
    return [] if mask is None else [line.ravel().tolist() for line in outlines(mask)]


class DrawnDisplay(Display):
    """Draws every overlay and hands it to a recorder, if there is to be one: opened with the first frame.

    A recording that fails is told of through `tell`; the view goes on.
    """

    def __init__(self, record: Callable[[Shown], Recorder] | None, film: str, tell: Callable[[str], None]) -> None:
        self._recorder: Recorder | None = None
        self._record, self._film, self._tell = record, film, tell
        self._problem = ""

    def show(self, shown: Shown, tally: Tally) -> None:
        """See `Display.show`."""
        result = shown.result
        drawn = draw_overlay(shown.frame.pixels, result.mask, result.state, result.reason, result.unsure)
        if self._record is not None:
            try:
                self._add(self._record, drawn, shown)
            except (SmartcaError, OSError) as error:
                if not mendable(error):
                    raise
                self._fail(sentence(error))

    def recorded(self) -> FilmRecord | None:
        """What became of the recording; None where there is none."""
        if self._recorder is not None:
            return self._recorder.recorded()
        return FilmRecord(self._film, problem=self._problem) if self._problem else None

    def _add(self, record: Callable[[Shown], Recorder], drawn: NDArray[np.uint8], shown: Shown) -> None:
        if self._recorder is None:
            self._recorder = record(shown)
        latency = (time.monotonic_ns() - shown.captured_local_ns) / 1e6
        self._recorder.add(drawn, shown.frame, shown.result, latency)
        if self._recorder.problem:
            self._fail(self._recorder.problem)

    def _fail(self, problem: str) -> None:
        self._record, self._problem = None, problem
        self._tell(problem)

    def close(self) -> None:
        """Finish the recording."""
        if self._recorder is not None:
            self._recorder.close()
            if self._recorder.problem and self._record is not None:
                self._fail(self._recorder.problem)

    def status(self, state: State, note: str, tally: Tally) -> None:
        """A recording holds frames and what was said of them; a pause is in its times."""
