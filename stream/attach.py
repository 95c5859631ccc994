"""The scanner's process: source -> sector -> newest frame -> credit -> wire."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import zmq

from ..errors import mendable, sentence
from ..pictures.pixels import Sector
from ..pictures.screen.found import Found, blank
from ..pictures.screen.profiles import usual_profiles
from ..pictures.sector import SectorFinder
from .capture import Capture, Captured, check_sizes
from .causes import NOBODY, TOO_OLD_AT_SCANNER
from .frame import FeedName, Frame
from .link.credits import LEASE_NS
from .link.dial import Dialled
from .link.keys import own_name
from .link.link import POLL_MS, Rejections, Sender, read_messages, transmitter, waiting
from .link.wire import End, WireError
from .sources import Source, is_live, without_secrets

log = logging.getLogger(__name__)
PARTING_NS = 2_000_000_000  # how long the last frame and the end of a feed may wait for credit


@dataclass(frozen=True, slots=True)
class AttachSettings:
    """How a source is attached. `crop` None: find the sector; `start`: number of the first frame."""

    fps: float | None = None
    frames: int | None = None
    start: int = 0
    crop: Sector | None = None
    blank: bool = True
    insecure: bool = False
    feed: str = ""  # the token of its FeedName, see there; '' makes a new one
    alone: bool = False  # nobody would start it again: what breaks it off ends the feed for its viewers


def attach(
    source: Source,
    to: str,
    settings: AttachSettings,
    keep: Callable[[int], bool],
    tell: Callable[[str], None] = lambda sentence: None,
) -> str:
    """Send `source` to the engine at `to` until it ends or `keep(frames sent so far)` says no.

    `tell` hears why the engine cannot be reached, once for each reason. Returns why the source ended early, or ''.
    Raises EndpointError or ValueError (a crop that does not fit, a picture that the link does not carry).
    """
    check_sizes(source)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    try:
        attached = _Attached(context, source, to, settings, tell)
        try:
            return attached.run(keep)
        except Exception as error:
            if settings.alone:
                attached.break_off(sentence(error) if mendable(error) else f"it failed ({type(error).__name__})")
            raise
        finally:
            attached.capture.stop()
    finally:
        context.destroy(linger=200)


class _Attached:
    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        source: Source,
        to: str,
        settings: AttachSettings,
        tell: Callable[[str], None],
    ) -> None:
        self.epoch = time.time_ns()
        self.source, self.settings = source, settings
        live = source.live or settings.fps is not None
        self.finder = SectorFinder(settings.crop or source.sector, source.unrelated, usual_profiles(), live)
        self.found: Found | None = None  # on the frame before
        self.dialled = Dialled(context, to, settings.insecure)
        self.socket = self.dialled.socket
        self.tell, self.told = tell, ""
        self.name = feed_name(source, settings.feed)
        self.sender = Sender(transmitter(self.socket), self.epoch)
        self.rejections = Rejections()
        self.bell = context.socket(zmq.PULL)
        self.bell.bind("inproc://captured")
        ring = _ringer(context)
        self.capture = Capture(source, settings.fps, settings.frames, settings.start, self.epoch, ring)

    def run(self, keep: Callable[[int], bool]) -> str:
        poller = zmq.Poller()
        for socket in (self.socket, self.bell):
            poller.register(socket, zmq.POLLIN)
        while not (self.capture.ended and not self.capture.waiting()):
            poller.poll(POLL_MS)
            self._listen()
            self._send_newest()
            self._say_trouble()
            self.capture.check()
            if not keep(self.sender.allowance.sent):
                self.capture.stop()
                break
        return self._part()

    def _listen(self) -> None:
        now = time.monotonic_ns()
        for _ in waiting(self.bell):
            pass
        for parts in waiting(self.socket):
            message = read_messages(parts[-1], self.rejections)
            if message is None:
                continue
            try:
                self.sender.hear(message, now)
            except WireError as error:
                self.rejections.add(error)
        allowance = self.sender.allowance
        self.capture.credit = allowance.alive(now) and allowance.wanted
        self.sender.beat(now, feeds=(self.name,))
        # nothing is captured before somebody can look at it
        if not self.capture.started and allowance.may_send(now):
            facts = {"source": self.source.name, "epoch": self.epoch, "start": self.settings.start}
            log.info("the feed begins", extra=facts)
            self.capture.start()

    def _say_trouble(self) -> None:
        now = time.monotonic_ns()
        trouble = self.dialled.trouble(now, silent=not self.sender.allowance.alive(now))
        if trouble != self.told:
            self.told = trouble
            if trouble:
                self.tell(trouble)

    def _send_newest(self) -> None:
        if not self.capture.waiting() or not self.sender.allowance.may_send(time.monotonic_ns()):
            return
        captured = self.capture.take()
        if captured is None:
            return
        if self.capture.live and time.monotonic_ns() - captured.captured_ns > LEASE_NS:
            self.capture.lost(TOO_OLD_AT_SCANNER)
            return
        frame = self._frame(captured)
        self._listen()  # a look at the screen may have taken as long as a lease: what was granted meanwhile counts
        if not self.sender.send(frame, time.monotonic_ns()):
            self.capture.lost(NOBODY)

    def _frame(self, captured: Captured) -> Frame:
        pixels = captured.picture.pixels
        found = self.finder.look(pixels)
        if self.found is None or (found.sector, found.sure) != (self.found.sector, self.found.sure):
            self._log_sector(found, pixels.shape)
        if self.settings.blank:
            pixels = blank(pixels, found)
        return Frame(
            pixels,
            self.source.name,
            self.epoch,
            captured.seq,
            captured.captured_ns,
            self.capture.live,
            found.sector,
            self.source.mm_per_pixel,
            self.source.fps,
            captured.picture.truth,
            attached=captured.trail,
            feed=self.name.feed,
            sector_sure=found.sure,
        )

    def _log_sector(self, found: Found, shape: tuple[int, ...]) -> None:
        """At INFO once for pictures that each have a sector of their own."""
        level = logging.DEBUG if self.found is not None and self.source.unrelated else logging.INFO
        what = "sector found" if self.found is None else "sector changed"
        facts = {"sector": list(found.sector), "sure": found.sure, "rows": shape[0], "columns": shape[1]}
        log.log(level, what, extra=facts)
        self.found = found

    def _part(self) -> str:
        """Send the last frame and the end of the feed; wait until they have been taken, within reason.

        A camera that was lost has not ended: the viewers see 'stale' until it is back.
        """
        self.capture.check()
        if self.capture.problem and self.source.live:
            return self.capture.problem
        until = time.monotonic_ns() + PARTING_NS
        said = False
        while time.monotonic_ns() < until and not (said and self.sender.allowance.settled):
            self._listen()
            self._send_newest()
            self.capture.check()
            if not said and not self.capture.waiting() and self.capture.ended:
                said = self.sender.send(self._end(self.capture.problem), time.monotonic_ns())
            self.socket.poll(POLL_MS)
        trail = self.capture.trail()
        facts = {"epoch": self.epoch, "captured": trail.taken, "dropped": trail.dropped}
        log.info("the feed ends", extra={**facts, "taken": self.sender.allowance.settled})
        return self.capture.problem

    def break_off(self, why: str) -> None:
        """Tell the viewers that the feed has ended, and why; within reason."""
        end = self._end(why)
        until = time.monotonic_ns() + PARTING_NS
        while time.monotonic_ns() < until and not self.sender.send(end, time.monotonic_ns()):
            self._listen()
            self.socket.poll(POLL_MS)

    def _end(self, why: str) -> End:
        return End(self.source.name, self.epoch, self.capture.trail(), problem=why[:500], feed=self.name.feed)


def token_of(spec: str) -> str:
    """The same for the same source: of a file its whole path counts. Nothing can be read out of it."""
    whole = without_secrets(spec) if is_live(spec) else os.path.realpath(spec)
    return hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()[:6]


def feed_name(source: Source, token: str) -> FeedName:
    """What the feed of `source` is called that was begun with `token` ('': a new one)."""
    return FeedName(f"{own_name()}/{token or secrets.token_hex(3)}", source.name[:500])


def _ringer(context: zmq.Context[zmq.Socket[bytes]]) -> Callable[[], None]:
    """What the capture thread calls to wake the loop; its socket is opened in that thread."""
    bell: list[zmq.Socket[bytes]] = []

    def ring() -> None:
        if not bell:
            bell.append(context.socket(zmq.PUSH))
            bell[0].setsockopt(zmq.LINGER, 0)
            bell[0].connect("inproc://captured")
        with contextlib.suppress(zmq.ZMQError):  # a full bell has rung; one whose loop is gone need not
            bell[0].send(b"", zmq.NOBLOCK)

    return ring
