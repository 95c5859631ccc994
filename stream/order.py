"""Which frames a viewer may show: of one feed, and never an older one after a newer."""

from __future__ import annotations

from .frame import FeedName, Frame


class Order:
    """Remembers the feed and the newest frame shown, and judges the next.

    `wanted` is a source's name or a feed's, '' for any: the viewer then stays with the first that comes.
    """

    def __init__(self, wanted: str = "") -> None:
        self.wanted = wanted
        self.feed: FeedName | None = None
        self.epoch = 0
        self.next_seq = 0

    @property
    def asks(self) -> str:
        """The one feed to ask for; '' for any."""
        return self.wanted if self.feed is None else self.feed.feed

    def is_its_own(self, name: FeedName) -> bool:
        """Whether that is the feed of this viewer, or may become it."""
        if self.feed is not None:
            return name.feed == self.feed.feed
        return self.wanted in ("", name.source, name.feed)

    def follow(self, name: FeedName) -> None:
        """Go over to another feed; its frames count anew."""
        self.feed, self.epoch, self.next_seq = name, 0, 0

    def accepts(self, frame: Frame) -> bool:
        """Whether `frame` comes after all that were accepted before."""
        if not self.is_its_own(frame.name):
            return False
        if frame.epoch < self.epoch:
            return False
        # a file that is attached again begins a little before where it broke off
        if frame.seq < self.next_seq and (frame.epoch == self.epoch or not frame.live):
            return False
        self.feed, self.epoch, self.next_seq = frame.name, frame.epoch, frame.seq + 1
        return True
