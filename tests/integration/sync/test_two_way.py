"""A CRM that is read and written: what a person changes there counts, what we wrote ourselves does not come back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from tests.contract.sandbox.process import SandboxProcess
from tests.integration.sync.whole import SECRET, TENANT, Doors, doors, event, looking, settled, syncing, until

from headwater.event.v1 import event_pb2
from headwater.kernel.rpc import open_channel
from headwater.sync.v1 import schedules_pb2, schedules_pb2_grpc

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(60)]

ACTOR: Final = event_pb2.Actor(type=event_pb2.ACTOR_TYPE_USER, id="operator-1")
VENDORS: Final = ("hubspot", "salesforce")
NAMES: Final = {
    "hubspot": ("contacts", "headwater_id", ("email", "firstname", "lastname", "phone")),
    "salesforce": ("Contact", "Headwater_Id__c", ("Email", "FirstName", "LastName", "Phone")),
}
SYSTEMS: Final = """\
format: headwater/v1
version: "1"
systems:
  erp: {layer: record, owner: sales ops, backup: rev ops, runbook: docs/erp, inbound: {
    contact: {fields: {email: email, first_name: first_name, last_name: last_name, phone: phone}}}}
  crm: {layer: record, owner: sales ops, backup: rev ops, runbook: docs/crm, clock_skew_s: 600, echo_skew_s: 0, inbound: {
    contact: {fields: {EMAIL: email, FIRST: first_name, LAST: last_name, PHONE: phone}}}}
objects:
  contact: {fields: {
    email: {type: email, owners: [erp, crm], rule: source_priority},
    first_name: {type: text, owners: [erp, crm], rule: most_recent},
    last_name: {type: text, owners: [crm, erp], rule: source_priority},
    phone: {type: phone, owners: [erp, crm], rule: source_priority}}}
connectors:
  crm:
    vendor: VENDOR
    system: crm
    base_url: URL/VENDOR/acme
    credentials: env:HEADWATER_SECRET_HUBSPOT
    owner: sales ops
    backup: rev ops
    runbook: docs/crm
    limits: {window: {calls: 100, window_s: 1}, batch_records: 100}
    poll: {every_s: 3600, overlap_s: 5}
    objects:
      contact: [{target: OBJECT, external_id: KEY, direction: two_way, conflict: policy, fields: {EMAIL: {field: email},
        FIRST: {field: first_name}, LAST: {field: last_name}, PHONE: {field: phone}}}]
