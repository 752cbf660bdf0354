"""Counters, gauges and histograms of one process: plain numbers, added to by the event loop alone.

prometheus_client's own instruments take a lock and some 0.5 us an addition and know no batches; these cost an
attribute's addition, and a histogram takes a whole batch at once. What the page looks like is prometheus_client's.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Final, Generic, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)
from prometheus_client.samples import Exemplar

from headwater.kernel.metrics.names import OTHER, Kind, Metric

LabelValues = tuple[str, ...]


def exemplar_of(trace_id: str, value: float) -> Exemplar:
    """Return the example of a value: the trace in which it came about."""
    return Exemplar({"trace_id": trace_id}, value, time.time())


class CounterSeries:
    """One counter."""

    __slots__ = ("exemplar", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.exemplar: Exemplar | None = None

    def add(self, amount: float = 1.0, *, trace_id: str = "") -> None:
        """Count *amount*; *trace_id* is a sampled trace that shows one of it."""
        self.value += amount
        if trace_id:
            self.exemplar = exemplar_of(trace_id, amount)


class GaugeSeries:
    """One gauge; nothing is told before its first value."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float | None = None

    def set(self, value: float) -> None:
        """Set it."""
        self.value = value


class HistogramSeries:
    """One histogram: numbers per bucket, not summed up, and their sum."""

    __slots__ = ("_bounds", "counts", "exemplars", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.exemplars: list[Exemplar | None] = [None] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, values: Sequence[float], *, trace_id: str = "", shown: float = 0.0) -> None:
        """Count *values*, in any order.

        Args:
            trace_id: a sampled trace in which the value *shown* came about.
        """
        ordered = sorted(values)
        counted = 0
        for number, bound in enumerate(self._bounds):
            below = bisect_right(ordered, bound, counted)
            self.counts[number] += below - counted
            counted = below
            if counted == len(ordered):
                break
        self.counts[-1] += len(ordered) - counted
        self.total += sum(ordered)
        if trace_id:
            place = next((n for n, bound in enumerate(self._bounds) if shown <= bound), len(self._bounds))
            self.exemplars[place] = exemplar_of(trace_id, shown)

    def lines(self) -> Iterator[tuple[str, float] | tuple[str, float, Exemplar]]:
        """Yield bucket, number of values up to it, and an example."""
        counted = 0
        for number, count in enumerate(self.counts):
            counted += count
            bound = str(float(self._bounds[number])) if number < len(self._bounds) else "+Inf"
            example = self.exemplars[number]
            yield (bound, counted, example) if example is not None else (bound, counted)


Series = TypeVar("Series", CounterSeries, GaugeSeries, HistogramSeries)


class Instrument(Generic[Series]):
    """All series of one metric, as many as its labels allow."""

    def __init__(self, metric: Metric, make: Callable[[], Series], left_out: Callable[[], None]) -> None:
        self.metric = metric
        self._make: Callable[[], Series] = make
        self._left_out = left_out
        self._known: Final[list[set[str]]] = [set(label.values) for label in metric.labels]
        self.series: dict[LabelValues, Series] = {}
        self.expect({})

    def of(self, *values: str) -> Series:
        """Return the series of these label values, in the metric's order; `_other` in place of those beyond a bound."""
        held = self.series.get(values)
        if held is None:
            bounded = tuple([self._bounded(number, value) for number, value in enumerate(values)])
            held = self.series.get(bounded)
            if held is None:
                held = self.series[bounded] = self._make()
        return held

    def expect(self, given: Mapping[str, str]) -> None:
        """Make every series that *given* values of open labels allow, so that it stands at zero before anything happens."""
        choices = [
            label.values or ((given[label.name],) if label.name in given else ())
            for label in self.metric.labels
        ]
        for values in product(*choices):
            self.of(*values)

    def replace(self, found: Mapping[LabelValues, float]) -> None:
        """Set a gauge's series to *found* and forget all others."""
        kept: dict[LabelValues, float] = {}
        for values, value in found.items():
            bounded = tuple([self._bounded(number, one) for number, one in enumerate(values)])
            kept[bounded] = max(value, kept.get(bounded, value))
        self.series = {values: self._make() for values in kept}
        for values, value in kept.items():
            series = self.series[values]
            assert isinstance(series, GaugeSeries)  # noqa: S101 - only gauges are replaced
            series.set(value)

    def _bounded(self, number: int, value: str) -> str:
        label, known = self.metric.labels[number], self._known[number]
        if value in known:
            return value
        if label.values or len(known) >= label.values_max:
            if value != OTHER:
                self._left_out()
            return OTHER
        known.add(value)
        return value


Counter = Instrument[CounterSeries]
Gauge = Instrument[GaugeSeries]
Histogram = Instrument[HistogramSeries]


def family_of(instrument: Counter | Gauge | Histogram) -> Family:
    """Return an instrument's present numbers as prometheus_client writes them."""
    metric = instrument.metric
    names = metric.label_names
    held: Iterable[tuple[LabelValues, CounterSeries | GaugeSeries | HistogramSeries]]
    held = list(instrument.series.items())
    match metric.kind:
        case Kind.COUNTER:
            counters = CounterMetricFamily(metric.name, metric.help, labels=names, unit=metric.unit)
            for values, series in held:
                if isinstance(series, CounterSeries):
                    counters.add_metric(values, series.value, exemplar=series.exemplar)
            return counters
        case Kind.GAUGE:
            gauges = GaugeMetricFamily(metric.name, metric.help, labels=names, unit=metric.unit)
            for values, series in held:
                if isinstance(series, GaugeSeries) and series.value is not None:
                    gauges.add_metric(values, series.value)
            return gauges
        case Kind.HISTOGRAM:
            histograms = HistogramMetricFamily(metric.name, metric.help, labels=names, unit=metric.unit)
            for values, series in held:
                if isinstance(series, HistogramSeries):
                    histograms.add_metric(values, list(series.lines()), series.total)
            return histograms
