"""A sandbox of each vendor as the tests of pollers see it: changed and polled, with what was told. Asserts nothing."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from tests.unit.sandbox.bench import Bench

from headwater.connectors.base import Page, Polled
from headwater.connectors.base.http import Request
from headwater.connectors.base.polling import from_ms
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
        page = self.page(decoded(answer), now)
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
        return str(decoded(made)["id"])

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
        return str(decoded(self.bench.call("POST", self.path, {"LastName": name}))["id"])

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
        return str(decoded(self.bench.call("POST", self.path, {"name": name}))["data"]["id"])

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


def decoded(answer: Answer) -> Any:
    return msgspec.json.decode(answer.body)
