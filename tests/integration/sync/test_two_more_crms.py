"""Pipedrive and Dynamics behind the whole engine: written and read side by side, through throttling, lost answers, dead tokens."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from tests.contract.sandbox.process import SandboxProcess
from tests.integration.sync.backfilled import ACTOR
from tests.integration.sync.whole import SECRET, TENANT, doors, event, looking, settled, syncing, until

from headwater.kernel.rpc import open_channel
from headwater.sync.v1 import schedules_pb2 as pb
from headwater.sync.v1 import schedules_pb2_grpc

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(90)]

PEOPLE: Final = 24
POLLS: Final = {"pipedrive": "poll/pipe/persons", "dynamics": "poll/dyn/contact"}
OBJECTS: Final = {"pipedrive": "persons", "dynamics": "contact"}
WRITES: Final = {"pipedrive": r"(POST|PATCH) /api/v2/persons", "dynamics": r"POST /api/data/v9\.2/\$batch"}
READS: Final = {
    "pipedrive": r"GET /api/v2/persons|GET /v1/recents",
    "dynamics": r"GET /api/data/v9\.2/contacts",
}
POLICY: Final = """\
format: headwater/v1
version: "1"
systems:
  erp: {layer: record, owner: sales ops, backup: rev ops, runbook: docs/erp, inbound: {
    contact: {fields: {email: email, last_name: last_name, phone: phone}}}}
  pipe: {layer: record, owner: sales ops, backup: rev ops, runbook: docs/pipe, clock_skew_s: 600, echo_skew_s: 0, inbound: {
    contact: {fields: {email: email, name: last_name, phone: phone}}}}
  dyn: {layer: record, owner: sales ops, backup: rev ops, runbook: docs/dyn, clock_skew_s: 600, echo_skew_s: 0, inbound: {
    contact: {fields: {emailaddress1: email, lastname: last_name, telephone1: phone}}}}
objects:
  contact: {fields: {
    email: {type: email, owners: [erp, pipe, dyn], rule: source_priority},
    last_name: {type: text, owners: [erp, pipe, dyn], rule: source_priority},
    phone: {type: phone, owners: [pipe, dyn, erp], rule: most_recent}}}
connectors:
  pipe:
    vendor: pipedrive
    system: pipe
    base_url: URL/pipedrive/acme
    credentials: env:HEADWATER_SECRET_HUBSPOT
    owner: sales ops
    backup: rev ops
    runbook: docs/pipe
    limits: {window: {calls: 60, window_s: 2}, batch_records: 20}
    retry: {fast_s: [0.2, 0.2, 0.2], in_doubt_s: 0.2}
    poll: {every_s: 3600, overlap_s: 5}
    objects:
      contact: [{target: persons, external_id: headwater_id, direction: two_way, conflict: policy,
        fields: {email: {field: email}, name: {field: last_name}, phone: {field: phone}}}]
  dyn:
    vendor: dynamics
    system: dyn
    base_url: URL/dynamics/acme
    credentials: env:HEADWATER_SECRET_DYNAMICS
    owner: sales ops
    backup: rev ops
    runbook: docs/dyn
    limits: {window: {calls: 100, window_s: 1}, batch_records: 20}
    retry: {fast_s: [0.2, 0.2, 0.2], in_doubt_s: 0.2}
    poll: {every_s: 3600, overlap_s: 5}
    objects:
      contact: [{target: contact, external_id: hw_headwaterid, direction: two_way, conflict: policy,
        fields: {emailaddress1: {field: email}, lastname: {field: last_name}, telephone1: {field: phone}}}]
"""


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxProcess]:
    """A sandbox with two empty accounts, and the secrets that open them."""
    with SandboxProcess(tmp_path / "sandbox") as process:
        secret = {
            **json.loads(SECRET),
            "tenant_id": "sandbox",
            "login_url": f"{process.url}/dynamics/{TENANT}",
        }
        monkeypatch.setenv("HEADWATER_SECRET_HUBSPOT", SECRET)
        monkeypatch.setenv("HEADWATER_SECRET_DYNAMICS", json.dumps(secret))
        for vendor in OBJECTS:
            process.token(vendor, TENANT)
            process.empty(vendor, TENANT)
        yield process


def person(number: int) -> dict[str, Any]:
    """Return a person as the ERP words it."""
    name, digits = f"Person{number}", f"+49301234{number:03}"
    return {"email": f"p{number}@two.example.com", "last_name": name, "phone": digits}


def trouble(sandbox: SandboxProcess, paths: dict[str, str], *kinds: str) -> None:
    """Let each CRM commit one fault of every kind."""
    for vendor, path in paths.items():
        faults = [{"kind": kind, "count": 1, "path": path} for kind in kinds]
        waits = [{**fault, "retry_after_s": 1} if fault["kind"] == "storm_429" else fault for fault in faults]
        sandbox.faults(vendor, TENANT, *waits)


def fired(sandbox: SandboxProcess) -> Counter[str]:
    """Return how many faults each CRM has committed."""
    told = {vendor: sandbox.client.get(sandbox.admin(vendor, TENANT, "faults")).json() for vendor in OBJECTS}
    return Counter({vendor: sum(one["fired"] for one in answer["faults"]) for vendor, answer in told.items()})


def held(sandbox: SandboxProcess, vendor: str) -> dict[str, tuple[str, str, str]]:
    """Return id, name and phone by email of a CRM's live records; two of one email are a duplicate."""
    name = OBJECTS[vendor]
    answer = sandbox.client.get(sandbox.admin(vendor, TENANT, "records"), params={"object": name}).json()
    rows = [shown(vendor, one) for one in answer["records"][name] if not one["archived"]]
    assert len({email for email, *_ in rows}) == len(rows)
    return {email: (crm_id, last, phone) for email, crm_id, last, phone in rows}


