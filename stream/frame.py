"""Frame and Result: what travels from the scanner to the eye, and what every stage adds on the way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from ..pictures.pixels import Mask, Sector

Natural = Annotated[int, Meta(ge=0, lt=1 << 62)]
Causes = Annotated[dict[Annotated[str, Meta(max_length=80)], Natural], Meta(max_length=32)]


class State(str, Enum):
    """What may be said of a picture; no two of these may ever look alike."""

    TEAR_OUTLINED = "tear outlined"
    UNSURE = "unsure"
    NO_TEAR_OUTLINED = "no tear outlined"
    NO_RESULT = "no result"
    STALE = "stale"

    @staticmethod
    def of(mask: Mask, unsure: Mask | None) -> State:
        """The state of a picture that the engine has looked at, by its outline's inside and its unsure regions."""
        if mask.any():
            return State.TEAR_OUTLINED
        return State.NO_TEAR_OUTLINED if unsure is None else State.UNSURE


@dataclass(frozen=True, slots=True)
class Trail:
    """Running totals of one stage (one process from start to end), carried along with every frame.

    `taken` counts frames captured (attach) or inferred (serve); `dropped` counts by cause.
    """

    epoch: Natural = 0
    taken: Natural = 0
    dropped: Causes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FeedName:
    """Which feed: two that people call the same (two `clip.mp4`, two machines' `camera 0`) are told apart.

    `feed` is MACHINE/TOKEN. The token is of what was attached (the whole path, the address), so that a feed that is
    begun again is the same, and another file of the same name is not.
    """

    feed: Annotated[str, Meta(max_length=100)]
    source: Annotated[str, Meta(max_length=500)]  # as people know it

    @property
    def machine(self) -> str:
        """Where it is attached."""
        return self.feed.rpartition("/")[0]

    def __str__(self) -> str:
        return f"{self.source} ({self.machine})" if self.machine else self.source


@dataclass(frozen=True, slots=True)
class Clock:
    """How far the capturing machine's clock runs ahead of this one's, and how far that may be off (ns)."""

    offset_ns: int = 0
    uncertainty_ns: Natural = 0


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture with its context, which comes back unchanged beside its result."""

    pixels: NDArray[np.uint8]  # (rows, columns) grey or (rows, columns, 3) BGR
    source: str
    epoch: int  # new at every start of the attaching process (ns since 1970)
    seq: int  # 0, 1, 2, ... as captured
    captured_ns: int  # time.monotonic_ns() on the attaching machine
    live: bool  # newest wins; otherwise every frame is taken
    sector: Sector
    mm_per_pixel: tuple[float, float] | None = None  # (row, column)
    fps: float | None = None  # the source's own rate, where known
    truth: Mask | None = None  # (rows, columns), where the source knows it
    clock: Clock = Clock()
    attached: Trail = Trail()
    feed: str = ""  # see FeedName; '' of one that has only its source's name
    sector_sure: bool = True  # else all of the screen is sent but for letters, and `sector` is a guess

    @property
    def name(self) -> FeedName:
        """Which feed it belongs to."""
        return FeedName(self.feed or self.source, self.source)

    def with_clock(self, clock: Clock) -> Frame:
        """The same frame, its clock as another machine sees it."""
        return replace(self, clock=clock)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What the engine says of one frame: a mask, or honestly none."""

    state: State  # any but STALE
    mask: Mask | None = None  # (rows, columns) of the frame; None where there is no result
    confidence: float = 0.0  # mean fitted q inside the outline
    reason: str = ""  # why there is no result
    engine: str = ""  # first 12 hex digits of the model's sha256
    inference_ns: int = 0
    served: Trail = Trail()
    unsure: Mask | None = None  # (rows, columns): may be tear and is not outlined; None where there is no such pixel
    point: str = ""  # at which operating point; '' with a threshold of one's own, or where nothing was judged
