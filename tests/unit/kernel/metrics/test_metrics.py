"""The numbers of a process: registered, at zero before anything happens, bounded in their labels."""

from __future__ import annotations

import re
from math import prod
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from headwater.kernel.metrics import Metrics, names
from headwater.kernel.metrics.book import OPENMETRICS
from headwater.kernel.metrics.door import page_of
from headwater.kernel.metrics.instruments import HistogramSeries
from headwater.kernel.metrics.names import METRICS, OTHER, Kind, metrics_of
from headwater.sync.measuring import ACCOUNTS_MAX

SERVICES = Path(names.__file__).parents[2]
SERIES_MAX = 10_000
"""Of one metric, whatever its labels bring."""


async def _samples(metrics: Metrics) -> dict[str, float]:
    page, _ = await page_of(metrics, OPENMETRICS)
    parsed: list[Any] = list(text_string_to_metric_families(page.decode()))  # type: ignore[no-untyped-call]
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in parsed
        for sample in family.samples
    }


def test_every_metric_has_a_help_a_unit_and_bounded_labels() -> None:
    """The catalogue is complete: a name's unit is its last word, counters do not end in _total, labels are bounded."""
    for metric in METRICS:
        assert metric.name.startswith(names.PREFIX)
        assert metric.help.endswith(".")
        assert not metric.name.endswith("_total")
        assert metric.unit == ("seconds" if metric.name.endswith("_seconds") else "")
        assert (metric.kind is Kind.HISTOGRAM) == bool(metric.buckets)
        assert list(metric.buckets) == sorted(set(metric.buckets))
        assert all(label.bound > 0 for label in metric.labels)
        per_account = {"tenant", "connector"} <= set(
            metric.label_names
        )  # the reader bounds the pairs themselves
        bounds = [label.bound for label in metric.labels if not per_account or label.values]
        assert prod(bounds) * (ACCOUNTS_MAX if per_account else 1) <= SERIES_MAX
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_no_other_module_spells_a_metric() -> None:
    """A name is written once: whoever counts takes it from the catalogue."""
    known = "|".join(metric.name for metric in METRICS)
    spelled = re.compile(rf"[\"']({known})(_total|_bucket)?[\"']")
    found = [
        path.name
        for path in SERVICES.rglob("*.py")
        if path != Path(names.__file__) and spelled.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize("service", ["", "ingest", "identity", "sync"])
async def test_the_registry_holds_the_catalogue_and_no_more(service: str) -> None:
    """A walk over the registry: every metric of the service is there, under its name and kind, nothing else is."""
    told = {family.name: family.type for family in Metrics(service).collect()}
    assert told == {metric.name: metric.kind.value for metric in metrics_of(service)}


async def test_counters_stand_at_zero_before_anything_happens() -> None:
    """The first failure shows as a rise: every series with closed labels is there from the start."""
    samples = await _samples(Metrics("ingest"))
    assert samples["headwater_ingest_events_total[('disposition', 'refused')]"] == 0
    assert samples["headwater_rpc_calls_total[('code', 'internal')]"] == 0


async def test_a_connectors_counters_stand_at_zero_once_it_is_known() -> None:
    """What carries an open label is made for each value that is told of, with every closed one."""
    metrics = Metrics("sync")
    metrics.expect(connector="hubspot")
    samples = await _samples(metrics)
    for outcome in ("delivered", "superseded", "dead"):
        assert samples[f"headwater_deliveries_total[('connector', 'hubspot'), ('outcome', '{outcome}')]"] == 0
    assert samples["headwater_delivery_latency_seconds_count[('connector', 'hubspot')]"] == 0


def test_labels_beyond_their_bound_are_counted_as_other() -> None:
    """No input makes series without end: what comes beyond the bound is one series, and that it did is counted."""
    metrics = Metrics("sync")
    counter = metrics.counter(names.RECORDS_CREATED)
    bound = names.RECORDS_CREATED.labels[0].bound
    for number in range(3 * bound):
        counter.of(f"connector-{number}").add()
    assert len(counter.series) == bound
    assert counter.series[(OTHER,)].value == 2 * bound + 1
    assert metrics.counter(names.SERIES_LEFT_OUT).of().value == 2 * bound + 1


def test_a_value_that_a_closed_label_does_not_know_is_other() -> None:
    """A slip in a label's value makes one series, not one for each slip."""
    calls = Metrics("ingest").counter(names.RPC_CALLS)
    calls.of("no-such-code").add()
    calls.of("another").add()
    assert calls.series[(OTHER,)].value == 2


def test_a_gauge_forgets_what_is_gone() -> None:
    """An account that is not there any more is not told of any more."""
    depth = Metrics("sync").gauge(names.PAUSED)
    depth.replace({("acme", "hubspot"): 1.0, ("acme", "salesforce"): 0.0})
    depth.replace({("acme", "salesforce"): 0.0})
    assert list(depth.series) == [("acme", "salesforce")]


@given(st.lists(st.floats(0, 20_000), max_size=60), st.lists(st.floats(0, 20_000), max_size=60))
def test_a_histogram_counts_a_batch_as_its_values_one_by_one(first: list[float], second: list[float]) -> None:
    """Batches and single values give the same buckets, and each value lies in the first bucket that is not below it."""
    bounds = names.LATENCY_BUCKETS_S
    batches, singles = HistogramSeries(bounds), HistogramSeries(bounds)
    batches.observe(first)
    batches.observe(second)
    for value in (*first, *second):
        singles.observe((value,))
    assert batches.counts == singles.counts
    told = dict(line[:2] for line in batches.lines())
    for bound in bounds:
        assert told[str(float(bound))] == sum(value <= bound for value in (*first, *second))
    assert told["+Inf"] == len(first) + len(second)


async def test_the_page_carries_examples_where_openmetrics_is_asked_for() -> None:
    """A slow delivery leads to its trace; a reader that knows the old format only gets the numbers without."""
    metrics = Metrics("sync")
    latency = metrics.histogram(names.DELIVERY_LATENCY).of("hubspot")
    latency.observe((0.2, 70.0), trace_id="a" * 32, shown=70.0)
    page, content_type = await page_of(metrics, f"{OPENMETRICS}; version=1.0.0, text/plain;q=0.5")
    line = next(one for one in page.decode().splitlines() if 'le="120.0"' in one)
    assert f'trace_id="{"a" * 32}"' in line
    assert content_type.startswith(OPENMETRICS)
    old, old_type = await page_of(metrics, "text/plain")
    assert b"trace_id" not in old
    assert old_type.startswith("text/plain")


async def test_a_reader_that_fails_leaves_the_other_numbers() -> None:
    """The database is away: the page is answered all the same."""
    metrics = Metrics("ingest")

    async def fail() -> None:
        raise ConnectionError("away")

    metrics.at_scrape(fail)
    assert await _samples(metrics)
