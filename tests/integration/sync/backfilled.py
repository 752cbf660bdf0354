"""A CRM that is only read, another one that is only written, and backfills of the first: what their tests share."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from tests.contract.sandbox.process import SandboxProcess
from tests.integration.sync.whole import TENANT, Doors, doors, event, looking, syncing, until

from headwater.event.v1 import event_pb2
from headwater.kernel.rpc import open_channel
from headwater.sync.v1 import backfills_pb2 as pb
from headwater.sync.v1 import backfills_pb2_grpc, schedules_pb2, schedules_pb2_grpc

ACTOR: Final = event_pb2.Actor(type=event_pb2.ACTOR_TYPE_USER, id="operator-1")
OBJECTS: Final = {"hubspot": "contacts", "salesforce": "Contact"}
NAMES: Final = {
    "hubspot": ("email", "firstname", "lastname"),
    "salesforce": ("Email", "FirstName", "LastName"),
}
OTHER: Final = {"hubspot": "salesforce", "salesforce": "hubspot"}
KEYS: Final = {"hubspot": "headwater_id", "salesforce": "Headwater_Id__c"}
POLICY: Final = """\
format: headwater/v1
version: "1"
systems:
  crm: {layer: record, owner: sales ops, backup: rev ops, runbook: docs/crm, clock_skew_s: 600, inbound: {
    contact: {fields: {EMAIL: email, FIRST: first_name, LAST: last_name}}}}
  desk: {layer: record, owner: sales ops, backup: rev ops, runbook: docs/desk}
objects:
  contact: {fields: {
    email: {type: email, owners: [crm], rule: most_recent},
    first_name: {type: text, owners: [crm], rule: most_recent},
    last_name: {type: text, owners: [crm], rule: most_recent}}}
connectors:
  source:
    vendor: VENDOR
    system: crm
    base_url: URL/VENDOR/acme
    credentials: env:HEADWATER_SECRET_HUBSPOT
    owner: sales ops
    backup: rev ops
    runbook: docs/crm
    limits: {window: {calls: CALLS, window_s: 1}, batch_records: 100}
    poll: {every_s: 86400, overlap_s: 5, page_records: PAGE}
    events: EVENTS
    objects:
      contact: [{target: OBJECT, external_id: KEY, direction: in, fields: {EMAIL: {field: email}}}]
  target:
    vendor: OTHER
    system: desk
    base_url: URL/OTHER/acme
    credentials: env:HEADWATER_SECRET_HUBSPOT
    owner: sales ops
    backup: rev ops
    runbook: docs/desk
    limits: {window: {calls: 100, window_s: 1}, batch_records: 100}
    objects:
      contact: [{target: WRITTEN, external_id: MARK, fields: {TO_EMAIL: {field: email}, TO_LAST: {field: last_name}}}]
"""


def policy_of(
    vendor: str, url: str, *, calls: int = 100, page: int = 100, events: str = "{}"
) -> event_pb2.Event:
    """Return the event that puts the policy in force that reads *vendor* and writes the other one."""
    other = OTHER[vendor]
    email, first, last = NAMES[vendor]
    words = {
        "TO_EMAIL": NAMES[other][0], "TO_LAST": NAMES[other][2], "WRITTEN": OBJECTS[other], "MARK": KEYS[other],
        "EMAIL": email, "FIRST": first, "LAST": last, "VENDOR": vendor, "OTHER": other, "URL": url,
        "OBJECT": OBJECTS[vendor], "KEY": KEYS[vendor], "CALLS": str(calls), "PAGE": str(page),
        "EVENTS": events,
    }  # fmt: skip
    text = POLICY
    for word, name in words.items():
        text = text.replace(word, name)
    return event("headwater", "policy", TENANT, document=text)


def person(vendor: str, number: int, name: str = "") -> dict[str, str]:
    """Return a person's fields, as the CRM words them."""
    values = (f"p{number}@many.example.com", f"First{number}", name or f"Last{number}")
    return dict(zip(NAMES[vendor], values, strict=True))


