"""The engine's process. The main path is `serve`: one loop, frame in, answer out."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import zmq

from ..engine import Answer, DeviceLost, EngineError, NoPicture, Segmenter
from .fanout import Fanout
from .frame import Frame, Result, State
from .intake import Feed, Intake
from .link.guard import Guard, listen_at
from .link.keys import KeyRing
from .link.link import POLL_MS, Rejections
from .link.wire import End, Message

log = logging.getLogger(__name__)
SMOOTHING = 0.2
PARTING_S = 0.25  # two grants of a viewer: what waits for its credit can still go
Keep = Callable[[], bool]  # called every round; False ends the loop


def serve(
    open_segmenter: Callable[[], Segmenter],
    bind: str,
    publish: str,
    insecure: bool,
    keep: Keep,
    keys: KeyRing | None = None,
) -> int:
    """Answer frames that come to `bind` towards viewers at `publish` until `keep` says no.

    An address that other machines reach is encrypted, and lets in whom `keys` (None: this user's) allows; `insecure`
    takes that away. Returns how many messages and handshakes were refused. Raises EndpointError or EngineError before
    it is ready, and DeviceLost once the engine's device has failed for good, when viewers have been told 'no result'.
    """
    epoch = time.time_ns()
    rejections = Rejections()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    guard: Guard | None = None
    try:
        (incoming, outgoing), guard = listen_at(context, (bind, publish), insecure, keys)
        segmenter = open_segmenter()
        with segmenter:
            intake = Intake(incoming.socket, epoch, rejections, incoming.admits)
            engine = {**segmenter.runner.info.as_report(), "points": _points(segmenter)}
            fanout = Fanout(outgoing.socket, epoch, engine, rejections, outgoing.admits)
            log.info("ready", extra={"bind": bind, "publish": publish})
            _loop(_Desk(segmenter, intake, fanout, epoch, guard), [incoming.socket, outgoing.socket], keep)
    finally:
        if guard is not None:
            guard.close()
        context.destroy(linger=200)
    return rejections.count + (guard.refused.count if guard is not None else 0)


def _points(segmenter: Segmenter) -> str:
    """How many points a viewer can choose from: 'three', 'one' under all three names, 'own' for a fixed threshold."""
    if not segmenter.point_name:
        return "own"
    return "three" if segmenter.stored.points else "one"


@dataclass(slots=True)
class _Job:
    """One frame at the engine; `failure` says why there will be no result."""

    feed: Feed
    message: Message
    frame: Frame
    started_ns: int
    spent_ns: int = 0
    answer: Answer | None = None
    failure: str = ""


class _Desk:
    """What one round of the loop does; frames go in and answers out in the same order."""

    def __init__(
        self, segmenter: Segmenter, intake: Intake, fanout: Fanout, epoch: int, guard: Guard | None = None
    ) -> None:
        self.segmenter, self.intake, self.fanout, self.epoch = segmenter, intake, fanout, epoch
        self.guard = guard
        self.ending: tuple[Feed, Message, End] | None = None
        self.lost: DeviceLost | None = None
        self.busy_ns = 0.0  # how long one wait for the engine takes, about
        self.room = 1  # pictures that may be at the engine at once

    def pump(self) -> None:
        """Send what may be sent, take in what has come."""
        now = time.monotonic_ns()
        if self.guard is not None:
            self.guard.pump(now)
        self.fanout.pump(now)
        self.intake.pump(lambda name: self.fanout.wants(name, now), now, self.busy_ns)
        self.fanout.feeds = self.intake.names(now)

        wish = self.fanout.take_wish()
        if wish is not None and wish != self.segmenter.point_name:
            self.segmenter.switch(wish)
            log.info("outlines at another point", extra={"point": self.segmenter.point_name})

    def begin(self) -> _Job | None:
        """Start the engine on the next frame, if there is one for somebody to see."""
        if self.ending is not None:
            return None
        taken = self.intake.take(self.fanout, time.monotonic_ns())
        if taken is None:
            return None
        feed, message, body = taken
        if isinstance(body, End):
            self.ending = (feed, message, body)
            return None
        frame = body.with_clock(feed.receiver.clock.estimate() or body.clock)
        job = _Job(feed, message, frame, time.monotonic_ns())
        runner = self.segmenter.runner
        if not frame.live:
            runner.widen()
        self.room = (frame.live and runner.live_in_flight) or runner.in_flight
        try:
            self.segmenter.start(frame.pixels, frame.sector)
        except (EngineError, NoPicture) as error:
            self._fail(job, error)
        return job

    def finish(self, job: _Job) -> None:
        """Wait for the engine."""
        began_ns = time.monotonic_ns()
        if not job.failure:
            try:
                job.answer = self.segmenter.finish()
            except (EngineError, NoPicture) as error:
                self._fail(job, error)
        now_ns = time.monotonic_ns()
        job.spent_ns = now_ns - job.started_ns
        self.busy_ns += SMOOTHING * (now_ns - began_ns - self.busy_ns)

    def _fail(self, job: _Job, error: Exception) -> None:
        job.failure = str(error)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("no result", extra={"epoch": job.frame.epoch, "seq": job.frame.seq, "why": job.failure})
        if isinstance(error, DeviceLost):
            self.lost = error

    def deliver(self, job: _Job) -> None:
        """Hand frame and result to the viewers and give the feed its credit back."""
        self.fanout.offer(job.frame, self._result(job), time.monotonic_ns())
        job.feed.receiver.finish(job.message, time.monotonic_ns())

    def _result(self, job: _Job) -> Result:
        """A failure is an honest 'no result', never an empty mask."""
        feed = job.feed
        if job.answer is None:
            digest = self.segmenter.runner.info.digest
            return Result(State.NO_RESULT, None, 0.0, job.failure, digest, 0, feed.trail(self.epoch))
        digest = self.segmenter.whose(job.answer).runner.info.digest
        found = self.segmenter.outline(job.answer, job.frame.pixels.shape, job.frame.sector)
        feed.inferred += 1
        state, trail = State.of(found.mask, found.unsure), feed.trail(self.epoch)
        return Result(state, found.mask, found.confidence, "", digest, job.spent_ns, trail, found.unsure, found.point)

    def end_feed(self) -> None:
        """Pass on the end of a feed; its last answer must have gone."""
        if self.ending is not None:
            feed, message, end = self.ending
            end = msgspec.structs.replace(end, served=feed.trail(self.epoch))
            self.fanout.offer_end(end, time.monotonic_ns())
            feed.receiver.finish(message, time.monotonic_ns())
            self.ending = None


def _loop(desk: _Desk, sockets: list[zmq.Socket[bytes]], keep: Keep) -> None:
    """While the engine works on one frame, the one before is outlined and delivered, the next taken in.

    An engine that takes several at a time is given the next before it is asked for the first. Raises DeviceLost.
    """
    poller = zmq.Poller()
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
    jobs: deque[_Job] = deque()
    while keep() and desk.lost is None:
        if not jobs and not desk.intake.ready(desk.fanout, time.monotonic_ns()):
            poller.poll(POLL_MS)
        done = _finished(desk, jobs) if len(jobs) >= desk.room else None
        desk.pump()
        begun = desk.begin()
        if begun is not None:
            jobs.append(begun)
        elif done is None and jobs:
            done = _finished(desk, jobs)
        if done is not None:
            desk.deliver(done)
        if not jobs:
            desk.end_feed()
        desk.pump()
    if desk.lost is not None:
        _give_up(desk, jobs)
        raise desk.lost


def _finished(desk: _Desk, jobs: deque[_Job]) -> _Job:
    """The oldest job, its answer waited for."""
    job = jobs.popleft()
    desk.finish(job)
    return job


def _give_up(desk: _Desk, jobs: deque[_Job]) -> None:
    """'No result' for what the lost device still had, and a moment for viewers to take it."""
    while jobs:
        desk.deliver(_finished(desk, jobs))
    until = time.monotonic() + PARTING_S
    while time.monotonic() < until and any(viewer.waiting for viewer in desk.fanout.viewers.values()):
        desk.fanout.pump(time.monotonic_ns())
        time.sleep(0.005)
