"""A simulated shoulder: B-mode cines with exact tear masks and exact millimetres."""

from __future__ import annotations

from .body.tear import KINDS, kind_of
from .recipes import CALIBRATED_ON, HELD_OUT, RECIPES
from .screen import Screen, ScreenFrame, screen
from .shoulder import PHANTOM_VERSION, Phantom, PhantomFrame, isotropic
from .sound.scanner import Scanner
from .window import Close, Window

TRAIN = range(80_000)
VALIDATE = range(80_000, 90_000)
HELD_OUT_FROM = 90_000  # never trained on, and nothing chosen by it

__all__ = [
    "CALIBRATED_ON", "HELD_OUT",
    "HELD_OUT_FROM",
    "KINDS",
    "PHANTOM_VERSION",
    "RECIPES",
    "TRAIN",
    "VALIDATE",
    "Close",
    "Phantom",
    "PhantomFrame",
    "Scanner",
    "Screen",
    "ScreenFrame",
    "Window",
    "isotropic",
    "kind_of",
    "screen",
]  # fmt: skip