@dataclass(slots=True)
class Tenant:
    """A tenant whose CRM can be backfilled."""

    vendor: str
    world: Doors
    sandbox: SandboxProcess
    connection: Any
    backfills: backfills_pb2_grpc.BackfillServiceAsyncStub
    schedules: schedules_pb2_grpc.ScheduleServiceAsyncStub
    address: str

    def make(self, numbers: Sequence[int]) -> list[str]:
        """Make people in the CRM, a hundred at a time, so that many share a moment; return their ids."""
        return make(self.sandbox, self.vendor, numbers)

    def change(self, crm_id: str, **fields: str) -> None:
        """Let a person change a record in the CRM."""
        body: Any = {"properties": fields} if self.vendor == "hubspot" else fields
        path = {
            "hubspot": "/crm/v3/objects/contacts",
            "salesforce": "/services/data/v61.0/sobjects/Contact",
        }
        with self.sandbox.session(self.vendor, TENANT) as session:
            session.patch(f"{path[self.vendor]}/{crm_id}", json=body).raise_for_status()

    async def begin(self, **wanted: Any) -> str:
        """Begin a backfill of the account; return its id."""
        for name in ("since_time", "until_time"):
            if name in wanted:
                stamp = Timestamp()
                stamp.FromDatetime(wanted[name])
                wanted[name] = stamp
        request = pb.StartBackfillRequest(
            tenant_id=TENANT, backfill_id=str(uuid.uuid4()), connector="source", share=1.0, actor=ACTOR
        )
        request.MergeFrom(pb.StartBackfillRequest(**wanted))
        return (await self.backfills.StartBackfill(request, timeout=10)).backfill.backfill_id

    async def get(self, backfill_id: str) -> pb.Backfill:
        """Return a backfill as it stands."""
        request = pb.GetBackfillRequest(tenant_id=TENANT, backfill_id=backfill_id)
        return (await self.backfills.GetBackfill(request, timeout=10)).backfill

    async def ended(self, backfill_id: str, timeout_s: float = 30.0) -> pb.Backfill:
        """Wait until a backfill has ended; return it."""

        async def over() -> bool:
            return (await self.get(backfill_id)).state > pb.BACKFILL_STATE_PAUSED

        await until(over, timeout_s)
        return await self.get(backfill_id)

    async def poll(self) -> None:
        """Run the poller of the account once more."""
        order = schedules_pb2.RunScheduleRequest(tenant_id=TENANT, name=self._poller_name, actor=ACTOR)
        await self.schedules.RunSchedule(order, timeout=10)

        async def ran() -> bool:
            return not (await self._poller()).asked

        await until(ran, 20)

    async def only_asked(self) -> None:
        """Have the poller run by order only: its first run, within half a minute, tells what was made before it."""

        async def known() -> bool:
            return bool((await self._poller()).name)

        await until(known, 20)
        order = schedules_pb2.PauseScheduleRequest(tenant_id=TENANT, name=self._poller_name, actor=ACTOR)
        await self.schedules.PauseSchedule(order, timeout=10)
        await self.poll()

    async def _poller(self) -> schedules_pb2.Schedule:
        request = schedules_pb2.ListSchedulesRequest(tenant_id=TENANT)
        found = (await self.schedules.ListSchedules(request, timeout=10)).schedules
        return next((item for item in found if item.name == self._poller_name), schedules_pb2.Schedule())

    @property
    def _poller_name(self) -> str:
        return f"poll/source/{OBJECTS[self.vendor]}"

    async def held(self) -> dict[str, str]:
        """Return last name by CRM id of every record that the projection has of the CRM."""
        rows = await self.connection.fetch("select external_id, fields from sync.record where source = 'crm'")
        return {row["external_id"]: row["fields"]["last_name"][0] for row in rows}

    def in_crm(self) -> dict[str, str]:
        """Return last name by id of every record of the CRM."""
        return in_crm(self.sandbox, self.vendor)


def make(sandbox: SandboxProcess, vendor: str, numbers: Sequence[int]) -> list[str]:
    """Make people in a CRM, a hundred at a time; return their ids."""
    ids: list[str] = []
    with sandbox.session(vendor, TENANT) as session:
        for start in range(0, len(numbers), 100):
            people = [person(vendor, number) for number in numbers[start : start + 100]]
            if vendor == "hubspot":
                body: Any = {"inputs": [{"properties": item} for item in people]}
                answer = session.post("/crm/v3/objects/contacts/batch/create", json=body).raise_for_status()
                ids += [str(item["id"]) for item in answer.json()["results"]]
            else:
                body = {"records": [{"attributes": {"type": "Contact"}, **item} for item in people]}
                answer = session.post("/services/data/v61.0/composite/sobjects", json=body).raise_for_status()
                ids += [str(item["id"]) for item in answer.json()]
    return ids


def in_crm(sandbox: SandboxProcess, vendor: str) -> dict[str, str]:
    """Return last name by id of every record of a CRM that is not deleted."""
    url, crm_object = sandbox.admin(vendor, TENANT, "records"), OBJECTS[vendor]
    told = sandbox.client.get(url, params={"object": crm_object}).json()["records"][crm_object]
    return {item["id"]: item["fields"][NAMES[vendor][2]] for item in told if not item["archived"]}


@asynccontextmanager
async def tenant(
    vendor: str, url: str, sandbox: SandboxProcess, *, calls: int = 100, page: int = 100, events: str = "{}"
) -> AsyncIterator[Tenant]:
    """Run everything with one account that is read."""
    sandbox.empty(vendor, TENANT)
    sandbox.empty(OTHER[vendor], TENANT)
    async with doors(url) as world, looking(url) as connection:
        await world.record([policy_of(vendor, sandbox.url, calls=calls, page=page, events=events)])
        async with serving(vendor, url, world, sandbox, connection) as opened:
            yield opened


@asynccontextmanager
async def serving(
    vendor: str, url: str, world: Doors, sandbox: SandboxProcess, connection: Any
) -> AsyncIterator[Tenant]:
    """Run sync for a tenant whose other services run."""
    async with (
        syncing(url, world.identity_address, ingest_address=world.ingest_address) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield Tenant(
            vendor,
            world,
            sandbox,
            connection,
            backfills_pb2_grpc.BackfillServiceStub(channel),
            schedules_pb2_grpc.ScheduleServiceStub(channel),
            f"127.0.0.1:{port}",
        )