"""


def policy_of(vendor: str, url: str) -> event_pb2.Event:
    """Return the event that puts the policy for *vendor* in force."""
    crm_object, key, names = NAMES[vendor]
    words = dict(zip(("EMAIL", "FIRST", "LAST", "PHONE"), names, strict=True))
    text = SYSTEMS
    for word, name in {**words, "VENDOR": vendor, "URL": url, "OBJECT": crm_object, "KEY": key}.items():
        text = text.replace(word, name)
    return event("headwater", "policy", TENANT, document=text)


@dataclass(slots=True)
class TwoWay:
    """A tenant with one two-way account."""

    vendor: str
    world: Doors
    sandbox: SandboxProcess
    connection: Any
    schedules: schedules_pb2_grpc.ScheduleServiceAsyncStub

    @property
    def names(self) -> tuple[str, ...]:
        """The CRM's names of email, first name, last name and phone."""
        return NAMES[self.vendor][2]

    @property
    def job(self) -> str:
        """Name of the poller."""
        return f"poll/crm/{NAMES[self.vendor][0]}"

    async def listed(self) -> dict[str, schedules_pb2.Schedule]:
        """Return the jobs by name."""
        request = schedules_pb2.ListSchedulesRequest(tenant_id=TENANT)
        answer = await self.schedules.ListSchedules(request, timeout=10)
        return {item.name: item for item in answer.schedules}

    async def poll(self) -> str:
        """Run the poller once more, wait until it has ended well and everything is settled; return what it did."""

        async def known() -> bool:
            return self.job in await self.listed()

        await until(known, 20)
        before = (await self.listed())[self.job].run_count
        order = schedules_pb2.RunScheduleRequest(tenant_id=TENANT, name=self.job, actor=ACTOR)
        await self.schedules.RunSchedule(order, timeout=10)

        async def ran() -> bool:
            job = (await self.listed())[self.job]
            return job.run_count > before and not job.asked

        await until(ran, 20)
        job = (await self.listed())[self.job]
        assert job.outcome == "ok", job.detail
        await self.settle()
        return job.detail

    async def settle(self) -> None:
        """Wait until nothing is under way."""
        await until(partial(settled, self.connection), 20)

    def in_crm(self) -> list[dict[str, Any]]:
        """Return the CRM's live records: id, and the mapped fields that have a value."""
        url = self.sandbox.admin(self.vendor, TENANT, "records")
        crm_object = NAMES[self.vendor][0]
        told = self.sandbox.client.get(url, params={"object": crm_object}).json()["records"][crm_object]
        return [
            {"id": item["id"], **{name: item["fields"].get(name) for name in self.names}}
            for item in told
            if not item["archived"]
        ]

    def writes(self) -> int:
        """Return how many writes the CRM has seen, of whatever effect."""
        return len(self.sandbox.arrivals(self.vendor, TENANT))

    def person_makes(self, **fields: str) -> str:
        """Let a person make a record in the CRM; return its id."""
        body = {"properties": fields} if self.vendor == "hubspot" else fields
        with self.sandbox.session(self.vendor, TENANT) as session:
            return str(session.post(self._path(), json=body).raise_for_status().json()["id"])

    def person_changes(self, crm_id: str, **fields: str) -> None:
        """Let a person change a record in the CRM."""
        body = {"properties": fields} if self.vendor == "hubspot" else fields
        with self.sandbox.session(self.vendor, TENANT) as session:
            session.patch(f"{self._path()}/{crm_id}", json=body).raise_for_status()

    def person_deletes(self, crm_id: str) -> None:
        """Let a person delete a record in the CRM."""
        with self.sandbox.session(self.vendor, TENANT) as session:
            session.delete(f"{self._path()}/{crm_id}").raise_for_status()

    async def loses(self, crm_id: str, external_id: str, time_s: float, **fields: str) -> None:
        """Have a person delete a record, us write it anew, and the CRM tell of the old one after that."""
        self.person_deletes(crm_id)
        await self.world.record([event("erp", "contact", external_id, time_s, **fields)])
        await self.settle()
        told = dict(zip(self.names, ("ada@old.example.com", "Ada", "Old", "+49 30 7"), strict=True))
        await self.world.record([event("crm", "contact", crm_id, time_s, **told)])
        await self.settle()

    def _path(self) -> str:
        crm_object = NAMES[self.vendor][0]
        if self.vendor == "hubspot":
            return f"/crm/v3/objects/{crm_object}"
        return f"/services/data/v61.0/sobjects/{crm_object}"

    async def entities(self) -> list[dict[str, Any]]:
        """Return the values of every active entity."""
        rows = await self.connection.fetch(
            "select fields from sync.entity where state = 'active' and version > 0 order by entity_id"
        )
        return [{name: item[0] for name, item in row["fields"].items()} for row in rows]

    async def rules(self) -> dict[str, int]:
        """Return how the CRM's events ended, by rule."""
        rows = await self.connection.fetch(
            "select done.rule, count(*) as events from sync.projection as done"
            " inner join ingest.event as log using (tenant_id, event_key)"
            " where log.source = 'crm' group by done.rule"
        )
        return {row["rule"]: row["events"] for row in rows}


