"""A network on a Triton Inference Server, here or on another machine, behind the same contract as any engine."""

from __future__ import annotations

import logging
import threading

import numpy as np
from numpy.typing import NDArray

from ...errors import mendable
from ..contract import Answer, EngineError, Runner
from ..operating_point import OperatingPoint
from .address import parse
from .session import Pending, Session, SessionLost

TIMEOUT_S = 0.25  # a live picture that is older is of no use to anybody
log = logging.getLogger(__name__)
RETRY_S = 0.25


class TritonRunner(Runner):
    """Asks the model at `url` (see `triton_address.parse`), picture by picture.

    Every answer is checked to be this request's and of the weights in `info`. A picture without an answer after
    `timeout_s` costs an EngineError and the connection: the next pictures fail at once, while a thread of its own
    connects again and makes sure that the same weights answer; then all goes on.
    """

    def __init__(self, url: str, insecure: bool = False, timeout_s: float = TIMEOUT_S) -> None:
        """Raises EngineError where there is no such server or model, or pictures would travel in the clear."""
        self._address = parse(url, insecure)
        self._timeout_s = timeout_s
        self._session: Session | None = Session(self._address)
        self.info = self._session.info
        self._point = self._session.point
        self._pending: Pending | None = None
        self._count = 0
        self._why = ""
        self._lock = threading.Lock()  # of _session, between the pictures' thread and the mending one
        self._closing = threading.Event()
        self._mending: threading.Thread | None = None

    @property
    def shares_memory(self) -> bool:
        """Do pictures go through shared memory at the moment?"""
        return self._session is not None and self._session.shares_memory

    def start(self, image: NDArray[np.float32]) -> None:
        """See `Runner.start`."""
        if image.shape != self.info.input or image.dtype != np.float32:
            raise EngineError(f"the engine takes float32 {self.info.input}, not {image.dtype} {image.shape}")
        if self._pending is not None:
            raise EngineError("the Triton server still works on an earlier picture; ask for its answer first")
        session = self._session
        if session is None:
            raise EngineError(self._why)
        self._count += 1
        try:
            self._pending = session.send(image, str(self._count), self._timeout_s)
        except SessionLost as error:
            self._lose(session, str(error))
            raise

    def finish(self) -> Answer:
        """See `Runner.finish`."""
        session, pending, self._pending = self._session, self._pending, None
        if session is None or pending is None:
            raise EngineError("the Triton server was asked nothing: start comes before finish")
        try:
            return session.finish(pending)
        except SessionLost as error:
            self._lose(session, str(error))
            raise

    def point(self) -> OperatingPoint:
        """See `Runner.point`; it came with the weights, from the server."""
        return self._point

    def close(self) -> None:
        """Hang up."""
        self._closing.set()
        if self._mending is not None:
            self._mending.join(1.0)  # it may hang on a dead network; what it still opens it closes itself
        with self._lock:
            session, self._session = self._session, None
        self._why = "the engine is closed"
        if session is not None:
            session.close()

    def _lose(self, session: Session, why: str) -> None:
        """No answer of `session` counts any more; connect anew without keeping anybody waiting."""
        self._session, self._why = None, why
        log.warning("the Triton server is lost; connecting anew: %s", why)
        self._mending = threading.Thread(target=self._mend, args=(session,), name="triton", daemon=True)
        self._mending.start()

    def _mend(self, lost: Session) -> None:
        threading.Thread(target=lost.close, name="triton, hanging up", daemon=True).start()
        while not self._closing.is_set():
            try:
                session = Session(self._address)
            except Exception as error:  # whatever it is: a thread that ends here would end the stream for good
                self._why = str(error)
                if not mendable(error):
                    log.error("a bug while connecting", exc_info=True)
            else:
                if self._take(session):
                    log.info("the Triton server answers again")
                    return
                session.close()
            self._closing.wait(RETRY_S)

    def _take(self, session: Session) -> bool:
        """Go on with `session`, if it is of the same weights."""
        mine, its = self.info, session.info
        if (its.model_sha256, its.precision, its.input) != (mine.model_sha256, mine.precision, mine.input):
            self._why = (
                f"the Triton server at {self._address.host} now holds weights {its.digest} in {its.precision}, not "
                f"{mine.digest} in {mine.precision}: restart this engine to use them"
            )
            return False
        with self._lock:
            if not self._closing.is_set():
                self._session = session
                return True
        return False
