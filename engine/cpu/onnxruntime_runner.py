"""ONNX Runtime on the CPU: for comparison only (`smartca bench`); the stream's engine on a CPU is OpenVINO."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...files import sha256
from ..contract import Answer, EngineError, EngineInfo, Runner, checked_answer
from ..operating_point import OperatingPoint, load_point

INSTALL = "onnxruntime is not installed: uv sync --extra build, or pip install 'smartca[build]'"


class OnnxRuntimeRunner(Runner):
    """A SMART-CA ONNX file as it is; `precision` only says in `info` what the file computes in (auto: fp32)."""

    def __init__(self, model: Path, precision: str = "auto", threads: int = 0) -> None:
        try:
            ort: Any = importlib.import_module("onnxruntime")
        except ImportError as error:
            raise EngineError(INSTALL) from error
        ort.disable_telemetry_events()
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = threads or max(1, (os.cpu_count() or 1) - 1)  # as OpenVinoRunner does
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(str(model), settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no other base
            raise EngineError(f"ONNX Runtime cannot open {model.name}: {_first_line(error)}") from error
        self._model = model
        shape = tuple(self._session.get_inputs()[0].shape)
        self.info = EngineInfo(
            f"onnxruntime {ort.__version__}", "fp32" if precision == "auto" else precision, sha256(model), shape
        )
        self._image: NDArray[np.float32] | None = None
        self._names = [output.name for output in self._session.get_outputs()]

    def start(self, image: NDArray[np.float32]) -> None:
        """See `Runner.start`."""
        if image.shape != self.info.input or image.dtype != np.float32:
            raise EngineError(f"the engine takes float32 {self.info.input}, not {image.dtype} {image.shape}")
        self._image = image

    def finish(self) -> Answer:
        """See `Runner.finish`; all work is done here."""
        image, self._image = self._image, None
        if image is None:
            raise EngineError("ONNX Runtime was asked nothing: start comes before finish")
        try:
            q, *more = self._session.run(self._names, {self._session.get_inputs()[0].name: image})
        except Exception as error:
            raise EngineError(f"ONNX Runtime failed: {_first_line(error)}") from error
        return checked_answer(q[0, 0], more[0].ravel() if more else None)

    def point(self) -> OperatingPoint:
        """See `Runner.point`; it stands beside the file that runs."""
        return load_point(self._model, self.info.model_sha256)

    def close(self) -> None:
        """Free the network."""
        del self._session


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