def shown(vendor: str, record: dict[str, Any]) -> tuple[str, str, str, str]:
    """Return email, id, name and phone of a record."""
    fields = record["fields"]
    if vendor == "dynamics":
        return fields["emailaddress1"], record["id"], fields["lastname"], fields["telephone1"]
    (email,), (phone,) = fields["emails"], fields["phones"]
    return email["value"], str(record["id"]), fields["name"], phone["value"]


def values(sandbox: SandboxProcess, vendor: str) -> dict[str, tuple[str, str]]:
    """Return name and phone by email of a CRM's live records."""
    return {email: (last, phone) for email, (_, last, phone) in held(sandbox, vendor).items()}


async def poll(schedules: schedules_pb2_grpc.ScheduleServiceAsyncStub, name: str) -> pb.Schedule:
    """Run a poller until it has ended well."""

    async def job() -> pb.Schedule | None:
        found = (
            await schedules.ListSchedules(pb.ListSchedulesRequest(tenant_id=TENANT), timeout=10)
        ).schedules
        return next((item for item in found if item.name == name), None)

    async def known() -> bool:
        return await job() is not None

    await until(known, 20)
    before = await job()
    assert before is not None
    order = pb.RunScheduleRequest(tenant_id=TENANT, name=name, actor=ACTOR)
    await schedules.RunSchedule(order, timeout=10)

    async def ran() -> bool:
        found = await job()
        return (
            found is not None
            and found.run_count > before.run_count
            and not found.asked
            and found.outcome == "ok"
        )

    await until(ran, 40)
    after = await job()
    assert after is not None
    return after


async def test_both_hold_the_same_after_faults_on_every_way_and_nobody_twice(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """Written through 429, a lost answer and a dead token; then a person changes one record in each CRM, and both are read."""
    url = migrated_database_url
    async with doors(url) as world, looking(url) as connection:
        await world.record(
            [event("headwater", "policy", TENANT, document=POLICY.replace("URL", sandbox.url))]
        )
        trouble(sandbox, WRITES, "storm_429", "commit_then_reset", "token_expire_now")
        await world.record([event("erp", "contact", f"e{n}", **person(n)) for n in range(PEOPLE)])
        async with (
            syncing(url, world.identity_address, ingest_address=world.ingest_address) as port,
            open_channel(f"127.0.0.1:{port}") as channel,
        ):
            schedules = schedules_pb2_grpc.ScheduleServiceStub(channel)
            await until(partial(settled, connection), 60)
            expected = {
                person(n)["email"]: (person(n)["last_name"], person(n)["phone"]) for n in range(PEOPLE)
            }
            assert {vendor: values(sandbox, vendor) for vendor in OBJECTS} == dict.fromkeys(OBJECTS, expected)
            assert fired(sandbox) == Counter(dict.fromkeys(OBJECTS, 3))

            changed = {person(0)["email"]: "+4930999000", person(1)["email"]: "+4930999111"}
            ids = {vendor: held(sandbox, vendor) for vendor in OBJECTS}
            with sandbox.session("pipedrive", TENANT) as session:
                phones = [{"value": changed[person(0)["email"]], "primary": True, "label": "work"}]
                path = f"/api/v2/persons/{ids['pipedrive'][person(0)['email']][0]}"
                session.patch(path, json={"phones": phones}).raise_for_status()
            with sandbox.session("dynamics", TENANT) as session:
                path = f"/api/data/v9.2/contacts({ids['dynamics'][person(1)['email']][0]})"
                session.patch(path, json={"telephone1": changed[person(1)["email"]]}).raise_for_status()
            trouble(sandbox, READS, "storm_429", "token_expire_now")

            for email, phone in changed.items():
                expected[email] = (expected[email][0], phone)

            async def both() -> bool:
                for name in POLLS.values():
                    await poll(schedules, name)
                await until(partial(settled, connection), 30)
                return all(values(sandbox, vendor) == expected for vendor in OBJECTS)

            await until(both, 60)
            assert fired(sandbox) == Counter(dict.fromkeys(OBJECTS, 2))
            entities = await connection.fetchval(
                "select count(*) from sync.entity where state = 'active' and object = 'contact'"
            )
            assert entities == PEOPLE
