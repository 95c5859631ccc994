"""OpenVINO on the CPU: the engine every machine has."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import threading
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...files import sha256
from ...version import __version__
from ..contract import PRECISIONS, Answer, EngineError, EngineInfo, Runner, checked_answer
from ..operating_point import OperatingPoint, load_point
from ..paths import sheet_path
from . import quick_confidence, quick_int8
from .capabilities import has_bf16
from .compiled_cache import Compiled, CompiledCache, name_of
from .openvino_import import ov, the_core
from .quick_int8 import is_quantised, make_quick

HINTS = {"fp32": ov.Type.f32, "bf16": ov.Type.bf16}  # what can be asked of OpenVINO; fp16 and int8 are in a file
WARM_UP = 3  # the first inferences allocate and tune; nobody's frame should wait for that


class OpenVinoRunner(Runner):
    """A SMART-CA ONNX file compiled for this processor, its compiled form cached for the next start.

    precision: auto, fp32 or bf16, of what the file does not itself keep in fp16. A file with INT8 ranges (Q/DQ nodes)
    computes in INT8 and takes auto only. Raises EngineError.
    """

    live_in_flight: int = 1  # what capture and display leave of the processor works on one picture

    def __init__(self, model: Path, precision: str = "auto", threads: int = 0) -> None:
        cores = os.cpu_count() or 1
        self._spare = not threads and cores == 2  # of a file the core that is left alone may take every other picture
        self._threads = threads or max(1, cores - 1)  # capture and display need a core as well
        self._model, self._precision = model, precision
        network, told, digest = _compiled(model, precision, self._threads)
        size: int = network.input(0).shape[2]
        self.info = EngineInfo(f"openvino {ov.__version__.split('-')[0]}", told, digest, (1, 1, size, size))
        self._idle, self._busy = deque([_Lane(network, self.info.input)]), deque[_Lane]()
        self._widening: threading.Thread | None = None
        self._closed = False

    def widen(self) -> None:
        """See `Runner.widen`."""
        if self._spare:
            self._spare = False
            # waited for at the end of the process: OpenVINO cannot be taken apart while it compiles
            self._widening = threading.Thread(target=self._widen, name="second network", daemon=False)
            self._widening.start()

    def _widen(self) -> None:
        with contextlib.suppress(EngineError, OSError, RuntimeError):  # then there is one, as there was
            network, _, digest = _compiled(self._model, self._precision, self._threads)
            if digest == self.info.model_sha256:  # nobody has exchanged the file meanwhile
                self._idle.append(_Lane(network, self.info.input))
                self.in_flight = 2

    def start(self, image: NDArray[np.float32]) -> None:
        """See `Runner.start`."""
        if image.shape != self.info.input or image.dtype != np.float32:
            raise EngineError(f"the engine takes float32 {self.info.input}, not {image.dtype} {image.shape}")
        self._check_open()
        if not self._idle:
            raise EngineError(
                "the picture before is not finished: ask for its answer first, or open one for each thread"
            )
        self._idle[0].launch(image)
        self._busy.append(self._idle.popleft())

    def finish(self) -> Answer:
        """See `Runner.finish`."""
        self._check_open()
        if not self._busy:
            raise EngineError("no picture was started, so there is no answer")
        lane = self._busy.popleft()
        self._idle.append(lane)
        return lane.answer()

    def point(self) -> OperatingPoint:
        """See `Runner.point`; it stands beside the file that runs."""
        return load_point(self._model, self.info.model_sha256)

    def close(self) -> None:
        """Free the compiled network."""
        if self._widening is not None:
            self._widening.join()
        for lane in self._busy:
            lane.wait()
        self._idle.clear()
        self._busy.clear()
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError("the engine is closed; open it again")


class _Lane:
    """One picture's way through: a request with an input buffer of its own."""

    def __init__(self, network: ov.CompiledModel, shape: tuple[int, ...]) -> None:
        self._request: Any = network.create_infer_request()
        self._tells_more = len(network.outputs) == 2
        # bound once: binding it anew for every frame takes a quarter of a millisecond
        self._input = np.zeros(shape, np.float32)
        self._request.set_input_tensor(ov.Tensor(self._input, shared_memory=True))
        for _ in range(WARM_UP):
            self.launch(np.zeros(shape, np.float32))
            self.answer()

    def launch(self, image: NDArray[np.float32]) -> None:
        np.copyto(self._input, image)
        try:
            self._request.start_async()
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed: {_first_line(error)}") from error

    def wait(self) -> None:
        try:
            self._request.wait()
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed: {_first_line(error)}") from error

    def answer(self) -> Answer:
        self.wait()
        q = self._request.get_output_tensor(0).data[0, 0].astype(np.float32)
        return checked_answer(q, self._request.get_output_tensor(1).data[0] if self._tells_more else None)


