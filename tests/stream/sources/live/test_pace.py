"""Which frames are the present, and what becomes of woven fields: arithmetic, no network."""

from __future__ import annotations

import numpy as np
from smartca.stream.sources.live.fields import one_field
from smartca.stream.sources.live.network import Pace


def test_what_waited_in_a_buffer_is_not_the_present() -> None:
    pace, now = Pace(False), 100.0
    assert all(pace.keeps(n / 30, now + n / 30) for n in range(300))
    stuck = 5.0  # the network holds two seconds back, and gives them at once
    media = [10 + n / 30 for n in range(60)]
    kept = [pace.keeps(time_s, now + 12.0) for time_s in media]
    assert not any(kept[:40]) and all(kept[-14:]) and not pace.all_late
    late = [pace.keeps(12 + n / 30, now + 12 + n / 30 + stuck) for n in range(120)]
    assert not any(late) and pace.all_late
    grows = Pace(False)  # decoding takes a tenth longer than there is time for
    kept = [grows.keeps(n / 30, n / 30 * 1.1) for n in range(600)]
    assert all(kept[:140]) and not any(kept[160:]) and grows.all_late
    jumps = Pace(False)  # a sender whose clock is set, forth and back, while frames go on coming
    set_by = [0.0, 100.0, 40.0, 0.0]
    assert all(jumps.keeps(n / 30 + set_by[n // 90], n / 30) for n in range(360)) and not jumps.all_late
    slow = Pace(False)  # a clock that loses a minute in a day
    assert all(slow.keeps(n / 30 * (1 - 60 / 86400), n / 30) for n in range(0, 40 * 3600 * 30, 997))


def test_one_field_has_no_combs_and_keeps_what_is_whole() -> None:
    ramp = np.repeat(np.arange(0, 100, 2, dtype=np.uint8)[:, None], 8, 1)
    assert np.array_equal(one_field(ramp)[:-1], ramp[:-1])
    for rows in (9, 10):
        combs = np.zeros((rows, 8, 3), np.uint8)
        combs[1::2] = 255
        assert one_field(combs).shape == combs.shape and not one_field(combs).any()
