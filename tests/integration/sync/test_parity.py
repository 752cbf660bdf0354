"""Comparing one account on a real database with a CRM of the test's own: what is kept, repaired, asked about and healed."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import pytest
from tests.integration.sync.queued import CONNECTOR, LEASE, Queue, ended
from tests.unit.sync.tenant import POLICY, TENANT, key

from headwater.connectors.base import CallFailed, Connector, ErrorClass, Seen, VendorError
from headwater.connectors.base.sweeping import Probe, Span, Swept, SweptPage, place_of
from headwater.kernel.clock import SteppedClock
from headwater.policy.loading import load_policy
from headwater.sync.delivery.accounts import RunningAccount
from headwater.sync.domain.polling import Change, Recorded
from headwater.sync.reconciling.daily import Parity
from headwater.sync.reconciling.ports import Order
from headwater.sync.store.parity import PostgresParity
from headwater.sync.store.parity_desk import PostgresParityDesk

pytestmark = pytest.mark.anyio

KNOWN: Final = {"Email": "a@x.io", "LastName": "unknown"}
COMPARED: Final = POLICY.replace("{calls: 100, window_s: 20}", "{calls: 10000, window_s: 1}") + (
    "reconcile: {critical: {contact: {}}, accounts: [salesforce], share: 1.0, lag_s: 0, sample_records: 0, repairs: REPAIRS}\n"
)
DOWN: Final = VendorError(ErrorClass.SERVER, "500", "down")


@dataclass
class Crm:
    """A CRM's contacts by id. *fails_at*: sweeps before one that fails."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    fails_at: int = -1
    sweep_records_max: int = 1_000
    read_records_max: int = 200
    sweeps: int = 0
    calls: int = 0

    def _within(self, span: Span) -> list[str]:
        return sorted((one for one in self.records if span.holds(one)), key=place_of)

    def _seen(self, crm_id: str, swept: Swept) -> Seen:
        stamp = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        return Seen(crm_id, stamp, {name: self.records[crm_id].get(name) for name in swept.fields})

    async def probe(self, swept: Swept, span: Span) -> Probe:
        """Count."""
        del swept
        self.calls += 1
        ids = self._within(span)
        return Probe(len(ids), dt.datetime(2026, 1, 1, tzinfo=dt.UTC) if ids else None)

    async def sweep(self, swept: Swept, span: Span) -> SweptPage:
        """Return a page."""
        self.calls += 1
        self.sweeps += 1
        if self.sweeps == self.fails_at:
            raise CallFailed(DOWN)
        ids = self._within(span)
        page = ids[: self.sweep_records_max]
        return SweptPage(
            tuple(self._seen(one, swept) for one in page),
            page[-1] if page else span.after,
            len(ids) > len(page),
        )

    async def read(self, swept: Swept, crm_ids: Sequence[str]) -> Mapping[str, Seen]:
        """Return records by id."""
        self.calls += 1
        return {one: self._seen(one, swept) for one in crm_ids if one in self.records}

    async def aclose(self) -> None:
        """Nothing to close."""


class Log:
    """Records what is fetched again."""

    async def record(self, tenant_id: str, changes: Sequence[Change]) -> Recorded:
        """Take all."""
        raise AssertionError((tenant_id, changes))  # nothing of this account is read


