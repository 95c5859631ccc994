"""Which frames a viewer may show: of one feed, and never an older one after a newer."""

from __future__ import annotations

from .frame import Frame


class Order:
    """Remembers the newest frame shown and judges the next."""

    def __init__(self, source: str = "") -> None:
        self.source = source  # '' until the first frame: the viewer then stays with that feed
        self.epoch = 0
        self.next_seq = 0

    def accepts(self, frame: Frame) -> bool:
        """Whether `frame` comes after all that were accepted before."""
        if self.source and frame.source != self.source:
            return False
        if frame.epoch < self.epoch:
            return False
        # a file that is attached again begins a little before where it broke off
        if frame.seq < self.next_seq and (frame.epoch == self.epoch or not frame.live):
            return False
        self.source, self.epoch, self.next_seq = frame.source, frame.epoch, frame.seq + 1
        return True
