"""A simulated shoulder: B-mode cines with exact tear masks and exact millimetres."""

from __future__ import annotations

from .scanner import Scanner
from .screen import Screen, ScreenFrame, screen
from .shoulder import RECIPE, Phantom, PhantomFrame, isotropic
from .tear import KINDS, kind_of

TRAIN = range(80_000)
VALIDATE = range(80_000, 90_000)
HELD_OUT_FROM = 90_000  # never trained on, and nothing chosen by it

__all__ = [
    "HELD_OUT_FROM", "KINDS", "RECIPE", "TRAIN", "VALIDATE",
    "Phantom", "PhantomFrame", "Scanner", "Screen", "ScreenFrame", "isotropic", "kind_of", "screen",
]  # fmt: skip
