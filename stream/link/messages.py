"""What is said on the link: the messages of producers and consumers, as they are before they become bytes (`wire`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ...engine.operating_point import PointName
from ..frame import Clock, FeedName, Frame, Natural, Result, State, Trail

LONGEST_SIDE = 8192

Side = Annotated[int, Meta(ge=1, le=LONGEST_SIDE)]
Words = Annotated[str, Meta(max_length=500)]
Millimetres = Annotated[float, Meta(gt=0.0, le=100.0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Point = PointName | Literal[""]


class Grant(msgspec.Struct, frozen=True, tag="grant"):
    """A consumer's word to one producer: send up to number `upto`, for the length of a lease.

    Numbers are those of the producer whose epoch is `of` (0: none heard yet): up to `seen` they have come,
    up to `done` they need no more room. `window` 0 means: alive, but nobody wants frames.
    `source` asks for one feed only, by its source's name or its own ('' for any). A viewer asks the engine for an
    operating point by `point`, again and again, so that an engine which starts anew hears of it too; `asked` is higher
    with each time that a person asked.
    """

    of: Natural
    seen: Natural
    done: Natural
    window: Annotated[int, Meta(ge=0, le=64)]
    sent_ns: Natural
    source: Words = ""
    point: Point = ""
    asked: Natural = 0

    @property
    def upto(self) -> int:
        """The absolute number granted."""
        return self.done + self.window


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """A producer's sign of life; it carries a grant's time back, so that clocks can be compared."""

    sent_ns: Natural
    grant_sent_ns: Natural = 0
    grant_received_ns: Natural = 0
    engine: dict[str, str | list[int]] | None = None
    note: Words = ""
    feeds: Annotated[tuple[FeedName, ...], Meta(max_length=16)] = ()  # what the sender sends, or could send


class End(msgspec.Struct, frozen=True, tag="end"):
    """The feed `source` is over; the totals are final."""

    source: Words
    epoch: Natural
    attached: Trail
    served: Trail = Trail()
    problem: Words = ""
    feed: Words = ""

    @property
    def name(self) -> FeedName:
        """Which feed is over."""
        return FeedName((self.feed or self.source)[:100], self.source)


class FrameHead(msgspec.Struct, frozen=True, tag="frame"):
    """All of a Frame but its arrays."""

    shape: Annotated[list[Side], Meta(min_length=2, max_length=3)]
    source: Words
    epoch: Natural
    seq: Natural
    captured_ns: Natural
    live: bool
    sector: tuple[Natural, Natural, Natural, Natural]
    mm_per_pixel: tuple[Millimetres, Millimetres] | None
    fps: Annotated[float, Meta(gt=0.0, le=10_000.0)] | None
    has_truth: bool
    clock: Clock
    attached: Trail
    feed: Annotated[str, Meta(max_length=100)] = ""
    sector_sure: bool = True


class AnswerHead(msgspec.Struct, frozen=True, tag="answer"):
    """A Frame's head and its Result's, which leave together or not at all."""

    frame: FrameHead
    state: State
    has_mask: bool
    confidence: Share
    reason: Words
    engine: Words
    inference_ns: Natural
    served: Trail
    has_unsure: bool
    point: Point


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """A frame and what the engine says of it."""

    frame: Frame
    result: Result


Body = Frame | Reply | Grant | Beat | End


@dataclass(frozen=True, slots=True)
class Message:
    """A body with the sender's epoch and the number the sender gave it (0: not numbered)."""

    epoch: int
    number: int
    body: Body
