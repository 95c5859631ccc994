"""TensorRT and TensorRT-RTX on an NVIDIA GPU: two pictures at a time, so that one is copied while one is computed."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import plan
from ..contract import Answer, DeviceLost, EngineError, EngineInfo, Runner, checked_answer
from ..operating_point import OperatingPoint, load_point
from ..paths import cache_folder
from .device import open_device
from .lane import Lane
from .network import TensorRtNetwork

log = logging.getLogger(__name__)
LANES = 2
WARM_UP = 5


def open_engine(engine: Path, precision: str) -> TrtRunner:
    """Open the engine file, which `plan.require` has found sound and made in `precision`.

    Raises EngineError, in one sentence, without driver, bindings or library, or where the library refuses the engine.
    """
    sheet = plan.load_sheet(engine)
    data = engine.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != sheet.engine_sha256:
        raise EngineError(f"{engine.name} was exchanged while it was being opened; try again")
    backend = f"{sheet.plan.backend} {sheet.plan.backend_version}"
    info = EngineInfo(backend, precision, digest, _one(sheet.input.shape))
    return open_bytes(data, sheet.plan.backend, info, sheet.plan.gpu, engine)


def open_bytes(
    data: bytes, backend: str, info: EngineInfo, gpu: str | None = None, file: Path | None = None
) -> TrtRunner:
    """Open an engine's bytes with the library of `backend`, on the GPU of that name; its runner tells `info`.

    file: where they came from; the operating point stands beside it.

    Raises EngineError.
    """
    cache = cache_folder() / f"kernels-{info.digest}.cache"
    with contextlib.ExitStack() as undo:  # contexts first, then what they were made of
        device = open_device(gpu)
        undo.callback(device.close)
        network = TensorRtNetwork(data, backend, device, cache)
        undo.callback(network.close)
        if network.ends[network.input] != info.input:
            raise EngineError(f"the engine takes {network.ends[network.input]}, and its build sheet says {info.input}")
        lanes: list[Lane] = []
        for _ in range(LANES):
            lanes.append(Lane(device, network))
            undo.callback(lanes[-1].close)
        for lane in lanes:
            lane.warm_up(WARM_UP)
        network.keep_kernels()
        free = undo.pop_all()
    if lanes[0].without_graph:
        log.warning("no CUDA graph, so each frame takes a little longer: %s", lanes[0].without_graph)
    return TrtRunner(lanes, info, free.close, file)


def _one(shape: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """The shape for one picture, where their number is free."""
    return (1, *shape[1:])


class TrtRunner(Runner):
    """Hands pictures to lanes in turn, and takes their answers in the same order.

    without_graph: why there is no CUDA graph; empty where there is one.
    """

    def __init__(
        self, lanes: Sequence[Lane], info: EngineInfo, free: Callable[[], None], file: Path | None = None
    ) -> None:
        self.info = info
        self.in_flight = len(lanes)
        self.without_graph = lanes[0].without_graph
        self.lanes: tuple[Lane, ...] = tuple(lanes)
        self._idle, self._busy = deque(lanes), deque[Lane]()
        self._free, self._file = free, file
        self._lost: DeviceLost | None = None

    def start(self, image: NDArray[np.float32]) -> None:
        """See `Runner.start`."""
        if image.shape != self.info.input or image.dtype != np.float32:
            raise EngineError(f"the engine takes float32 {self.info.input}, not {image.dtype} {image.shape}")
        if self._lost is not None:
            raise self._lost
        if not self._idle:
            raise EngineError(f"the GPU works on {self.in_flight} pictures already; ask for an answer first")
        lane = self._idle[0]
        np.copyto(lane.picture, image)
        with self._noting_loss():
            lane.launch()
        self._busy.append(self._idle.popleft())

    def finish(self) -> Answer:
        """See `Runner.finish`."""
        if self._lost is not None:
            raise self._lost
        if not self._busy:
            raise EngineError("the GPU was asked nothing: start comes before finish")
        lane = self._busy.popleft()
        self._idle.append(lane)
        with self._noting_loss():
            lane.wait()
        q, *more = lane.answers
        return checked_answer(q[0, 0].copy(), more[0][0] if more else None)

    def point(self) -> OperatingPoint:
        """See `Runner.point`; it stands beside the engine's file, where it came from one."""
        return super().point() if self._file is None else load_point(self._file, self.info.model_sha256)

    def close(self) -> None:
        """See `Runner.close`. A lost device is left as it is: only the end of the process gives anything back."""
        if self._lost is not None or not self.lanes:
            return
        with contextlib.suppress(EngineError):
            for lane in self._busy:
                lane.wait()
        self._idle.clear()
        self._busy.clear()
        self.lanes = ()
        self._free()

    @contextlib.contextmanager
    def _noting_loss(self) -> Iterator[None]:
        try:
            yield
        except DeviceLost as error:
            self._lost = error
            raise