@dataclass
class World:
    """An account whose records agree, and everything that compares it."""

    queue: Queue
    crm: Crm
    clock: SteppedClock
    parity: Parity
    account: RunningAccount
    desk: PostgresParityDesk

    async def run(self, **order: bool) -> str:
        """Run the daily parity, an hour after the last time."""
        self.clock.advance(3_600)
        if order:
            asked = Order(order.get("dry", False), order.get("whole", False), "user:ann")
            await self.desk.order(TENANT, CONNECTOR, "daily", asked)
        return await self.parity.run(self.account)

    async def heal(self) -> str:
        """Look after the drift, a minute later."""
        self.clock.advance(60)
        return await self.parity.heal(self.account)

    async def deliver(self) -> None:
        """Do what the actor would: bring every due record to what is wanted."""
        turn = await self.queue.claim()
        for item in turn.claimed:
            crm_id = item.crm_id or f"004{item.entity_id.int}"
            self.crm.records[crm_id] = {**KNOWN, "Headwater_Id__c": str(item.entity_id)}
        await self.queue.settle(
            *(
                ended(item, crm_id=item.crm_id or f"004{item.entity_id.int}", known=KNOWN)
                for item in turn.claimed
            )
        )

    async def drift(self) -> dict[str, tuple[str, str, str]]:
        """Return CRM id to kind, state and last repair."""
        rows = await self.queue.pool.fetch("select crm_id, kind, state, repair from sync.drift")
        return {row["crm_id"]: (row["kind"], row["state"], row["repair"]) for row in rows}

    async def runs(self) -> list[tuple[bool, dict[str, Any]]]:
        """Return the runs, the oldest first: whether each has ended, and its report."""
        rows = await self.queue.pool.fetch("select end_time, report from sync.parity_run order by begin_time")
        return [(row["end_time"] is not None, row["report"]) for row in rows]


async def world(queue: Queue, people: int, repairs: str = "{}") -> World:
    """Return an account with *people* whose records agree."""
    crm = Crm()
    await queue.add(*range(1, people + 1))
    for _ in range(0, people, 100):
        turn = await queue.claim()
        await queue.settle(*(ended(item, known=KNOWN) for item in turn.claimed))
    for number in range(1, people + 1):
        crm.records[f"003{number}"] = {**KNOWN, "Headwater_Id__c": str(key(number))}
    now: dt.datetime = await queue.pool.fetchval("select clock_timestamp()")

    async def opened() -> Connector:
        return cast("Connector", crm)

    async def ask(_: str, call: Callable[[], Awaitable[Any]]) -> Any:
        return await call()

    clock = SteppedClock(now)
    parity = Parity(PostgresParity(queue.pool), Log(), clock, random.Random(1))
    account = RunningAccount(
        TENANT, CONNECTOR, load_policy(COMPARED.replace("REPAIRS", repairs)), LEASE, opened, ask
    )
    return World(queue, crm, clock, parity, account, PostgresParityDesk(queue.pool))


async def test_a_field_that_was_changed_there_is_written_again_in_its_lane(queue: Queue) -> None:
    """Known from then on is what was seen, so that the smallest write mends it; it has healed when it shows."""
    place = await world(queue, 3)
    place.crm.records["0032"]["LastName"] = "Other"
    assert "1 differ" in await place.run()
    state = await queue.state(2)
    assert (state["state"], state["known"]["LastName"], await queue.lines()) == (1, "Other", {2: (4, True)})
    assert await place.drift() == {"0032": ("field", "repairing", "redeliver")}
    note = await queue.pool.fetchrow(
        "select actor, changes from sync.audit where action = 'drift_redelivered'"
    )
    assert note is not None
    assert (note["actor"], note["changes"][0]["field"], note["changes"][0]["after"]) == (
        "reconcile",
        "LastName",
        "Other",
    )
    await place.heal()
    assert (await place.drift())["0032"][1] == "repairing"
    await place.deliver()
    assert "1 healed" in await place.heal()
    assert await queue.faults() == []


async def test_a_record_that_is_gone_is_asked_about_and_made_anew_by_order(queue: Queue) -> None:
    """Not before; what was ordered, and by whom, is in the audit; it has healed when it is there again."""
    place = await world(queue, 3)
    del place.crm.records["0032"]
    await place.run()
    assert (await place.drift(), await queue.lines()) == ({"0032": ("missing", "asked", "ask")}, {})
    assert await place.desk.decide(TENANT, CONNECTOR, "missing", ["0039"], "recreate", "user:ann") == 0
    assert await place.desk.decide(TENANT, CONNECTOR, "missing", [], "recreate", "user:ann") == 1
    await place.heal()
    assert ((await queue.state(2))["crm_id"], await queue.lines()) == ("", {2: (4, True)})
    await place.deliver()
    assert "1 healed" in await place.heal()
    actors = await queue.pool.fetch(
        "select action, actor from sync.audit where action like 'drift%' order by audit_id"
    )
    assert [tuple(row) for row in actors] == [("drift_decided", "user:ann"), ("drift_recreated", "user:ann")]
    await place.run()
    assert place.crm.records.keys() == {"0031", "0033", "0042"}


