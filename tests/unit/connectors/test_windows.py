"""A stretch of time is read whole, and nothing outside it: what a backfill asks a CRM for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.connectors.polled import CALLS_MAX, HubSpot, Salesforce, Vendor, decoded

from headwater.connectors.base.http import Request
from headwater.connectors.base.polling import from_ms
from headwater.connectors.hubspot import polling as hubspot
from headwater.connectors.salesforce import polling as salesforce

VENDORS = [HubSpot, Salesforce]
"""Those that can be asked for a stretch of time."""
SECOND_MS = 1000
YOUNG_MS = 3000


def opened(vendor: Vendor, since: dt.datetime | None, until: dt.datetime) -> None:
    """Let *vendor*'s next calls read the stretch from *since* to *until*."""
    vendor.polled = replace(vendor.polled, until=until)
    module = hubspot if isinstance(vendor, HubSpot) else salesforce
    vendor.cursor = module.cursor_at(since)


def counted(vendor: Vendor, since: dt.datetime | None) -> int:
    """Return what the CRM counts in the stretch."""
    request: Request
    if isinstance(vendor, HubSpot):
        request = hubspot.count_request(vendor.polled, since)
    else:
        request = salesforce.count_request(vendor.polled, since, "v61.0")
    body = decoded(vendor.bench.call(request.method, request.path, request.body, **request.query))
    return hubspot.count_of(body) if isinstance(vendor, HubSpot) else salesforce.count_of(body)


@pytest.mark.parametrize("open_vendor", VENDORS)
@settings(max_examples=40, deadline=None)
@given(
    groups=st.lists(st.tuples(st.integers(0, 8), st.sampled_from([1, 1000, 2000, 61_000])), max_size=8),
    first=st.integers(0, 8),
    length=st.integers(0, 8),
)
def test_a_stretch_is_told_whole_and_alone(
    open_vendor: Callable[[], Vendor], groups: list[tuple[int, int]], first: int, length: int
) -> None:
    """Groups of one same moment, some on the very first and last moment of the stretch, more than a page holds."""
    vendor, moments = open_vendor(), []
    for size, pause_ms in groups:
        unit = SECOND_MS if vendor.whole_seconds else 1
        vendor.bench.now_ms += -vendor.bench.now_ms % unit
        begun, before = from_ms(vendor.bench.now_ms), set(vendor.alive)
        vendor.create(size)
        moments.append((begun, set(vendor.alive) - before))
        vendor.wait(max(pause_ms, unit))
    vendor.wait(YOUNG_MS)
    bounds = [moment for moment, _ in moments] + [from_ms(vendor.bench.now_ms)]
    since = bounds[min(first, len(bounds) - 1)]
    until = bounds[min(first + length, len(bounds) - 1)]
    opened(vendor, since, until)
    expected = {crm_id for moment, ids in moments if since <= moment < until for crm_id in ids}
    told_max = counted(vendor, since)
    vendor.round()
    assert set(vendor.newest()) == expected
    assert len(expected) <= told_max
    if isinstance(vendor, HubSpot):
        assert told_max == len(expected)


@pytest.mark.parametrize("open_vendor", VENDORS)
def test_changes_while_it_is_read_move_records_out_of_the_stretch_and_hide_no_other(
    open_vendor: Callable[[], Vendor],
) -> None:
    """A record that changes meanwhile is live traffic's; what was not read yet is told all the same."""
    vendor = open_vendor()
    vendor.create(9)
    vendor.wait(YOUNG_MS)
    opened(vendor, None, from_ms(vendor.bench.now_ms))
    vendor.poll()
    last = max(vendor.alive)
    vendor.change(len(vendor.alive) - 1)
    vendor.round()
    assert set(vendor.newest()) >= set(vendor.alive) - {last}


@pytest.mark.parametrize("open_vendor", VENDORS)
def test_deletions_of_the_stretch_are_told(open_vendor: Callable[[], Vendor]) -> None:
    """Those of an outage, and none from before or after it."""
    vendor = open_vendor()
    vendor.create(4)
    vendor.wait(5000)
    vendor.delete(0)
    vendor.wait(5000)
    since, before = from_ms(vendor.bench.now_ms), set(vendor.gone)
    vendor.delete(0)
    vendor.wait(5000)
    until, inside = from_ms(vendor.bench.now_ms), vendor.gone - before
    vendor.delete(0)
    vendor.wait(5000)
    opened(vendor, since, until)
    vendor.round()
    assert vendor.told_gone == inside


def test_a_stretch_that_ends_now_waits_for_seconds_that_are_not_over() -> None:
    """Salesforce stamps seconds: the round goes on until the young ones can be told, and then ends."""
    vendor = Salesforce()
    vendor.create(2)
    vendor.wait(1000)
    opened(vendor, None, from_ms(vendor.bench.now_ms))
    assert vendor.poll() is True
    assert vendor.told == {}
    vendor.wait(YOUNG_MS)
    for _ in range(CALLS_MAX):
        if not vendor.poll():
            break
    assert set(vendor.newest()) == set(vendor.alive)
