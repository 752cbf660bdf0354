"""Every number of one process: made from the catalogue, at zero, and rendered as one page.

Owns the list of what is read when somebody asks for the page, and waits for nothing itself: the door does. Must not
know what the numbers are about.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from headwater.kernel.metrics import names
from headwater.kernel.metrics.instruments import (
    Counter,
    CounterSeries,
    Gauge,
    GaugeSeries,
    Histogram,
    HistogramSeries,
    Instrument,
    family_of,
)
from headwater.kernel.metrics.names import Kind, Metric, metrics_of

OPENMETRICS: Final = "application/openmetrics-text"
OPENMETRICS_TYPE: Final = f"{OPENMETRICS}; version=1.0.0; charset=utf-8"

Reader = Callable[[], Awaitable[None]]


class Metrics(Collector):
    """The numbers of one process.

    Args:
        service: whose; all metrics of the catalogue where it is empty, as in tests.
    """

    def __init__(self, service: str = "") -> None:
        self._instruments: dict[str, Counter | Gauge | Histogram] = {}
        self._readers: list[Reader] = []
        self._left_out = CounterSeries()
        for metric in metrics_of(service):
            self._instruments[metric.name] = self._made(metric)
        left_out = self._instruments[names.SERIES_LEFT_OUT.name]
        left_out.series[()] = self._left_out  # type: ignore[assignment]

    def counter(self, metric: Metric) -> Counter:
        """Return a counter of the catalogue."""
        return self._get(metric, Kind.COUNTER)  # type: ignore[return-value]

    def gauge(self, metric: Metric) -> Gauge:
        """Return a gauge of the catalogue."""
        return self._get(metric, Kind.GAUGE)  # type: ignore[return-value]

    def histogram(self, metric: Metric) -> Histogram:
        """Return a histogram of the catalogue."""
        return self._get(metric, Kind.HISTOGRAM)  # type: ignore[return-value]

    def expect(self, **given: str) -> None:
        """Make the counters and histograms that have exactly these open labels, at zero: a first failure shows as a rise."""
        for instrument in self._instruments.values():
            metric = instrument.metric
            opened = {label.name for label in metric.labels if not label.values}
            if metric.kind is not Kind.GAUGE and opened == set(given):
                instrument.expect(given)

    def at_scrape(self, reader: Reader) -> None:
        """Have *reader* called before each page; it bounds and caches by itself what is dear."""
        self._readers.append(reader)

    @property
    def readers(self) -> tuple[Reader, ...]:
        """What is to be read before a page is written."""
        return tuple(self._readers)

    def written(self, accept: str) -> tuple[bytes, str]:
        """Return the page and its content type: OpenMetrics with exemplars where it is asked for."""
        if OPENMETRICS in accept:
            told: bytes = openmetrics.generate_latest(self)  # type: ignore[no-untyped-call]
            return told, OPENMETRICS_TYPE
        return generate_latest(self), CONTENT_TYPE_LATEST

    def collect(self) -> Iterator[Family]:
        """Yield every metric as prometheus_client writes it."""
        yield from map(family_of, self._instruments.values())

    def _get(self, metric: Metric, kind: Kind) -> Counter | Gauge | Histogram:
        found = self._instruments[metric.name]
        assert found.metric.kind is kind, f"{metric.name} is a {found.metric.kind}"  # noqa: S101 - a slip of ours
        return found

    def _made(self, metric: Metric) -> Counter | Gauge | Histogram:
        match metric.kind:
            case Kind.COUNTER:
                return Instrument(metric, CounterSeries, self._left_out.add)
            case Kind.GAUGE:
                return Instrument(metric, GaugeSeries, self._left_out.add)
            case Kind.HISTOGRAM:
                return Instrument(metric, partial(HistogramSeries, metric.buckets), self._left_out.add)
