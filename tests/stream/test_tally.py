"""Sums that must balance."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
from smartca.stream.causes import LOST_IN_A_RESTART
from smartca.stream.frame import State, Trail
from smartca.stream.link.wire import End
from smartca.stream.tally import Tally
from support.frames import make_frame, make_result

MS = 1_000_000


def test_every_frame_is_accounted_for() -> None:
    tally = Tally()
    for seq in (0, 2, 3):
        frame = replace(make_frame(seq), attached=Trail(7, seq + 1, {"newer": 1 if seq else 0}))
        tally.add(frame, make_result(frame), 10.0 + seq, seq * 33 * MS)
    tally.end(End("a feed", 7, Trail(7, 6, {"newer": 2}), Trail(99, 4, {"viewer": 1})))
    assert (tally.captured, tally.shown, tally.inferred) == (6, 3, 4)
    assert tally.dropped == {"newer": 2, "viewer": 1}
    tally.end(End("a feed", 7, Trail(7, 8, {"newer": 2}), Trail(99, 4, {"viewer": 1})))
    assert tally.dropped == {"newer": 2, "viewer": 1, LOST_IN_A_RESTART: 2}


def test_latencies_match_numpy() -> None:
    tally = Tally()
    values = np.random.default_rng(0).gamma(3.0, 6.0, 5000)
    for seq, value in enumerate(values):
        frame = make_frame(seq, truth=False)
        tally.add(frame, make_result(frame), float(value), seq)
    report = tally.latency_ms()
    for name, q in (("p50", 50), ("p95", 95), ("p99", 99), ("max", 100)):
        found = report[name]
        assert found is not None
        assert abs(found - np.percentile(values, q)) < 0.25


def test_a_tally_survives_its_process() -> None:
    """What one view process said, plus what the next one counted, is the whole run."""
    one, two, whole = Tally(), Tally(), Tally()
    for seq in range(20):
        frame = make_frame(seq)
        result = make_result(frame, State.NO_TEAR_OUTLINED if seq % 3 else State.TEAR_OUTLINED)
        for tally in (one if seq < 12 else two, whole):
            tally.add(frame, result, float(seq), (seq + 1) * MS)
    merged = msgspec.json.decode(msgspec.json.encode(one), type=Tally)
    merged.merge(two)
    assert merged.as_report() == whole.as_report()
    assert merged.first_overlay_ns == whole.first_overlay_ns


def test_a_late_viewer_does_not_answer_for_the_past() -> None:
    tally = Tally()
    for seq in range(100, 110):
        frame = replace(make_frame(seq), attached=Trail(7, seq + 1, {"newer": 40}))
        result = make_result(frame)
        if seq == 100:
            tally.came_late(frame, result)
        tally.add(frame, result, 1.0, seq)
    assert (tally.captured, tally.shown, tally.dropped) == (10, 10, {})


def test_unsure_frames_and_points_are_counted_and_claim_nothing() -> None:
    tally, other, frame = Tally(), Tally(), make_frame(0)
    for one in (tally, other):
        one.add(frame, make_result(frame, State.UNSURE), 1.0, 1)
    tally.add(frame, replace(make_result(frame), point="searching"), 1.0, 1)
    tally.add(frame, replace(make_result(frame), point=""), 1.0, 1)
    tally.merge(other)
    report = tally.as_report()
    assert isinstance(report["states"], dict) and report["states"]["unsure"] == 2
    assert report["points"] == {"careful": 2, "searching": 1, "own threshold": 1}
    assert tally.counts is not None and (tally.counts.tp, tally.counts.fp, tally.counts.fn) == (960, 0, 960)


def test_truth_is_counted_where_known() -> None:
    tally = Tally()
    frame = make_frame(0)
    tally.add(frame, make_result(frame, State.TEAR_OUTLINED), 1.0, 1)
    tally.add(frame, make_result(frame, State.NO_TEAR_OUTLINED), 1.0, 2)
    tally.add(frame, make_result(frame, State.NO_RESULT), 1.0, 3)
    assert tally.counts is not None
    assert (tally.counts.tp, tally.counts.fp, tally.counts.fn) == (480, 0, 480)
    assert tally.as_report()["states"] == {
        "tear_outlined": 1,
        "unsure": 0,
        "no_tear_outlined": 1,
        "no_result": 1,
        "stale": 0,
    }
