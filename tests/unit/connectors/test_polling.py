"""Pollers lose nothing and tell nothing twice under another key, whatever happens between two pages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.sandbox.bench import Bench

from headwater.connectors.base import CallFailed, Page, Polled
from headwater.connectors.base.http import Request
from headwater.connectors.base.polling import from_ms, held_back_ms, to_ms
from headwater.connectors.dynamics import polling as dynamics
from headwater.connectors.dynamics.schema import Table
from headwater.connectors.hubspot import polling as hubspot
from headwater.connectors.pipedrive import polling as pipedrive
from headwater.connectors.pipedrive.fields import catalogue_of
from headwater.connectors.pipedrive.kinds import KINDS
from headwater.connectors.salesforce import polling as salesforce
from headwater.sandbox.call import Answer

OVERLAP_S = 60.0
LIMIT = 3
CALLS_MAX = 400
SETTLE_S = 5000.0

Told = dict[tuple[str, dt.datetime], Any]


@dataclass
class Vendor:
    """A CRM with people, its poller, and all that the poller has told."""

    bench: Bench
    polled: Polled
    alive: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    cursor: str = ""
    told: Told = field(default_factory=dict)
    told_gone: set[str] = field(default_factory=set)
    unseen: set[str] = field(default_factory=set)
    numbers: int = 0
    whole_seconds: bool = False

    def create(self, count: int) -> None:
        """Make people, all in the same moment."""
        for _ in range(count):
            self.numbers += 1
            self.alive[self._make(f"n{self.numbers}")] = f"n{self.numbers}"

    def change(self, number: int) -> None:
        """Give somebody another name."""
        if self.alive:
            self.numbers += 1
            crm_id = sorted(self.alive)[number % len(self.alive)]
            self._patch(crm_id, f"n{self.numbers}")
            self.alive[crm_id] = f"n{self.numbers}"

    def delete(self, number: int) -> None:
        """Delete somebody."""
        if self.alive:
            crm_id = sorted(self.alive)[number % len(self.alive)]
            self.bench.call("DELETE", f"{self.path}/{crm_id}")
            del self.alive[crm_id]
            self.gone.add(crm_id)

    def wait(self, milliseconds: int) -> None:
        """Let the vendor's clock go on, or back by less than the overlap."""
        self.bench.now_ms += milliseconds

    def poll(self, ours_ahead_s: float = 0.0) -> bool:
        """Read one page; return whether there is more."""
        now = from_ms(self.bench.now_ms) + dt.timedelta(seconds=ours_ahead_s)
        request = self.request()
        self.bench.headers = self.headers(request)
        answer = self.bench.call(request.method, request.path, request.body, **request.query)
        self.bench.headers = {}
        assert answer.status == 200, answer
        page = self.page(_decoded(answer), now)
        for item in page.records:
            key = (item.crm_id, item.modify_time)
            if not (ours_ahead_s and self.whole_seconds):  # then a second may be told before it is over
                assert self.told.get(key, item.fields) == item.fields, "one key with two contents"
            self.told[key] = item.fields
        self.told_gone |= {item.crm_id for item in page.deleted}
        self.cursor = page.next_cursor
        return page.more

    def round(self, ours_ahead_s: float = 0.0) -> None:
        """Read page after page until the round ends."""
        for _ in range(CALLS_MAX):
            if not self.poll(ours_ahead_s):
                return
        pytest.fail("a round does not end")

    def newest(self) -> dict[str, str]:
        """Return the name told last of everybody told and not told deleted, by the vendor's time."""
        latest: dict[str, tuple[dt.datetime, str]] = {}
        for (crm_id, moment), fields in self.told.items():
            if crm_id not in latest or latest[crm_id][0] < moment:
                latest[crm_id] = (moment, fields[self.polled.fields[0]])
        return {crm_id: name for crm_id, (_, name) in latest.items() if crm_id not in self.told_gone}

    @property
    def path(self) -> str:
        """Where people are made."""
        raise NotImplementedError

    def request(self) -> Request:
        """Return the poller's next call."""
        raise NotImplementedError

    def headers(self, request: Request) -> dict[str, str]:  # noqa: ARG002 - most vendors' pollers send none
        """Return the headers of the poller's call."""
        return {}

    def page(self, body: Any, now: dt.datetime) -> Page:
        """Return what the poller makes of an answer."""
        raise NotImplementedError

    def _make(self, name: str) -> str:
        raise NotImplementedError

    def _patch(self, crm_id: str, name: str) -> None:
        raise NotImplementedError


