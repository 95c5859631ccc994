"""OpenIGTLink out: mask, overlay and state for 3D Slicer, PLUS and whoever else connects."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone

import numpy as np

from ...errors import InputError
from ...pictures.pixels import Mask
from ..frame import State
from ..igtl.address import parse_igtl
from ..igtl.messages import image_bytes, need_pyigtl, string_bytes
from ..tally import Tally
from .broadcast import Broadcast
from .contract import Display, Shown
from .overlay import draw_overlay

IGTL_OUT_PORT = 18945
DEVICES = STATE, MASK, OVERLAY = "SmartCA_State", "SmartCA_Mask", "SmartCA_Overlay"
Parts = Iterator[tuple[str, Callable[[], bytes]]]  # a device, and what puts its message into bytes
_AGAIN_S = 1.0  # an absence is said again, for who shows only what is fresh


class OpenIgtLinkDisplay(Display):
    """A server at `rest`, //HOST:PORT. Every client gets, in this order and for the same moment:

    SmartCA_State (STRING, JSON), SmartCA_Mask (IMAGE, 1 inside the outline) and SmartCA_Overlay (IMAGE, RGB); or with
    //HOST:PORT/DEVICE that one alone. The mask is empty whenever no tear is outlined on a fresh frame. Raises
    InputError for an address beyond this machine without `insecure`, FileError where it cannot listen.
    """

    def __init__(self, rest: str, insecure: bool = False) -> None:
        need_pyigtl()
        address = parse_igtl(rest, IGTL_OUT_PORT)
        if address.device not in ("", *DEVICES):
            raise InputError(f"igtl://{address} has no device '{address.device}'; give {', '.join(DEVICES)}, or none")
        self._only = address.device
        if not insecure and not address.local:
            raise InputError(
                f"igtl://{address} leaves this machine and pictures would travel unencrypted; use igtl://127.0.0.1:"
                f"{address.port}, or add --insecure if the network is yours alone"
            )
        self._server = Broadcast(address.host, address.port)
        self._last: Shown | None = None
        self._said: tuple[State, str] | None = None  # the absence that was told last, and until when that is enough
        self._due = 0.0

    @property
    def clients(self) -> int:
        """How many are connected."""
        return self._server.clients

    def show(self, shown: Shown, tally: Tally) -> None:
        """See `Display.show`."""
        self._last, self._said = shown, None
        self._server.publish(lambda: self._bytes(_shown(shown)))

    def status(self, state: State, note: str, tally: Tally) -> None:
        """See `Display.status`."""
        now = time.monotonic()
        if self._said == (state, note) and now < self._due:
            return
        self._said, self._due, last = (state, note), now + _AGAIN_S, self._last
        self._server.publish(lambda: self._bytes(_absent(last, state, note)))

    def close(self) -> None:
        """Take the mask away and let the clients go."""
        last = self._last
        self._server.publish(lambda: self._bytes(_absent(last, State.STALE, "smartca has ended")))
        self._server.close()

    def _bytes(self, parts: Parts) -> bytes:
        return b"".join(put() for device, put in parts if self._only in ("", device))


def _shown(shown: Shown) -> Parts:
    frame, result = shown.frame, shown.result
    time_ns = time.time_ns() - (time.monotonic_ns() - shown.captured_local_ns)
    outlined = result.mask if result.state is State.TEAR_OUTLINED else None
    area = 0 if outlined is None else int(outlined.sum())
    mm = frame.mm_per_pixel
    words = _words(
        result.state,
        result.reason,
        time_ns,
        area_pixels=area,
        area_mm2=None if mm is None else round(area * mm[0] * mm[1], 2),
        confidence=round(result.confidence, 3),
        point=result.point,
        engine=result.engine,
        source=frame.source,
        seq=frame.seq,
    )
    empty: Mask = np.zeros(frame.pixels.shape[:2], np.bool_)
    yield STATE, lambda: string_bytes(STATE, words, time_ns)
    yield MASK, lambda: image_bytes(MASK, empty if outlined is None else outlined, mm, time_ns)
    drawn = frame.pixels, result.mask, result.state, result.reason, result.unsure
    yield OVERLAY, lambda: image_bytes(OVERLAY, draw_overlay(*drawn), mm, time_ns)


def _absent(last: Shown | None, state: State, note: str) -> Parts:
    """The state, and behind it an empty mask and the last picture without an outline, if there was one."""
    now = time.time_ns()
    yield STATE, lambda: string_bytes(STATE, _words(state, note, now), now)
    if last is None:
        return
    pixels, mm = last.frame.pixels, last.frame.mm_per_pixel
    empty: Mask = np.zeros(pixels.shape[:2], np.bool_)
    yield MASK, lambda: image_bytes(MASK, empty, mm, now)
    yield OVERLAY, lambda: image_bytes(OVERLAY, draw_overlay(pixels, None, state, note), mm, now)


def _words(state: State, note: str, time_ns: int, **more: object) -> str:
    moment = datetime.fromtimestamp(time_ns / 1e9, timezone.utc).isoformat(timespec="milliseconds")
    return json.dumps({"state": state.value, "note": note, "time": moment, **more})
