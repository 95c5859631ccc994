"""What a run adds up to: states, latencies, drops by cause, truth. Mergeable: a restart forgets nothing."""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np

from ..engine.contract import NONSENSE
from ..engine.segmenter import NO_PICTURE
from ..scores.counts import Counts
from .causes import LOST_IN_A_RESTART
from .frame import Frame, Result, State, Trail
from .link.wire import End

MOST_REASONS = 8  # an engine's own words may differ from frame to frame
OTHER_REASONS = "other reasons"
BIN_MS = 0.1  # latencies are kept as a histogram: any run fits, and two can be added


class Tally(msgspec.Struct):
    """Running totals of one view process."""

    shown: int = 0
    states: dict[str, int] = {}  # frames
    points: dict[str, int] = {}  # frames by operating point, '' for a threshold of one's own
    engines: dict[str, int] = {}  # frames with a result by the weights it is of, see Result.engine
    failures: dict[str, int] = {}  # frames without a result by the reason, MOST_REASONS of them
    absences: dict[str, int] = {}  # times, without frames
    latencies: dict[int, int] = {}  # histogram: bin of BIN_MS -> frames
    attached: dict[str, Trail] = {}  # by the feed's epoch
    served: dict[str, Trail] = {}  # by the engine's epoch and the feed's
    base: dict[str, Trail] = {}  # totals before this viewer came, where it came late
    counts: Counts | None = None
    first_overlay_ns: int = 0  # monotonic
    unsure_sectors: int = 0  # frames
    first_shown_ns: int = 0
    last_shown_ns: int = 0

    def add(self, frame: Frame, result: Result, latency_ms: float, now_ns: int) -> None:
        """Count one shown frame."""
        self.follow(frame.epoch, frame.attached, result.served)
        self.shown += 1
        self.unsure_sectors += not frame.sector_sure
        self.states[result.state.name] = self.states.get(result.state.name, 0) + 1
        if result.state is not State.NO_RESULT:
            self.points[result.point] = self.points.get(result.point, 0) + 1
            self.engines[result.engine] = self.engines.get(result.engine, 0) + 1
        else:
            known = result.reason in self.failures or len(self.failures) < MOST_REASONS
            reason = result.reason if known else OTHER_REASONS
            self.failures[reason] = self.failures.get(reason, 0) + 1
        where = max(0, round(latency_ms / BIN_MS))
        self.latencies[where] = self.latencies.get(where, 0) + 1
        if frame.truth is not None and result.mask is not None:
            self.counts = self.counts or Counts()
            self.counts.add(result.mask, frame.truth)
        if result.state is not State.NO_RESULT:
            self.first_overlay_ns = self.first_overlay_ns or now_ns
        self.first_shown_ns = self.first_shown_ns or now_ns
        self.last_shown_ns = now_ns

    def came_late(self, frame: Frame, result: Result) -> None:
        """Leave out what happened on this feed before `frame`, the first this viewer saw."""
        attached, served = frame.attached, result.served
        before = served.taken - (result.state is not State.NO_RESULT)
        self.base[f"{frame.epoch}"] = Trail(attached.epoch, attached.taken - 1, attached.dropped)
        self.base[f"{served.epoch} {frame.epoch}"] = Trail(served.epoch, before, served.dropped)

    def end(self, end: End) -> None:
        """Take the final totals of a feed."""
        self.follow(end.epoch, end.attached, end.served)

    def absent(self, state: State) -> None:
        """Count one time that the display went STALE, or over to NO_RESULT for want of an engine."""
        self.absences[state.name] = self.absences.get(state.name, 0) + 1

    def follow(self, epoch: int, attached: Trail, served: Trail) -> None:
        """Take a feed's newest totals."""
        _keep(self.attached, f"{epoch}", attached)
        if served.epoch:
            _keep(self.served, f"{served.epoch} {epoch}", served)

    def merge(self, other: Tally) -> None:
        """Add the tally of another view process of the same run."""
        self.shown += other.shown
        self.unsure_sectors += other.unsure_sectors
        self.states = dict(Counter(self.states) + Counter(other.states))
        self.points = dict(Counter(self.points) + Counter(other.points))
        self.engines = dict(Counter(self.engines) + Counter(other.engines))
        self.failures = dict(Counter(self.failures) + Counter(other.failures))
        self.absences = dict(Counter(self.absences) + Counter(other.absences))
        self.latencies = dict(Counter(self.latencies) + Counter(other.latencies))
        for mine, theirs in ((self.attached, other.attached), (self.served, other.served)):
            for key, trail in theirs.items():
                _keep(mine, key, trail)
        if other.counts is not None:
            self.counts = self.counts or Counts()
            self.counts.merge(other.counts)
        starts = [ns for ns in (self.first_overlay_ns, other.first_overlay_ns) if ns]
        self.first_overlay_ns = min(starts, default=0)
        shown = [ns for ns in (self.first_shown_ns, other.first_shown_ns) if ns]
        self.first_shown_ns = min(shown, default=0)
        self.last_shown_ns = max(self.last_shown_ns, other.last_shown_ns)

    @property
    def captured(self) -> int:
        """Frames captured, over all starts of the feed."""
        return self._total(self.attached)

    @property
    def inferred(self) -> int:
        """Frames the engine answered for."""
        return self._total(self.served)

    @property
    def causes(self) -> dict[str, int]:
        """Drops by cause, as far as the stages have told."""
        causes: Counter[str] = Counter()
        for trails in (self.attached, self.served):
            for key, trail in trails.items():
                causes += Counter(trail.dropped) - Counter(self._base(key).dropped)
        return dict(causes)

    @property
    def dropped(self) -> dict[str, int]:
        """Drops by cause at the end of a run; frames no stage can tell of were lost with a process."""
        causes = self.causes
        lost = self.captured - self.shown - sum(causes.values())
        return {**causes, LOST_IN_A_RESTART: lost} if lost else causes

    def latency_ms(self) -> dict[str, float | None]:
        """p50, p95, p99 and the largest, in ms; None where nothing was shown."""
        if not self.latencies:
            return dict.fromkeys(("p50", "p95", "p99", "max"))
        bins = np.array(sorted(self.latencies))
        upto = np.cumsum([self.latencies[b] for b in bins]) / self.shown
        at = {f"p{p}": bins[min(np.searchsorted(upto, p / 100), len(bins) - 1)] for p in (50, 95, 99)}
        return {name: round(float(b) * BIN_MS, 1) for name, b in {**at, "max": bins[-1]}.items()}

    @property
    def fps(self) -> float | None:
        """Shown frames per second, from the first to the last."""
        span = self.last_shown_ns - self.first_shown_ns
        return round((self.shown - 1) * 1e9 / span, 2) if span > 0 else None

    def as_report(self) -> dict[str, object]:
        """The report's blocks that come of frames."""
        report: dict[str, object] = {
            "frames": {
                "captured": self.captured,
                "inferred": self.inferred,
                "shown": self.shown,
                "dropped": self.dropped,
            },
            "latency_ms": self.latency_ms(),
            "fps": self.fps,
            # frames by state; 'stale' is no frame's state: it counts the times the display went stale
            "states": {
                **{state.name.lower(): self.states.get(state.name, 0) for state in State},
                "stale": self.absences.get(State.STALE.name, 0),
            },
            # frames with a result, by the operating point it was made at
            "points": {point or "own threshold": count for point, count in self.points.items()},
            # frames with a result, by the weights that answered: the first digits of their SHA-256
            "answered_by": dict(self.engines),
            # frames without a result, by the reason
            "no_result": dict(self.failures),
            # frames of whose screen it was not sure where the ultrasound picture is
            "sector_not_sure": self.unsure_sectors,
            "engine_absences": self.absences.get(State.NO_RESULT.name, 0),
        }
        if self.counts is not None:
            report["truth"] = self.counts.as_report()
        return report

    @property
    def failed(self) -> str:
        """What a run must not pass over, '' where there is nothing: a network's nonsense, or not one result at all."""
        reasons = {why: n for why, n in self.failures.items() if why not in NO_PICTURE}
        if not reasons or (self.points and not set(reasons).intersection(NONSENSE)):
            return ""
        told = "; ".join(f"{n} times: {why}" for why, n in reasons.items())
        return f"{sum(reasons.values())} of {self.shown} frames have no result ({told})"

    def _base(self, key: str) -> Trail:
        return self.base.get(key, Trail())

    def _total(self, trails: dict[str, Trail]) -> int:
        return sum(trail.taken - self._base(key).taken for key, trail in trails.items())


def _keep(trails: dict[str, Trail], key: str, trail: Trail) -> None:
    """Totals only grow: keep the later ones."""
    if key not in trails or trail.taken + sum(trail.dropped.values()) >= trails[key].taken + sum(
        trails[key].dropped.values()
    ):
        trails[key] = trail