class HubSpot(Vendor):
    """HubSpot's sandbox."""

    path = "/crm/v3/objects/contacts"

    def __init__(self) -> None:
        super().__init__(Bench("hubspot"), Polled("contacts", ("firstname",), OVERLAP_S))

    def request(self) -> Request:
        return hubspot.request_of(self.polled, self.cursor, LIMIT)

    def page(self, body: Any, now: dt.datetime) -> Page:
        return hubspot.page_of(self.polled, self.cursor, LIMIT, body, {}, now)

    def _make(self, name: str) -> str:
        made = self.bench.call("POST", self.path, {"properties": {"firstname": name}})
        return str(_decoded(made)["id"])

    def _patch(self, crm_id: str, name: str) -> None:
        self.bench.call("PATCH", f"{self.path}/{crm_id}", {"properties": {"firstname": name}})


class Salesforce(Vendor):
    """Salesforce's sandbox."""

    path = "/services/data/v61.0/sobjects/Contact"

    def __init__(self) -> None:
        super().__init__(Bench("salesforce"), Polled("Contact", ("LastName",), OVERLAP_S), whole_seconds=True)

    def request(self) -> Request:
        return salesforce.request_of(self.polled, self.cursor, LIMIT, "v61.0")

    def page(self, body: Any, now: dt.datetime) -> Page:
        return salesforce.page_of(self.polled, self.cursor, LIMIT, body, now)

    def _make(self, name: str) -> str:
        return str(_decoded(self.bench.call("POST", self.path, {"LastName": name}))["id"])

    def _patch(self, crm_id: str, name: str) -> None:
        self.bench.call("PATCH", f"{self.path}/{crm_id}", {"LastName": name})


class Pipedrive(Vendor):
    """Pipedrive's sandbox."""

    path = "/api/v2/persons"
    kind = KINDS["persons"]
    catalogue = catalogue_of(KINDS["persons"], ())

    def __init__(self) -> None:
        super().__init__(Bench("pipedrive"), Polled("persons", ("name",), OVERLAP_S), whole_seconds=True)

    def request(self) -> Request:
        return pipedrive.request_of(self.kind, self.polled, self.catalogue, self.cursor, LIMIT)

    def page(self, body: Any, now: dt.datetime) -> Page:
        return pipedrive.page_of(self.polled, self.catalogue, self.cursor, body, now)

    def _make(self, name: str) -> str:
        return str(_decoded(self.bench.call("POST", self.path, {"name": name}))["data"]["id"])

    def _patch(self, crm_id: str, name: str) -> None:
        self.bench.call("PATCH", f"{self.path}/{crm_id}", {"name": name})


class Dynamics(Vendor):
    """Dataverse's sandbox."""

    path = "/api/data/v9.2/contacts"
    table = Table("contact", "", "contacts", "contactid")

    def __init__(self) -> None:
        super().__init__(Bench("dynamics"), Polled("contact", ("lastname",), OVERLAP_S))

    def delete(self, number: int) -> None:
        if self.alive:
            crm_id = sorted(self.alive)[number % len(self.alive)]
            self.bench.call("DELETE", f"{self.path}({crm_id})")
            del self.alive[crm_id]
            if any(
                told == crm_id for told, _ in self.told
            ):  # of what was never told no deletion is told either
                self.gone.add(crm_id)
            else:
                self.unseen.add(crm_id)

    def request(self) -> Request:
        return dynamics.request_of(self.table, self.polled, self.cursor, LIMIT)

    def page(self, body: Any, now: dt.datetime) -> Page:
        page = dynamics.page_of(self.table, self.polled, self.cursor, body, now)
        return Page(
            page.records,
            tuple(item for item in page.deleted if item.crm_id not in self.unseen),
            page.next_cursor,
            page.more,
        )

    def headers(self, request: Request) -> dict[str, str]:
        assert request.content is not None
        return {name.lower(): value for name, value in request.content.headers.items()}

    def _make(self, name: str) -> str:
        place = self.bench.call("POST", self.path, {"lastname": name}).headers["OData-EntityId"]
        return place.rpartition("(")[2].rstrip(")")

    def _patch(self, crm_id: str, name: str) -> None:
        self.bench.call("PATCH", f"{self.path}({crm_id})", {"lastname": name})


def _decoded(answer: Answer) -> Any:
    return msgspec.json.decode(answer.body)


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
        page = vendor.page(_decoded(answer), from_ms(vendor.bench.now_ms))
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