def _compiled(model: Path, precision: str, threads: int) -> tuple[ov.CompiledModel, str, str]:
    """The network compiled for this processor, its precision and digest; kept at an earlier start, or anew."""
    digest = sha256(model)
    core, cache = the_core(), CompiledCache()
    cpu = [core.get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    name = name_of(digest, precision, threads, cpu, ov.__version__, _our_code())
    kept = cache.find(name)
    if kept is not None:
        with contextlib.suppress(RuntimeError):  # it is of no use then
            network = core.import_model(io.BytesIO(kept.network), "CPU", _settings(kept.precision, threads))
            return network, kept.precision, digest
    read, told = _prepared(core, model, precision)
    try:
        compiled = core.compile_model(read, "CPU", _settings(told, threads))
    except (RuntimeError, UnicodeDecodeError) as error:
        raise EngineError(f"OpenVINO cannot compile {model.name}: {_first_line(error)}") from error
    with contextlib.suppress(RuntimeError):
        cache.keep(name, Compiled(compiled.export_model().getvalue(), told))
    return compiled, told, digest


def _prepared(core: ov.Core, model: Path, precision: str) -> tuple[ov.Model, str]:
    """The network as read, made quick where it is quantised, and the precision it is to compute in."""
    network = _read(core, model)
    if not is_quantised(network):
        return network, _choose(core, precision)
    if precision in HINTS:
        raise EngineError(
            f"{model.name} brings INT8 ranges (Q/DQ nodes) of its own: it computes in int8, not in {precision}; "
            "leave --precision out, or give the fp32 file that it was made of"
        )
    if precision != "auto":
        _choose(core, precision)
    make_quick(network)
    return network, "int8"


def _settings(precision: str, threads: int) -> dict[str, Any]:
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": HINTS.get(precision, ov.Type.f32),  # beside INT8, the rest must stay exact
        "ENABLE_CPU_PINNING": False,  # capture and display share these cores
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
    }


def _our_code() -> str:
    """Digest of the code that decides how a network is changed and compiled."""
    files = [Path(__file__), *(Path(module.__file__ or "") for module in (quick_int8, quick_confidence))]
    try:
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    except OSError:  # installed without its sources
        return __version__


def most_exact(model: Path) -> str:
    """The precision to ask for where the most exact answers are wanted: fp32.

    auto for a plain .onnx file with INT8 ranges of its own, which computes in nothing else.
    """
    plain = model.suffix == ".onnx" and model.is_file() and not sheet_path(model).exists()
    return "auto" if plain and is_quantised(_read(the_core(), model)) else "fp32"


def _read(core: ov.Core, model: Path) -> ov.Model:
    """Read the file and hold it to the contract: (1, 1, S, S) float32 in, the same shape out, perhaps (1, 2) beside."""
    unreadable = f"{model.name} is not a readable ONNX file; copy or export it again"
    with model.open("rb") as file:
        if file.read(1) != b"\x08":  # every ONNX file begins with its IR version; OpenVINO would try other formats
            raise EngineError(unreadable)
    try:
        network = core.read_model(str(model))
    except (RuntimeError, UnicodeDecodeError) as error:  # its own words may quote the file
        raise EngineError(unreadable) from error
    shapes = [_shape(port) for port in [*network.inputs, *network.outputs]]
    wanted = "one input and one output of shape (1, 1, S, S), S a multiple of 16"
    known = len(network.inputs) == 1 and shapes[2:] in ([], [(1, 2)])
    if not known or shapes[0] != shapes[1] or not _is_square(shapes[0]):
        found = " -> ".join(str(shape) for shape in shapes)
        raise EngineError(
            f"{model.name} has the wrong shape ({found}): SMART-CA needs {wanted}; `smartca adopt {model.name}` makes "
            "one of anybody's segmentation network"
        )
    if network.input(0).get_element_type() != ov.Type.f32:
        kind = network.input(0).get_element_type().get_type_name()
        raise EngineError(f"{model.name} takes {kind} input; SMART-CA needs float32: use `smartca adopt {model.name}`")
    return network


def _shape(port: ov.Output) -> tuple[int | str, ...]:
    return (
        tuple(d.get_length() if d.is_static else "?" for d in port.partial_shape)
        if port.partial_shape.rank.is_static
        else ("?",)
    )


def _is_square(shape: tuple[int | str, ...]) -> bool:
    if len(shape) != 4 or shape[:2] != (1, 1) or shape[2] != shape[3]:
        return False
    return isinstance(shape[2], int) and shape[2] % 16 == 0 and 32 <= shape[2] <= 2048


def _choose(core: ov.Core, precision: str) -> str:
    """The precision to run in. bf16 without native support would be slower than fp32, so 'auto' avoids it."""
    if precision not in ("auto", *HINTS):
        known = [name for name in PRECISIONS if name != "fp16"]  # only `smartca build` makes that
        raise EngineError(f"there is no precision {precision!r} for OpenVINO; choose auto, {', '.join(known)}")
    if precision != "auto":
        return precision
    return "bf16" if has_bf16(core) else "fp32"


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
