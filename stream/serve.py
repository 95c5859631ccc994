"""The engine's process. The main path is `serve`: one loop, frame in, answer out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import msgspec
import zmq

from ..engine import EngineError, NoPicture, Segmenter
from .endpoint import check, listen
from .fanout import Fanout
from .frame import Frame, Result, State
from .intake import Feed, Intake
from .link import Rejections
from .wire import End

log = logging.getLogger(__name__)
POLL_MS = 20
Keep = Callable[[], bool]  # called every round; False ends the loop


def serve(
    open_segmenter: Callable[[], Segmenter], bind: str, publish: str, insecure: bool, keep: Keep
) -> int:
    """Answer frames that come to `bind` towards viewers at `publish` until `keep` says no.

    Returns how many messages were refused. Raises EndpointError or EngineError before it is ready.
    """
    epoch = time.time_ns()
    rejections = Rejections()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    try:
        incoming = listen(context, check(bind, insecure))
        outgoing = listen(context, check(publish, insecure))
        segmenter = open_segmenter()
        with segmenter.runner:
            intake = Intake(incoming, epoch, rejections)
            fanout = Fanout(outgoing, epoch, segmenter.runner.info.as_report(), rejections)
            log.info("ready: %s", segmenter.runner.info)
            _loop(segmenter, intake, fanout, epoch, [incoming, outgoing], keep)
    finally:
        context.destroy(linger=200)
    return rejections.count


def _loop(
    segmenter: Segmenter,
    intake: Intake,
    fanout: Fanout,
    epoch: int,
    sockets: list[zmq.Socket[bytes]],
    keep: Keep,
) -> None:
    poller = zmq.Poller()
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
    while keep():
        if not intake.ready(fanout, time.monotonic_ns()):
            poller.poll(POLL_MS)
        now = time.monotonic_ns()
        fanout.pump(now)
        intake.pump(fanout.wanted(now), now)
        for feed, message, body in intake.turn(fanout, now):
            if isinstance(body, End):
                end = msgspec.structs.replace(body, served=feed.trail(epoch))
                fanout.offer_end(end, time.monotonic_ns())
            else:
                frame = body.with_clock(feed.receiver.clock.estimate() or body.clock)
                result = answer(segmenter, frame, feed, epoch)
                fanout.offer(frame, result, time.monotonic_ns())
            feed.receiver.finish(message, time.monotonic_ns())


def answer(segmenter: Segmenter, frame: Frame, feed: Feed, epoch: int) -> Result:
    """Ask the engine about `frame`; a failure is an honest 'no result', never an empty mask."""
    digest = segmenter.runner.info.digest
    started = time.monotonic_ns()
    try:
        found = segmenter(frame.pixels, frame.sector)
    except (EngineError, NoPicture) as error:
        return Result(State.NO_RESULT, reason=str(error), engine=digest, served=feed.trail(epoch))
    spent = time.monotonic_ns() - started
    feed.inferred += 1
    state = State.TEAR_OUTLINED if found.mask.any() else State.NO_TEAR_OUTLINED
    return Result(state, found.mask, found.confidence, "", digest, spent, feed.trail(epoch))
