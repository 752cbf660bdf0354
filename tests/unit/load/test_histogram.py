"""Latencies in little room."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.load.histogram import ERROR_MAX, Histogram

Values = st.lists(st.integers(0, 10**9), min_size=1, max_size=200)


def _of(values: list[int]) -> Histogram:
    found = Histogram()
    for value in values:
        found.record(value)
    return found


@given(Values, st.floats(0, 100))
def test_a_percentile_is_within_the_error_bound_of_the_exact_one(values: list[int], percent: float) -> None:
    """Nearest rank, told with at most the promised relative error."""
    exact = sorted(values)[max(1, math.ceil(len(values) * percent / 100 - 1e-9)) - 1]
    told = _of(values).percentile_us(percent)
    assert told is not None
    assert abs(told - exact) <= exact * ERROR_MAX + 0.5


@given(Values, Values)
def test_merging_is_counting_everything_in_one(one: list[int], other: list[int]) -> None:
    """Two senders' histograms make the one that a single sender would have kept."""
    merged = _of(one)
    merged.merge(_of(other))
    assert merged.plain() == _of(one + other).plain() | {"b": list(merged.buckets.items())}
    assert merged.buckets == _of(one + other).buckets


@given(Values)
def test_what_a_process_tells_is_what_it_saw(values: list[int]) -> None:
    """The JSON form loses nothing."""
    found = Histogram.of(_of(values).plain())
    assert (found.buckets, found.count, found.largest_us) == (_of(values).buckets, len(values), max(values))
    assert found.mean_us == pytest.approx(sum(values) / len(values))


def test_nothing_counted_has_no_percentiles() -> None:
    """An empty interval says nothing rather than zero."""
    assert set(Histogram().summary_ms().values()) == {None}


def test_the_largest_is_told_exactly() -> None:
    """The maximum is what a service level is broken by: no bucket rounds it."""
    assert _of([1, 123_457]).summary_ms()["max"] == 123.457


def test_a_clock_that_steps_back_counts_as_nothing() -> None:
    """A negative latency is no reason to fail a run."""
    assert _of([-5]).summary_ms()["max"] == 0
