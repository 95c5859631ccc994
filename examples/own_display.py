"""A display of your own on a live stream: feed, engine and viewer in one script. Prints what the display is told.

    python examples/own_display.py

Feed and engine stand in threads here; they are the same three parts that `smartca attach`, `serve` and `view` run as
processes, on one machine or on several. Sound, a light, a robot's arm: whatever shall follow the outline goes in here.
"""

from __future__ import annotations

import threading

import smartca
from smartca.stream.displays.contract import Display, Shown
from smartca.stream.frame import State
from smartca.stream.tally import Tally

FRAMES_AT, ANSWERS_AT = "tcp://127.0.0.1:5557", "tcp://127.0.0.1:5558"


class Ticker(Display):
    """Prints the outline's size, and every change to 'stale' or 'no result'."""

    was: str = ""

    def show(self, shown: Shown, tally: Tally) -> None:
        """A frame and its result, together."""
        mask = shown.result.mask
        print(f"frame {shown.frame.seq}: {shown.result.state.value}, {0 if mask is None else int(mask.sum())} pixels")

    def status(self, state: State, note: str, tally: Tally) -> None:
        """Ten times a second while there is no new frame."""
        if note != self.was:
            print(f"{state.value}: {note}")
            self.was = note


def main(clip: str = "phantom:frames=10") -> None:
    """Stream `clip` until it ends."""
    over = threading.Event()
    engine = {"bind": FRAMES_AT, "publish": ANSWERS_AT, "keep": lambda: not over.is_set()}
    threading.Thread(target=smartca.serve, kwargs=engine, daemon=True).start()
    threading.Thread(target=smartca.attach, args=(clip, FRAMES_AT), daemon=True).start()
    shown = list(smartca.view(ANSWERS_AT, displays=[Ticker()]))
    over.set()
    print(f"{len(shown)} frames were shown")


if __name__ == "__main__":
    main()
