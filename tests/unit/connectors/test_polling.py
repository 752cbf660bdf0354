"""Pollers lose nothing and tell nothing twice under another key, whatever happens between two pages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.connectors.polled import (
    CALLS_MAX,
    SETTLE_S,
    Dynamics,
    HubSpot,
    Pipedrive,
    Salesforce,
    Vendor,
    decoded,
)

from headwater.connectors.base import CallFailed, Polled
from headwater.connectors.base.polling import from_ms, held_back_ms, to_ms
from headwater.connectors.hubspot import polling as hubspot
from headwater.connectors.salesforce import polling as salesforce

VENDORS: tuple[Callable[[], Vendor], ...] = (HubSpot, Salesforce, Pipedrive, Dynamics)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.integers(1, 9)),
        st.tuples(st.just("change"), st.integers(0, 40)),
        st.tuples(st.just("delete"), st.integers(0, 40)),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 2, 999, 1000, 5000, 70_000, 1_000_000])),
        st.tuples(st.just("poll"), st.integers(0, 0)),
    ),
    max_size=40,
)


@pytest.mark.parametrize("open_vendor", VENDORS)
@settings(max_examples=40, deadline=None)
@given(steps=STEPS, ours_ahead_s=st.sampled_from([-7200.0, -30.0, 0.0, 30.0, 7200.0]))
def test_everything_is_told_whatever_changes_between_pages(
    open_vendor: Callable[[], Vendor], steps: list[tuple[str, int]], ours_ahead_s: float
) -> None:
    """Many of one moment, changes and deletions between pages, clocks that disagree: the last state is told."""
    vendor = open_vendor()
    for name, number in steps:
        if name == "poll":
            vendor.poll(ours_ahead_s)
        else:
            getattr(vendor, name)(number)
        if name in {"create", "change", "delete"} and isinstance(vendor, HubSpot):
            vendor.wait(1)  # two changes of one record in one millisecond do not happen
    vendor.wait(round(SETTLE_S * 1000))
    vendor.round(ours_ahead_s)
    vendor.wait(round(SETTLE_S * 1000))
    vendor.round(ours_ahead_s)
    assert vendor.newest() == vendor.alive
    assert vendor.told_gone == vendor.gone


@pytest.mark.parametrize("open_vendor", VENDORS)
def test_a_clock_that_went_back_hides_nothing(open_vendor: Callable[[], Vendor]) -> None:
    """A change stamped a little before the newest one seen is within the overlap."""
    vendor = open_vendor()
    vendor.create(4)
    vendor.wait(10_000)
    vendor.round()
    vendor.wait(-50_000)
    vendor.create(1)
    vendor.wait(60_000)
    vendor.round()
    assert vendor.newest() == vendor.alive


@pytest.mark.parametrize("open_vendor", VENDORS)
def test_a_stamp_of_the_future_hides_nothing(open_vendor: Callable[[], Vendor]) -> None:
    """A record stamped a day ahead is told, and what comes after it with the right time is told too."""
    vendor = open_vendor()
    vendor.wait(86_400_000)
    vendor.create(1)
    vendor.wait(-86_400_000)
    vendor.round()
    vendor.create(5)
    vendor.wait(10_000)
    vendor.round()
    assert vendor.newest() == vendor.alive


@pytest.mark.parametrize("open_vendor", VENDORS)
def test_a_round_at_rest_costs_few_calls(open_vendor: Callable[[], Vendor]) -> None:
    """With nothing changed for longer than the overlap, one page tells at most the newest moment again."""
    vendor = open_vendor()
    for _ in range(10):
        vendor.create(1)
        vendor.wait(70_000)
    vendor.round()
    before = len(vendor.told)
    assert vendor.poll() is False
    assert len(vendor.told) == before


@pytest.mark.parametrize("open_vendor", VENDORS)
def test_a_page_that_ends_inside_a_moment_loses_none_of_it(open_vendor: Callable[[], Vendor]) -> None:
    """Pairs, each further from the next than the overlap, read three at a time: no later round would make it good."""
    vendor = open_vendor()
    for _ in range(6):
        vendor.create(2)
        vendor.wait(70_000)
    vendor.round()
    assert vendor.newest() == vendor.alive


def test_no_search_pages_by_offset() -> None:
    """HubSpot shows no more than 10,000 results of a query: no request asks for a further page of one."""
    vendor = HubSpot()
    vendor.create(10)
    seen = []
    for _ in range(CALLS_MAX):
        seen.append(vendor.request())
        if not vendor.poll():
            break
    assert len(seen) > 3
    assert not [request for request in seen if request.method == "POST" and "after" in request.body]


@pytest.mark.parametrize(("open_vendor", "name"), [(Salesforce, "LastName"), (Pipedrive, "name")])
def test_seconds_that_are_not_over_wait(open_vendor: Callable[[], Vendor], name: str) -> None:
    """A record changed twice within one second is told once, as it is at the end of it."""
    vendor = open_vendor()
    vendor.create(1)
    vendor.round()
    assert vendor.told == {}
    vendor.change(0)
    vendor.wait(3000)
    vendor.round()
    assert [fields[name] for fields in vendor.told.values()] == ["n2"]


def test_a_deletion_of_dataverse_has_one_time_however_often_it_is_told() -> None:
    """That of the delta link before: behind every change that was told already, and the same in a second reading."""
    vendor = Dynamics()
    vendor.create(1)
    vendor.wait(1000)
    vendor.round()
    vendor.delete(0)
    cursor = vendor.cursor
    times: list[dt.datetime] = []
    for _ in range(2):
        vendor.wait(90_000)
        vendor.cursor = cursor
        request = vendor.request()
        vendor.bench.headers = vendor.headers(request)
        answer = vendor.bench.call(request.method, request.path, request.body, **request.query)
        page = vendor.page(decoded(answer), from_ms(vendor.bench.now_ms))
        times.extend(item.modify_time for item in page.deleted)
    assert len(times) == 2
    assert times[0] == times[1]
    assert all(moment <= times[0] for _, moment in vendor.told)


def test_a_foreign_cursor_is_an_error_and_no_new_beginning() -> None:
    """To read everything again silently would hide that the cursor was lost."""
    with pytest.raises(CallFailed, match="cursor"):
        hubspot.request_of(Polled("contacts", ()), "not json", 10)


def test_only_polled_fields_are_asked_for() -> None:
    """Besides what the poller itself needs to place a record."""
    search = hubspot.request_of(Polled("companies", ("name",)), "", 10)
    assert search.body["properties"] == ["name", "hs_lastmodifieddate"]
    query = salesforce.request_of(Polled("Account", ("Name",)), "", 10, "v61.0").query["q"]
    assert query.startswith("SELECT Id, IsDeleted, SystemModstamp, Name FROM Account WHERE")


def test_a_cursor_is_held_back_behind_the_earlier_of_stamp_and_now() -> None:
    """By the overlap, and never before the beginning of time."""
    now = from_ms(1_000_000)
    assert held_back_ms(900_000, 60.0, now) == 840_000
    assert held_back_ms(5_000_000, 60.0, now) == to_ms(now) - 60_000
    assert held_back_ms(10, 60.0, now) == 0
