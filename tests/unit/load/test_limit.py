"""The search for the limit, against services with a known one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.load.limit import GAP_SHARE, PROBES_MAX, Probe, best, keeps, next_rate


def _search(limit: float, first: float) -> list[Probe]:
    probes: list[Probe] = []
    while (rate := next_rate(probes, first, 100.0)) is not None:
        over = rate > limit
        probes.append(Probe(rate, min(rate, limit), 900.0 if over else 20.0))
    return probes


@given(st.floats(50, 100_000), st.floats(100, 10_000))
def test_the_limit_is_found_within_the_gap(limit: float, first: float) -> None:
    """The rate told is kept, and at most a twentieth below the service's own limit; the search ends."""
    probes = _search(limit, first)
    found = best(probes, 100.0)
    assert found is not None
    assert len(probes) <= PROBES_MAX
    assert found.rate <= limit
    if len(probes) < PROBES_MAX:
        assert found.rate >= limit * (1 - GAP_SHARE) - 1e-6


def test_a_service_that_keeps_nothing_ends_the_search() -> None:
    """It is given up below one event a second."""
    assert best(_search(0.0, 1_000.0), 100.0) is None


@pytest.mark.parametrize(
    "probe",
    [Probe(100, 100, 101.0), Probe(100, 90, 5.0), Probe(100, 100, 5.0, faults=1), Probe(100, 100, None)],
)
def test_a_rate_is_not_kept_when_slow_behind_or_faulty(probe: Probe) -> None:
    """Each of the reasons is enough."""
    assert keeps(Probe(100, 99, 100.0), 100.0)
    assert not keeps(probe, 100.0)


def test_a_rate_above_one_that_failed_is_not_the_limit() -> None:
    """A lucky probe above a failing rate says nothing."""
    probes = [Probe(100, 100, 5.0), Probe(400, 400, 5.0), Probe(200, 150, 900.0)]
    assert best(probes, 100.0) == probes[0]
