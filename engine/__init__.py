"""Networks on devices: a picture goes in, a confidence and a mask come out."""

from ..pictures.pixels import Mask, Sector, whole
from .contract import (
    SHIPPED_MODEL,
    Answer,
    DeviceLost,
    Engine,
    EngineError,
    EngineInfo,
    Foreign,
    Remote,
    Runner,
    engine_at,
)
from .opening import open_runner, open_segmenter
from .operating_point import OperatingPoint
from .segmenter import NoPicture, Segmentation, Segmenter

__all__ = [
    "SHIPPED_MODEL",
    "Answer",
    "DeviceLost",
    "Engine",
    "EngineError",
    "EngineInfo",
    "Foreign",
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
    "open_segmenter",
    "whole",
]