@asynccontextmanager
async def two_way(vendor: str, url: str, sandbox: SandboxProcess) -> AsyncIterator[TwoWay]:
    """Run everything with one account of *vendor*."""
    sandbox.empty(vendor, TENANT)
    async with doors(url) as world, looking(url) as connection:
        await world.record([policy_of(vendor, sandbox.url)])
        async with (
            syncing(url, world.identity_address, ingest_address=world.ingest_address) as port,
            open_channel(f"127.0.0.1:{port}") as channel,
        ):
            stub = schedules_pb2_grpc.ScheduleServiceStub(channel)
            yield TwoWay(vendor, world, sandbox, connection, stub)


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxProcess]:
    """A sandbox, and the secret that opens its accounts."""
    secret = {**json.loads(SECRET), "refresh_token_expire_time": "2020-01-01T00:00:00Z"}
    monkeypatch.setenv("HEADWATER_SECRET_HUBSPOT", json.dumps(secret))
    process = SandboxProcess(tmp_path / "sandbox").start()
    try:
        yield process
    finally:
        process.client.close()
        process.stop()


ADA: Final[dict[str, Any]] = {
    "email": "ada.byron@one.example.com",
    "first_name": "Ada",
    "last_name": "Byron",
    "phone": "+49 30 1234567",
}


GRACE: Final[dict[str, Any]] = {
    "email": "grace.hopper@one.example.com",
    "first_name": "Grace",
    "last_name": "Hopper",
    "phone": "+1 202 5550100",
}


