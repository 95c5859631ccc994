"""Careful, balanced, searching and 'unsure', found on frames whose spots are known."""

from __future__ import annotations

import msgspec
import numpy as np
from smartca.calibration.points import PointChoice, choose_points
from smartca.calibration.threshold import Kept
from smartca.engine.operating_point import POINT_NAMES, PointName, Reached
from smartca.scores.histograms import Histograms

AS_IT_IS = (1.0, 0.0)


def frame(*squares: tuple[int, int, float], truth: int = 0) -> Kept:
    """Logits with squares (side, column, logit) on -8, of which the first `truth` are tears."""
    logits, real = np.full((40, 100), -8.0, np.float16), np.zeros((40, 100), bool)
    for n, (side, column, logit) in enumerate(squares):
        logits[2 : 2 + side, column : column + side] = logit
        if n < truth:
            real[2 : 2 + side, column : column + side] = True
    return Kept(logits, real, 1.0, "data")


def chosen(frames: list[Kept]) -> dict[PointName, PointChoice]:
    counts = Histograms()
    for kept in frames:
        counts.add(kept.logits.astype(np.float64), kept.truth)
    return choose_points(frames, counts, AS_IT_IS)


def mixed() -> list[Kept]:
    """Sure and faint tears, and frames without one: of a hundred two hold a spot as sure as tears, seven a fainter."""
    torn = [frame((20, 0, 3), truth=1)] * 40 + [frame((20, 0, 0.5), truth=1)] * 20
    empty = [frame((20, 30, 1.5))] * 2 + [frame((20, 30, 0.3))] * 3 + [frame()] * 95
    return torn + empty


def test_each_point_keeps_its_share_of_empty_frames() -> None:
    points = chosen(mixed())
    shares = [points[name].reached.empty_outlined or 0.0 for name in POINT_NAMES]
    assert shares[0] <= 0.01 and shares[2] <= 0.10 and shares == sorted(shares)
    recalls = [points[name].reached.recall or 0.0 for name in POINT_NAMES]
    assert recalls == sorted(recalls) and recalls[0] < recalls[2] == 1.0


def test_what_is_outlined_at_one_point_is_outlined_at_the_next() -> None:
    points = chosen(mixed())
    gates = [points[name].gates for name in POINT_NAMES]
    for more, fewer in ((gates[1], gates[0]), (gates[2], gates[1])):
        assert more.logit <= fewer.logit and more.min_area <= fewer.min_area and more.tear <= fewer.tear


def faint(right: int, wrong: int, empty: int) -> list[Kept]:
    """Sure tears; faint spots, of which `right` are tears and `wrong` stand beside one; `empty` in frames without."""
    torn = [frame((20, 0, 4), truth=1)] * 60
    torn += [frame((6, 0, -1.5), truth=1)] * right + [frame((20, 0, 4), (6, 60, -1.5), truth=1)] * wrong
    return torn + [frame((6, 60, -1.5))] * empty + [frame()] * (100 - empty)


def test_doubtful_regions_that_are_right_often_enough_are_unsure() -> None:
    point = chosen(faint(10, 10, 2))["balanced"]
    assert point.unsure is not None and -3.9 <= point.unsure <= -1.5 < point.gates.logit
    reached = point.reached
    assert reached.unsure_right == 10 / 22 and reached.empty_unsure == 0.02
    assert msgspec.json.decode(msgspec.json.encode(reached), type=Reached) == reached  # it can be stored
    assert reached.tears_found == 70 / 80 and reached.tears_found_or_unsure == 1.0


def test_regions_that_are_wrong_too_often_are_not_shown() -> None:
    assert chosen(faint(5, 40, 2))["balanced"].unsure is None


def test_regions_on_too_many_empty_frames_are_not_shown() -> None:
    assert chosen(faint(30, 0, 20))["balanced"].unsure is None


def test_three_regions_prove_nothing() -> None:
    sure, wrong = [frame((20, 0, 4), truth=1)] * 60, [frame((20, 0, 4), (14, 60, -1.5), truth=1)]
    for right, enough in ((2, False), (3, True)):
        point = chosen([*sure, *wrong, *[frame((6, 0, -1.5), truth=1)] * right, *[frame()] * 50])["balanced"]
        assert point.gates.logit > -1.5 and (point.unsure is not None) == enough
