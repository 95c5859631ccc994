"""Never an older frame after a newer, never another feed's."""

from __future__ import annotations

from dataclasses import replace

from smartca.stream.order import Order
from support.frames import make_frame


def test_frames_only_move_forward() -> None:
    order = Order()
    assert order.accepts(make_frame(0))
    assert order.accepts(make_frame(5))
    assert not order.accepts(make_frame(5))
    assert not order.accepts(make_frame(4))


def test_a_restarted_scanner_counts_anew_and_its_past_stays_past() -> None:
    order = Order()
    assert order.accepts(make_frame(9, epoch=1))
    assert order.accepts(make_frame(0, epoch=2))
    assert not order.accepts(make_frame(10, epoch=1))


def test_a_file_attached_again_shows_no_frame_twice() -> None:
    order = Order()
    assert order.accepts(make_frame(9, epoch=1, live=False))
    assert not order.accepts(make_frame(8, epoch=2, live=False))
    assert order.accepts(make_frame(10, epoch=2, live=False))


def test_a_viewer_stays_with_its_feed() -> None:
    order = Order()
    assert order.accepts(make_frame(0))
    assert not order.accepts(replace(make_frame(1), source="another"))
