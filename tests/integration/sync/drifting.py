"""Two CRMs that were brought to agree with Headwater, drift planted behind its back, and what became of each drift.

HubSpot is read and written, Salesforce is only written. Whoever plants keeps what was planted, so that what was found
and what was repaired can be compared with it one by one.
"""

from __future__ import annotations

import json
import random
import time
import uuid
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
from tests.contract.sandbox.process import SandboxProcess
from tests.integration.sync.whole import TENANT, Doors, doors, event, looking, settled, syncing, until

from headwater.connectors.base.polling import YOUNG_S
from headwater.event.v1 import event_pb2
from headwater.kernel.rpc import open_channel
from headwater.sync.v1 import reconciliation_pb2, reconciliation_pb2_grpc, schedules_pb2, schedules_pb2_grpc

ACTOR: Final = event_pb2.Actor(type=event_pb2.ACTOR_TYPE_USER, id="operator-1")
VENDORS: Final = ("hubspot", "salesforce")
OBJECTS: Final = {"hubspot": "contacts", "salesforce": "Contact"}
LAST_NAME: Final = {"hubspot": "lastname", "salesforce": "LastName"}
PHONE: Final = {"hubspot": "phone", "salesforce": "Phone"}
KEYS: Final = {"hubspot": "headwater_id", "salesforce": "Headwater_Id__c"}
BATCH: Final = {"hubspot": 100, "salesforce": 200}
POLICY: Final = """\
format: headwater/v1
version: "1"
systems:
  erp: {layer: record, owner: sales ops, backup: rev ops, runbook: docs/erp, inbound: {
    contact: {fields: {email: email, first_name: first_name, last_name: last_name, phone: phone}}}}
  hub: {layer: record, owner: sales ops, backup: rev ops, runbook: docs/crm, clock_skew_s: 600, echo_skew_s: 0, inbound: {
    contact: {fields: {email: email, firstname: first_name, lastname: last_name, phone: phone}}}}
  sf: {layer: record, owner: sales ops, backup: rev ops, runbook: docs/crm}
objects:
  contact: {fields: {
    email: {type: email, owners: [erp, hub], rule: source_priority},
    first_name: {type: text, owners: [erp, hub], rule: source_priority},
    last_name: {type: text, owners: [hub, erp], rule: source_priority},
    phone: {type: phone, owners: [erp, hub], rule: source_priority}}}
connectors:
  hubspot:
    vendor: hubspot
    system: hub
    base_url: URL/hubspot/acme
    credentials: env:HEADWATER_SECRET_HUBSPOT
    owner: sales ops
    backup: rev ops
    runbook: docs/crm
    limits: {window: {calls: CALLS, window_s: 1}, batch_records: 100, concurrency: 4}
    poll: {every_s: 86400, overlap_s: 5}
    objects:
      contact: [{target: contacts, external_id: headwater_id, direction: two_way, conflict: policy, fields: {
        email: {field: email}, firstname: {field: first_name}, lastname: {field: last_name}, phone: {field: phone}}}]
  salesforce:
    vendor: salesforce
    system: sf
    base_url: URL/salesforce/acme
    credentials: env:HEADWATER_SECRET_HUBSPOT
    owner: sales ops
    backup: rev ops
    runbook: docs/crm
    limits: {window: {calls: CALLS, window_s: 1}, batch_records: 200, concurrency: 4, daily_calls: 100000}
    objects:
      contact: [{target: Contact, external_id: Headwater_Id__c, fields: {
        Email: {field: email}, FirstName: {field: first_name}, LastName: {field: last_name}, Phone: {field: phone}}}]
reconcile:
  critical: {contact: {}}
  daily_s: 31536000
  share: SHARE
  full_days: FULL
  sample_records: 0
  lag_s: 0
  missing_share_max: 0.2
  repairs: {missing: recreate}
"""


