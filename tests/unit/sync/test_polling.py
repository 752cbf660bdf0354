"""A poller's cursor never goes ahead of what is recorded, wherever a run is cut off."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.sync.accounts import unguarded
from tests.unit.sync.tenant import NOON, TENANT, policy

from headwater.connectors.base import CallFailed, Connector, ErrorClass, Page, Polled, Seen, VendorError
from headwater.kernel.clock import SteppedClock
from headwater.kernel.errors import Unavailable
from headwater.sync.delivery.accounts import RunningAccount
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.polling import (
    Change,
    PollPlan,
    Recorded,
    Refusal,
    changes_of,
    is_held_back,
    poll_plans,
)
from headwater.sync.scheduling.polling import Polling
from headwater.sync.scheduling.ports import CursorStep

PLAN = PollPlan("crm", "contact", Polled("contacts", ("email",)), 2)
FAULTS = ("before the call", "while recording", "after recording", "while moving", "after moving")


@dataclass
class Crm:
    """A CRM that tells its people two a page."""

    people: int
    faults: list[str] = field(default_factory=list)

    async def aclose(self) -> None:
        """Nothing to close."""

    async def changes(self, polled: Polled, cursor: str, limit: int, now: dt.datetime) -> Page:
        """Return the next page."""
        del polled, now
        if self.faults and self.faults[0] == "before the call":
            self.faults.pop(0)
            raise CallFailed(VendorError(ErrorClass.NETWORK, "GONE", "gone"))
        start = int(cursor or 0)
        seen = [Seen(str(number), NOON, {"email": f"{number}@x.org"}) for number in range(start, self.people)]
        page = tuple(seen[:limit])
        return Page(page, (), str(start + len(page)), len(seen) > limit)


@dataclass
class Log:
    """A log that may be away, or lose its answer."""

    crm: Crm
    recorded: set[str] = field(default_factory=set)
    refuses: str = ""

    async def record(self, tenant_id: str, changes: Sequence[Change]) -> Recorded:
        """Record unless a fault says otherwise."""
        del tenant_id
        fault = self.crm.faults[0] if self.crm.faults else ""
        if fault == "while recording":
            self.crm.faults.pop(0)
            raise Unavailable("gone")
        known = [item for item in changes if item.external_id in self.recorded]
        refused = [item for item in changes if item.external_id == self.refuses]
        self.recorded |= {item.external_id for item in changes} - {self.refuses}
        if fault == "after recording":
            self.crm.faults.pop(0)
            raise Unavailable("the answer is lost")
        told = tuple(Refusal(item.external_id, item.event_time, "MALFORMED", "no") for item in refused)
        return Recorded(len(changes) - len(known) - len(refused), len(known), 0, told)


@dataclass
class Memory:
    """Cursors in memory; a fault comes before or after the move."""

    crm: Crm
    log: Log
    cursor: str = ""
    stop: str = ""
    refused: list[str] = field(default_factory=list)

    async def stop_of(self, tenant_id: str, connector: str, now: dt.datetime) -> str:
        """Return what was set."""
        del tenant_id, connector, now
        return self.stop

    async def read(self, tenant_id: str, connector: str, crm_object: str) -> str:
        """Return where it is."""
        del tenant_id, connector, crm_object
        return self.cursor

    async def move(
        self, lease: Lease, tenant_id: str, connector: str, crm_object: str, step: CursorStep
    ) -> bool:
        """Move, and see that everything before is recorded or refused."""
        del tenant_id, connector, crm_object
        fault = self.crm.faults[0] if self.crm.faults else ""
        if fault == "while moving":
            self.crm.faults.pop(0)
            raise FenceLost([lease.name])
        assert step.before == self.cursor
        self.refused += [item.external_id for item in step.refused]
        passed = {str(number) for number in range(int(step.after))}
        assert passed <= self.log.recorded | set(self.refused), "the cursor is ahead of the log"
        self.cursor = step.after
        if fault == "after moving":
            self.crm.faults.pop(0)
            raise Unavailable("the answer is lost")
        return True


def world(people: int, faults: Sequence[str] = ()) -> tuple[Crm, Log, Memory, Polling, RunningAccount]:
    """Return a CRM of *people* and everything that reads it."""
    crm = Crm(people, list(faults))
    log = Log(crm)
    memory = Memory(crm, log)
    lease = Lease("connector/acme/hubspot", 1)

    async def connect() -> Connector:
        return cast("Connector", crm)

    account = RunningAccount(TENANT, "hubspot", policy(), lease, connect, unguarded)
    return crm, log, memory, Polling(memory, log, SteppedClock(NOON)), account


@pytest.mark.anyio
@settings(max_examples=40, deadline=None)
@given(people=st.integers(0, 9), faults=st.lists(st.sampled_from(FAULTS), max_size=6))
async def test_nothing_is_lost_wherever_runs_are_cut_off(people: int, faults: list[str]) -> None:
    """Lost answers and lost leases at any point; run after run, everything is recorded, never stepped over."""
    crm, log, memory, polling, account = world(people, faults)
    for _ in range(len(faults) + 1):
        try:
            await polling.run(account, PLAN)
        except (CallFailed, FenceLost, Unavailable):
            continue
        break
    while crm.faults:  # faults that a short reading never came to
        crm.faults.pop()
    await polling.run(account, PLAN)
    assert log.recorded == {str(number) for number in range(people)}
    assert int(memory.cursor or 0) == people


@pytest.mark.anyio
async def test_what_ingest_refuses_is_kept_and_holds_up_nobody() -> None:
    """The cursor goes on, the refusal stays to be seen."""
    _, log, memory, polling, account = world(5)
    log.refuses = "1"
    result = await polling.run(account, PLAN)
    assert isinstance(result, Recorded)
    assert [item.external_id for item in result.refused] == ["1"]
    assert (memory.cursor, memory.refused, len(log.recorded)) == ("5", ["1"], 4)


@pytest.mark.anyio
async def test_a_paused_account_is_not_called() -> None:
    """Nor one whose breaker is open: the reason is told."""
    _, log, memory, polling, account = world(5)
    memory.stop = "the breaker is open"
    assert await polling.run(account, PLAN) == "the breaker is open"
    assert log.recorded == set()


def test_a_breaker_keeps_polls_back_as_long_as_it_holds() -> None:
    """Of the account or of one class of endpoints; an operator's order goes first, while it lasts."""
    later, before = "2026-03-01T12:01:00+00:00", "2026-03-01T11:59:00+00:00"
    assert not is_held_back({}, NOON)
    assert is_held_back({"probe_time": later}, NOON)
    assert not is_held_back({"probe_time": before}, NOON)
    held = {"breakers": {"write": {"probe_time": later}}}
    assert is_held_back(held, NOON)
    assert not is_held_back({**held, "forced": {"mode": "closed", "until": None}}, NOON)
    assert is_held_back({"forced": {"mode": "open", "until": later}}, NOON)
    assert not is_held_back({"forced": {"mode": "open", "until": before}}, NOON)


def test_the_same_look_makes_the_same_event_and_another_state_another() -> None:
    """Names in any order give the same bytes; the time and the payload make the key."""

    def payload(fields: dict[str, Any]) -> Change:
        return changes_of(PLAN, Page((Seen("1", NOON, fields),), (), "", more=False))[0]

    assert payload({"a": 1, "b": 2}) == payload({"b": 2, "a": 1})
    assert payload({"a": 1}) != payload({"a": 2})


def test_a_deletion_is_an_event_without_a_payload_in_its_place_in_time() -> None:
    """Changes and deletions of a page are told in the order in which they were made."""
    later = NOON + dt.timedelta(seconds=1)
    page = Page((Seen("1", later, {"email": "x"}),), (Seen("2", NOON, {}),), "", more=False)
    told = [(item.external_id, item.deleted, item.payload) for item in changes_of(PLAN, page)]
    assert told == [("2", True, b""), ("1", False, b'{"email":"x"}')]


def test_an_account_that_is_only_written_is_not_polled() -> None:
    """Polling is on by direction, or by name."""
    assert poll_plans(policy(), "hubspot") == {}
