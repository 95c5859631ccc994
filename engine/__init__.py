"""Networks on devices: pixels -> tensor -> q -> mask. Imports nothing else of smartca."""

from .counts import Counts
from .operating_point import OperatingPoint
from .pixels import Mask, Sector, whole
from .runner import SHIPPED_MODEL, Answer, EngineError, EngineInfo, Runner, open_runner
from .segmenter import NoPicture, Segmentation, Segmenter, segmenter_for

__all__ = [
    "SHIPPED_MODEL",
    "Answer",
    "Counts",
    "EngineError",
    "EngineInfo",
    "Mask",
    "NoPicture",
    "OperatingPoint",
    "Runner",
    "Sector",
    "Segmentation",
    "Segmenter",
    "open_runner",
    "segmenter_for",
    "whole",
]