@pytest.mark.parametrize(("gone", "state"), [(9, "repairing"), (12, "asked")])
async def test_many_that_are_gone_at_once_are_asked_about(queue: Queue, gone: int, state: str) -> None:
    """Although the policy would make each anew: rights that were taken away look the same."""
    place = await world(queue, 20, "{missing: recreate}")
    for number in range(1, gone + 1):
        del place.crm.records[f"003{number}"]
    await place.run()
    assert {item[1] for item in (await place.drift()).values()} == {state}


async def test_what_waits_for_a_person_may_heal_by_itself(queue: Queue) -> None:
    """Somebody brought the record back."""
    place = await world(queue, 2)
    held = place.crm.records.pop("0031")
    await place.run()
    place.crm.records["0031"] = held
    await place.run()
    assert (await place.drift())["0031"][:2] == ("missing", "healed")


async def test_what_was_accepted_stays_so_until_it_looks_otherwise(queue: Queue) -> None:
    """It is found each time, and nothing is done about it."""
    place = await world(queue, 2, "{field: ask}")
    place.crm.records["0031"]["LastName"] = "Other"
    await place.run()
    assert await place.desk.decide(TENANT, CONNECTOR, "field", [], "accept", "user:ann") == 1
    await place.run()
    assert (await place.drift())["0031"][1] == "accepted"
    place.crm.records["0031"]["LastName"] = "Another"
    await place.run()
    assert (await place.drift())["0031"][1] == "asked"


async def test_a_dry_run_repairs_and_keeps_nothing_but_its_report(queue: Queue) -> None:
    """The next run finds it all the same."""
    place = await world(queue, 2)
    place.crm.records["0031"]["LastName"] = "Other"
    assert "dry" in await place.run(dry=True)
    assert (await place.drift(), await queue.lines()) == ({}, {})
    assert await queue.pool.fetchval("select count(*) from sync.parity_range") == 0
    [(ended_, report)] = await place.runs()
    assert (ended_, report["dry"], report["objects"]["Contact"]["drift"]) == (True, True, {"field": 1})
    await place.run()
    assert len(await place.drift()) == 1


async def test_a_run_that_is_cut_off_goes_on_where_it_was(queue: Queue) -> None:
    """Nothing is read twice, nothing left out, and one report counts everything."""
    place = await world(queue, 2_300)
    place.crm.fails_at = 3
    place.crm.records["0031"]["LastName"] = place.crm.records["0032300"]["LastName"] = "Other"
    with pytest.raises(CallFailed):
        await place.run()
    assert [ended_ for ended_, _ in await place.runs()] == [False]
    assert await queue.pool.fetchval("select sum(crm_count) from sync.parity_range") == 2_000
    await place.run()
    [(ended_, report)] = await place.runs()
    found = report["objects"]["Contact"]
    assert (ended_, found["records"], found["drift"], sorted(await place.drift())) == (
        True, 2_300, {"field": 2}, ["0031", "0032300"],
    )  # fmt: skip


async def test_a_calm_account_costs_one_call_and_a_change_of_ours_is_read(queue: Queue) -> None:
    """Counts and stamps prove what nobody has changed; what we hold otherwise than then is read again."""
    place = await world(queue, 5)
    await place.run()
    before = place.crm.calls
    await place.run()
    assert place.crm.calls == before + 1
    await queue.pool.execute(
        """update sync.delivery set known = '{"Email": "b@x.io"}' where entity_id = $1""", key(3)
    )
    sweeps = place.crm.sweeps
    await place.run()
    assert place.crm.sweeps > sweeps
