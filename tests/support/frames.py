"""Frames with known contents, and results for them."""

from __future__ import annotations

import numpy as np
from smartca.engine import Sector
from smartca.stream.frame import Frame, Result, State, Trail


def make_frame(seq: int = 0, epoch: int = 7, live: bool = True, colour: bool = False, truth: bool = True) -> Frame:
    """A frame of 48 rows x 64 columns with a bright square, which is also its truth."""
    pixels = np.random.default_rng(seq).integers(30, 90, (48, 64), dtype=np.uint8)
    pixels[10:30, 20:44] = 255
    mask = np.zeros((48, 64), np.bool_)
    mask[10:30, 20:44] = True
    return Frame(
        np.repeat(pixels[:, :, None], 3, axis=2) if colour else pixels,
        "a feed",
        epoch,
        seq,
        1_000_000 * seq,
        live,
        Sector(4, 2, 56, 44),
        (0.1, 0.2),
        25.0,
        mask if truth else None,
        attached=Trail(epoch, seq + 1, {"newer frame at the scanner": 2}),
    )


def make_result(frame: Frame, state: State = State.TEAR_OUTLINED) -> Result:
    """A result for `frame`: its truth as mask, shifted by nothing; if it is unsure, another square."""
    served = Trail(99, frame.seq + 1, {})
    if state is State.NO_RESULT:
        return Result(state, reason="the engine failed", engine="abc", served=served)
    mask = np.zeros(frame.pixels.shape[:2], np.bool_)
    if state is State.TEAR_OUTLINED:
        mask[10:30, 20:44] = True
    unsure = None
    if state is State.UNSURE:
        unsure = np.zeros_like(mask)
        unsure[34:40, 6:15] = True
    return Result(state, mask, 0.9, "", "abc", 5_000_000, served, unsure, "careful")