@pytest.mark.parametrize("vendor", VENDORS)
async def test_our_own_write_coming_back_changes_nothing(
    vendor: str, migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """It is recorded, ends as an echo, makes no member, and no call to the CRM beyond the poll's."""
    async with two_way(vendor, migrated_database_url, sandbox) as tenant:
        await tenant.world.record([event("erp", "contact", "c-1", **ADA)])
        await tenant.settle()
        writes = tenant.writes()
        await until(partial(_polled, tenant), 20)
        assert set(await tenant.rules()) == {"echo"}
        assert await tenant.connection.fetchval("select count(*) from sync.record where source = 'crm'") == 0
        assert tenant.writes() == writes
        assert len(await tenant.entities()) == 1


async def _polled(tenant: TwoWay) -> bool:
    """Poll until the CRM has told something: Salesforce's newest second waits until it is over."""
    await tenant.poll()
    return bool(await tenant.rules())


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_persons_change_counts_field_by_field_and_is_not_written_back(
    vendor: str, migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """In the record that we wrote; the fields left alone stay ours, and the CRM is not told its own value."""
    async with two_way(vendor, migrated_database_url, sandbox) as tenant:
        email, first, last, phone = tenant.names
        await tenant.world.record([event("erp", "contact", "c-1", **ADA)])
        await tenant.settle()
        [record] = tenant.in_crm()
        tenant.person_changes(record["id"], **{last: "Lovelace", phone: "(030) 1234567"})
        writes = tenant.writes()
        await until(partial(_polled, tenant), 20)
        [entity] = await tenant.entities()
        assert entity["last_name"] == "Lovelace"
        assert entity["phone"] == ADA["phone"]
        whole_seconds = vendor == "salesforce"  # whether it was changed after our write is not certain then
        assert tenant.writes() <= writes + whole_seconds
        assert tenant.in_crm()[0][last] == "Lovelace"
        [fields] = await tenant.connection.fetch("select fields from sync.record where source = 'crm'")
        assert set(fields["fields"]) == {"last_name"}
        assert {email, first} <= set(record)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_record_made_in_the_crm_is_one_entity_and_stays_one_record(
    vendor: str, migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """It is bound to its entity: what another source adds is written into it, no second record is made."""
    async with two_way(vendor, migrated_database_url, sandbox) as tenant:
        email, first, last, phone = tenant.names
        crm_id = tenant.person_makes(
            **{email: "grace.hopper@one.example.com", first: "Grace", last: "Hopper"}
        )
        await until(partial(_polled, tenant), 20)
        await tenant.world.record([event("erp", "contact", "c-2", **GRACE)])
        await tenant.settle()
        [record] = tenant.in_crm()
        assert (record["id"], record[phone]) == (crm_id, "+1 202 5550100")
        assert len(await tenant.entities()) == 1
        held = await tenant.connection.fetchval("select crm_id from sync.delivery where connector = 'crm'")
        assert held == crm_id


@pytest.mark.parametrize("vendor", VENDORS)
async def test_what_is_told_late_of_a_deleted_record_of_ours_does_not_count(
    vendor: str, migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """We have made it anew by then, so no delivery holds the old one; it ends by a rule and makes no member."""
    async with two_way(vendor, migrated_database_url, sandbox) as tenant:
        await tenant.world.record([event("erp", "contact", "c-1", **ADA)])
        await tenant.settle()
        [old] = tenant.in_crm()
        await tenant.loses(old["id"], "c-1", 60, **{**ADA, "phone": GRACE["phone"]})
        [new] = tenant.in_crm()
        assert (new["id"] != old["id"], new[tenant.names[3]]) == (True, GRACE["phone"])
        assert await tenant.rules() == {"gone_record": 1}
        assert await tenant.connection.fetchval("select count(*) from sync.record where source = 'crm'") == 0
        [entity] = await tenant.entities()
        assert entity["email"] == ADA["email"]


async def test_jobs_are_listed_paused_and_their_findings_told(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """Pollers, calendar and maintenance with their last run; an expired token is warned of; a paused job runs when ordered."""
    async with two_way("hubspot", migrated_database_url, sandbox) as tenant:
        stub = tenant.schedules

        async def all_ran() -> bool:
            jobs = await tenant.listed()
            for name in jobs.keys() - {item.name for item in jobs.values() if item.outcome}:
                order = schedules_pb2.RunScheduleRequest(tenant_id=TENANT, name=name, actor=ACTOR)
                await stub.RunSchedule(order, timeout=10)
            return len(jobs) == 10 and all(item.outcome == "ok" for item in jobs.values())

        await until(all_ran, 30)
        request = schedules_pb2.ListSchedulesRequest(tenant_id=TENANT)
        [expiry] = (await stub.ListSchedules(request, timeout=10)).expiries
        assert (expiry.connector, expiry.subject, expiry.warned, expiry.warned_days) == (
            "crm",
            "refresh_token",
            True,
            0,
        )
        pause = schedules_pb2.PauseScheduleRequest(tenant_id=TENANT, name=tenant.job, actor=ACTOR)
        assert (await stub.PauseSchedule(pause, timeout=10)).schedule.paused
        assert "1 refused" not in await tenant.poll()
        assert (await tenant.listed())[tenant.job].paused
        actions = await tenant.connection.fetch("select action from sync.audit where action like 'schedule%'")
        assert {row["action"] for row in actions} == {"schedule_paused", "schedule_run_ordered"}


async def test_a_cursor_stands_still_while_ingest_is_away_and_nothing_is_lost(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """A record polled when ingest cannot record it is polled again by the next process."""
    sandbox.empty("hubspot", TENANT)
    url = migrated_database_url
    async with doors(url) as world, looking(url) as connection:
        await world.record([policy_of("hubspot", sandbox.url)])
        async with syncing(url, world.identity_address, ingest_address="127.0.0.1:1"):

            async def account_runs() -> bool:
                return bool(
                    await connection.fetchval(
                        "select count(*) from sync.schedule where kind = 'poll' and run_count > 0"
                    )
                )

            with sandbox.session("hubspot", TENANT) as session:
                body = {"properties": {"email": "grace.hopper@one.example.com", "lastname": "Hopper"}}
                session.post("/crm/v3/objects/contacts", json=body).raise_for_status()
            await _order(connection)
            await until(account_runs, 20)
            assert await connection.fetchval("select count(*) from sync.poll_cursor") == 0
        async with syncing(url, world.identity_address, ingest_address=world.ingest_address):

            async def told() -> bool:
                events = await connection.fetchval("select count(*) from ingest.event where source = 'crm'")
                cursors = await connection.fetchval("select count(*) from sync.poll_cursor")
                return bool(events == cursors == 1)

            await until(told, 30)


async def _order(connection: Any) -> None:
    async def known() -> bool:
        told = await connection.fetchval(
            "with asked as (update sync.schedule set asked = true where kind = 'poll' returning name)"
            " select count(*) from asked"
        )
        await connection.execute("select pg_notify('headwater_schedule', '')")
        return bool(told)

    await until(known, 20)
