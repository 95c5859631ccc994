"""Networks on devices: pixels -> tensor -> q -> mask. Imports nothing else of smartca."""

from .counts import Counts
from .operating_point import OperatingPoint
from .pixels import Mask, Sector, whole
from .runner import (
    SHIPPED_MODEL,
    Answer,
    DeviceLost,
    Engine,
    EngineError,
    EngineInfo,
    Remote,
    Runner,
    engine_at,
    open_runner,
)
from .segmenter import NoPicture, Segmentation, Segmenter, segmenter_for

__all__ = [
    "SHIPPED_MODEL",
    "Answer",
    "Counts",
    "DeviceLost",
    "Engine",
    "EngineError",
    "EngineInfo",
    "Mask",
    "NoPicture",
    "OperatingPoint",
    "Remote",
    "Runner",
    "Sector",
    "Segmentation",
    "Segmenter",
    "engine_at",
    "open_runner",
    "segmenter_for",
    "whole",
]
