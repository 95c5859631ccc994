"""What a monitoring system reads of a viewer: /metrics (Prometheus) and /healthz, beside the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from ...frame import State
from ...tally import BIN_MS, Tally

BUCKETS_S = (0.005, 0.01, 0.02, 0.033, 0.05, 0.1, 0.25, 0.5, 1.0)


class Watched(NamedTuple):
    """A viewer at one moment."""

    says: State
    tally: Tally
    refused: int  # messages
    engine: dict[str, str | list[int]] | None


class Spoken(NamedTuple):
    """An answer to a browser."""

    status: int
    text: str
    content_type: str


Look = Callable[[], Watched]
Routes = dict[str, Callable[[], Spoken]]


def routes(look: Look) -> Routes:
    """The addresses, and what answers there."""
    return {"/metrics": lambda: _metrics(look), "/healthz": lambda: _health(look())}


def _health(seen: Watched) -> Spoken:
    """200 while pictures are judged, 503 while they are not: 'no result' or 'stale'."""
    well = seen.says not in (State.NO_RESULT, State.STALE)
    body = {"state": seen.says.value, "shown": seen.tally.shown, "engine": seen.engine}
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return Spoken(status, msgspec.json.encode(body).decode(), "application/json")


def _metrics(look: Look) -> Spoken:
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Collector(look))  # type: ignore[arg-type]
    return Spoken(HTTPStatus.OK, generate_latest(registry).decode(), "text/plain")


class _Collector:
    """The tally in Prometheus' terms."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def collect(self) -> Iterator[object]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        seen = self._look()
        tally = seen.tally
        frames = CounterMetricFamily(
            "smartca_frames_shown", "Frames shown, by what was said of them.", labels=["state"]
        )
        for name, count in dict(tally.states).items():
            frames.add_metric([State[name].value], count)
        yield frames
        yield CounterMetricFamily("smartca_frames_captured", "Frames captured at the scanner.", tally.captured)
        drops = CounterMetricFamily("smartca_frames_dropped", "Frames not shown, by cause.", labels=["cause"])
        for cause, count in tally.causes.items():
            drops.add_metric([cause], count)
        yield drops
        yield CounterMetricFamily("smartca_messages_refused", "Messages that were none of ours.", seen.refused)
        state = GaugeMetricFamily("smartca_state", "1 for what is said now.", labels=["state"])
        for each in State:
            state.add_metric([each.value], float(each is seen.says))
        yield state
        yield _latency(dict(tally.latencies))


def _latency(bins: dict[int, int]) -> object:
    from prometheus_client.core import HistogramMetricFamily

    upto = [(limit, sum(n for b, n in bins.items() if b * BIN_MS / 1e3 <= limit)) for limit in BUCKETS_S]
    buckets = [(str(limit), float(count)) for limit, count in upto] + [("+Inf", float(sum(bins.values())))]
    total = sum(b * BIN_MS / 1e3 * n for b, n in bins.items())
    return HistogramMetricFamily("smartca_latency_seconds", "Capture to overlay.", buckets=buckets, sum_value=total)