@dataclass(slots=True)
class Drifting:
    """A tenant with two accounts, run by real services."""

    world: Doors
    sandbox: SandboxProcess
    connection: Any
    schedules: schedules_pb2_grpc.ScheduleServiceAsyncStub
    office: reconciliation_pb2_grpc.ReconciliationServiceAsyncStub
    chance: random.Random

    async def begin(
        self,
        people: int,
        *,
        full_days: float = 7.0,
        share: float = 1.0,
        calls: int = 100,
        policy: str = POLICY,
    ) -> None:
        """Put *policy* in force, deliver *people* to both CRMs; nobody polls or compares any more unless told to."""
        text = policy
        words = {"URL": self.sandbox.url, "FULL": str(full_days), "SHARE": str(share), "CALLS": str(calls)}
        for word, value in words.items():
            text = text.replace(word, value)
        for vendor in VENDORS:
            self._admin(vendor, "reset", {"seed": False}, "POST")
            self._admin(vendor, "options", {"calls_max": 100_000, "search_calls_max": 1_000})
        await self.world.record([event("headwater", "policy", TENANT, document=text)])
        compared = [f"reconcile/{job}/{vendor}" for job in ("daily", "heal", "monthly") for vendor in VENDORS]
        for name in ("poll/hubspot/contacts", *compared, f"reconcile/weekly/{min(VENDORS)}"):
            await self.known(name)
            pause = schedules_pb2.PauseScheduleRequest(tenant_id=TENANT, name=name, actor=ACTOR)
            await self.schedules.PauseSchedule(pause, timeout=10)
        for start in range(0, people, 5_000):
            numbers = range(start + 1, min(people, start + 5_000) + 1)
            await self.world.record([_person(number) for number in numbers])

        async def delivered() -> bool:
            done = await self.connection.fetchval(
                "select count(*) from sync.delivery where state = 2 and crm_id <> ''"
            )
            return bool(done == people * len(VENDORS)) and await settled(self.connection)

        await until(delivered, 60 + people / 50)
        written_s = time.monotonic()

        async def grown_up() -> bool:
            return (
                time.monotonic() > written_s + YOUNG_S + 0.5
            )  # the vendor's clock is this one, in whole seconds

        await until(grown_up, 30)

    async def known(self, name: str) -> schedules_pb2.Schedule:
        """Return a job once it is known."""
        found: list[schedules_pb2.Schedule] = []

        async def listed() -> bool:
            request = schedules_pb2.ListSchedulesRequest(tenant_id=TENANT)
            answer = await self.schedules.ListSchedules(request, timeout=10)
            found[:] = [item for item in answer.schedules if item.name == name]
            return bool(found)

        await until(listed, 30)
        return found[0]

    async def run(self, name: str, timeout_s: float = 60.0, **order: Any) -> str:
        """Run a job once more, ordered as operators do; return what it told when it had ended well."""
        before = (await self.known(name)).run_count
        _, job, connector = name.split("/", 2)
        if job == "heal":
            now = schedules_pb2.RunScheduleRequest(tenant_id=TENANT, name=name, actor=ACTOR)
            await self.schedules.RunSchedule(now, timeout=10)
        else:
            ordered = reconciliation_pb2.RunReconciliationRequest(
                tenant_id=TENANT, connector=connector, job=job, actor=ACTOR, **order
            )
            await self.office.RunReconciliation(ordered, timeout=10)
        last: list[schedules_pb2.Schedule] = []

        async def ran() -> bool:
            last[:] = [await self.known(name)]
            found = last[0]
            ended = found.end_time.ToDatetime() >= found.begin_time.ToDatetime()
            return found.run_count > before and not found.asked and ended

        await until(ran, timeout_s)
        assert last[0].outcome == "ok", last[0].detail
        return last[0].detail

    async def daily(self, timeout_s: float = 60.0, **order: Any) -> dict[str, dict[str, Any]]:
        """Run the daily parity of both accounts, one after the other; return their reports."""
        for vendor in VENDORS:
            await self.run(f"reconcile/daily/{vendor}", timeout_s, **order)
        return {vendor: await self.report(vendor) for vendor in VENDORS}

    async def report(self, vendor: str) -> dict[str, Any]:
        """Return the report of the last run of an account."""
        report: dict[str, Any] = await self.connection.fetchval(
            "select report from sync.parity_run where connector = $1 order by begin_time desc limit 1", vendor
        )
        return report

    async def heal(self, timeout_s: float = 60.0) -> None:
        """Look after the drift until none is left that something can be done about."""

        async def ended() -> bool:
            left = await self.connection.fetchval(
                "select count(*) from sync.drift where state in ('open', 'repairing')"
            )
            if left:
                for vendor in VENDORS:
                    await self.run(f"reconcile/heal/{vendor}", timeout_s)
            return not left

        await until(ended, timeout_s)

    async def drift(self) -> dict[str, dict[str, tuple[str, str]]]:
        """Return the kept drift: account to CRM id to kind and state."""
        rows = await self.connection.fetch("select connector, crm_id, kind, state from sync.drift")
        found: dict[str, dict[str, tuple[str, str]]] = {vendor: {} for vendor in VENDORS}
        for row in rows:
            found[row["connector"]][row["crm_id"]] = (row["kind"], row["state"])
        return found

    def records(self, vendor: str) -> dict[str, dict[str, Any]]:
        """Return the live records of an account by CRM id."""
        url = self.sandbox.admin(vendor, TENANT, "records")
        answer = self.sandbox.client.get(url, params={"object": OBJECTS[vendor]}, timeout=120).json()
        return {one["id"]: one["fields"] for one in answer["records"][OBJECTS[vendor]] if not one["archived"]}

    def people(self, vendor: str, side: int) -> list[str]:
        """Return the records of every other entity, in a random order: so what is planted in one CRM leaves the
        other's part of the same person alone.
        """
        ids = [
            crm_id
            for crm_id, fields in sorted(self.records(vendor).items())
            if uuid.UUID(fields[KEYS[vendor]]).int % 2 == side
        ]
        self.chance.shuffle(ids)
        return ids

    def edit_silently(self, vendor: str, ids: Sequence[str], name: str, value: str = "") -> None:
        """Change a field of records without a stamp, a webhook or a call."""
        edits = [
            {"object": OBJECTS[vendor], "id": one, "fields": {name: _value(name, value, one)}} for one in ids
        ]
        self._admin(vendor, "edits", {"edits": edits}, "POST")

    def change(self, vendor: str, ids: Sequence[str], name: str, value: str) -> None:
        """Change a field of records as people and other programs do; nobody tells Headwater."""
        for start in range(0, len(ids), BATCH[vendor]):
            part = ids[start : start + BATCH[vendor]]
            if vendor == "hubspot":
                inputs = [{"id": one, "properties": {name: _value(name, value, one)}} for one in part]
                self._call(vendor, "POST", "/crm/v3/objects/contacts/batch/update", {"inputs": inputs})
            else:
                records = [
                    {"attributes": {"type": "Contact"}, "Id": one, name: _value(name, value, one)}
                    for one in part
                ]
                body = {"allOrNone": False, "records": records}
                self._call(vendor, "PATCH", "/services/data/v61.0/composite/sobjects", body)

    def delete(self, vendor: str, ids: Sequence[str]) -> None:
        """Delete records as people do."""
        for one in ids:
            place = (
                "/crm/v3/objects/contacts" if vendor == "hubspot" else "/services/data/v61.0/sobjects/Contact"
            )
            self._call(vendor, "DELETE", f"{place}/{one}")

    def create(self, count: int) -> list[str]:
        """Make people in HubSpot that nobody tells of, many with one stamp; return their ids."""
        made: list[str] = []
        for start in range(0, count, BATCH["hubspot"]):
            numbers = range(start, min(count, start + BATCH["hubspot"]))
            inputs = [
                {"properties": {"email": f"made{number}@example.org", "lastname": f"Made {number}"}}
                for number in numbers
            ]
            answer = self._call(
                "hubspot", "POST", "/crm/v3/objects/contacts/batch/create", {"inputs": inputs}
            )
            made.extend(str(item["id"]) for item in answer.json()["results"])
        return made

    def stamp_alike(self, ids: Sequence[str]) -> None:
        """Give records of HubSpot one and the same time of their last change."""
        stamp = {"lastmodifieddate": "2026-01-01T00:00:00.000Z"}
        edits = [{"object": "contacts", "id": one, "fields": stamp} for one in ids]
        self._admin("hubspot", "edits", {"edits": edits}, "POST")

    def cut_pages(self, vendor: str, count: int, share: float = 0.3) -> None:
        """Let some pages of lists and queries end early, without a word that more follow."""
        path = "GET .*/contacts$" if vendor == "hubspot" else "GET .*/query$"
        self.sandbox.faults(
            vendor, TENANT, {"kind": "truncated_page", "count": count, "share": share, "path": path}
        )

    def writes(self, vendor: str) -> int:
        """Return how many writes have reached an account."""
        last, total = 0, 0
        while True:
            url = self.sandbox.admin(vendor, TENANT, "arrivals")
            answer = self.sandbox.client.get(url, params={"after": last, "limit": 10_000}, timeout=60).json()
            if not answer["arrivals"]:
                return total
            total += len(answer["arrivals"])
            last = answer["after"]

    def written(self, vendor: str, since: int) -> list[dict[str, Any]]:
        """Return the writes that reached an account behind the first *since*."""
        return list(self._arrivals(vendor))[since:]

    def _arrivals(self, vendor: str) -> Iterator[dict[str, Any]]:
        last = 0
        url = self.sandbox.admin(vendor, TENANT, "arrivals")
        while True:
            answer = self.sandbox.client.get(url, params={"after": last, "limit": 10_000}, timeout=60).json()
            if not answer["arrivals"]:
                return
            yield from answer["arrivals"]
            last = answer["after"]

    def calls(self, vendor: str) -> int:
        """Return how many calls an account has admitted."""
        url = self.sandbox.admin(vendor, TENANT, "calls")
        report = self.sandbox.client.get(url, timeout=60).json()
        return int(report["admitted"])

    def _admin(self, vendor: str, what: str, body: Any, method: str = "PUT") -> None:
        url = self.sandbox.admin(vendor, TENANT, what)
        self.sandbox.client.request(method, url, json=body, timeout=120).raise_for_status()

    def _call(self, vendor: str, method: str, path: str, body: Any = None) -> httpx.Response:
        with self._session(vendor) as session:
            return session.request(method, path, json=body).raise_for_status()

    @contextmanager
    def _session(self, vendor: str) -> Iterator[httpx.Client]:
        with self.sandbox.session(vendor, TENANT) as session:
            session.timeout = httpx.Timeout(60)
            yield session


def _value(name: str, value: str, crm_id: str) -> str:
    """Return a value that differs from record to record; of phones one that is a phone."""
    if name.lower() != "phone":
        return f"{value} {crm_id}"
    return f"+4940{zlib.crc32(crm_id.encode()) % 10_000_000:08}"


def _person(number: int) -> event_pb2.Event:
    return event(
        "erp", "contact", str(number), number / 1000, email=f"p{number}@example.com", first_name=f"First {number}",
        last_name=f"Last {number}", phone=f"+4930{number:08}",
    )  # fmt: skip


@asynccontextmanager
async def drifting(url: str, sandbox: SandboxProcess) -> AsyncIterator[Drifting]:
    """Run everything on *url*."""
    async with (
        doors(url) as world,
        syncing(url, world.identity_address, ingest_address=world.ingest_address, lease_ttl_s=10) as port,
        looking(url) as connection,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = schedules_pb2_grpc.ScheduleServiceStub(channel)
        office = reconciliation_pb2_grpc.ReconciliationServiceStub(channel)
        yield Drifting(world, sandbox, connection, stub, office, random.Random(7))


def shown(report: dict[str, Any]) -> str:
    """Return a report for a failed assertion."""
    return json.dumps(report, indent=1)[:4_000]
