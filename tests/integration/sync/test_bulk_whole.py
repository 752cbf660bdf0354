"""An import as bulk jobs, from the event to Salesforce's results: whole, refused in part, and through crashes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from tests.contract.sandbox.process import SandboxProcess
from tests.integration.sync.whole import TENANT, Doors, doors, event, looking, settled, syncing, until

from headwater.event.v1 import event_pb2

pytestmark = pytest.mark.anyio

ACCOUNT = "org"
COUNT = 2_300
SECRET = json.dumps(
    {
        "client_id": "headwater",
        "client_secret": "sandbox-secret",
        "refresh_token": f"sandbox-refresh-{ACCOUNT}",
    }
)
POLICY = """\
format: headwater/v1
version: "1"
systems:
  erp: {layer: record, owner: sales ops, backup: rev ops, runbook: docs/erp, inbound: {
    contact: {fields: {email: email, last_name: last_name}}}}
  files: {layer: record, lane: backfill, owner: sales ops, backup: rev ops, runbook: docs/files, inbound: {
    contact: {fields: {email: email, last_name: last_name}}}}
objects:
  contact: {fields: {
    email: {type: text, owners: [erp, files], rule: most_recent},
    last_name: {type: text, owners: [erp, files], rule: most_recent}}}
connectors:
  org:
    vendor: salesforce
    system: erp
    base_url: ${url}/salesforce/org
    credentials: env:HEADWATER_SECRET_ORG
    owner: sales ops
    backup: rev ops
    runbook: docs/salesforce
    limits: {window: {calls: 500, window_s: 1}, batch_records: 200, concurrency: 3}
    objects:
      contact: [{target: Contact, external_id: Headwater_Id__c, fields: {Email: {field: email}, LastName: {field: last_name}}}]
"""


@dataclass(frozen=True, slots=True)
class Office:
    """Everything but sync, with an import recorded."""

    url: str
    inner: Doors
    sandbox: SandboxProcess
    look: Any

    def arrived(self) -> list[dict[str, Any]]:
        """Return the record writes that reached the org."""
        place = self.sandbox.admin("salesforce", ACCOUNT, "arrivals")
        found: list[dict[str, Any]] = self.sandbox.client.get(place, params={"limit": 10_000}).json()[
            "arrivals"
        ]
        return found

    def calls(self) -> int:
        """Return how many calls the org has answered."""
        told: int = self.sandbox.client.get(self.sandbox.admin("salesforce", ACCOUNT, "calls")).json()[
            "calls"
        ]
        return told

    async def done(self) -> bool:
        """Return whether every event is projected and every delivery has ended."""
        return await settled(self.look) and not await self.look.fetchval("select count(*) from sync.bulk_job")

    async def started(self) -> bool:
        """Return whether a job was started."""
        return bool(await self.look.fetchval("select count(*) from sync.bulk_job where phase = 2"))


def people(count: int, *, bad: Sequence[int] = ()) -> list[event_pb2.Event]:
    """Return an import; people in *bad* have an address that Salesforce refuses."""
    return [
        event(
            "files", "contact", f"p{n}", float(n),
            email="not-an-address" + str(n) if n in bad else f"p{n}@example.org", last_name=f"Person {n}",
        )
        for n in range(count)
    ]  # fmt: skip


@asynccontextmanager
async def office(
    url: str, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch, events: Sequence[event_pb2.Event]
) -> AsyncIterator[Office]:
    """Run all but sync, with *events* recorded."""
    monkeypatch.setenv("HEADWATER_SECRET_ORG", SECRET)
    sandbox.token("salesforce", ACCOUNT)
    sandbox.empty("salesforce", ACCOUNT)
    async with doors(url) as inner, looking(url) as look:
        document = event("headwater", "policy", TENANT, document=POLICY.replace("${url}", sandbox.url))
        await inner.record([document])
        await inner.record(events)
        yield Office(url, inner, sandbox, look)


async def test_an_import_goes_in_jobs_and_each_row_settles_by_itself(
    migrated_database_url: str, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of creations cost a few dozen calls; what Salesforce refuses is dead, with its words, the rest delivered."""
    bad = (7, 1_500)
    async with office(migrated_database_url, sandbox, monkeypatch, people(COUNT, bad=bad)) as inside:
        async with syncing(migrated_database_url, inside.inner.identity_address):
            await until(inside.done)
        ended = await inside.look.fetch(
            "select state, count(*) as n from sync.delivery group by state order by state"
        )
        assert [tuple(row) for row in ended] == [(2, COUNT - len(bad)), (5, len(bad))]
        effects = Counter((line["operation"], line["effect"]) for line in inside.arrived())
        assert effects[("bulk_upsert", "created")] == COUNT - len(bad)
        assert inside.calls() < 40
        why = await inside.look.fetchval("select last_error from sync.delivery where state = 5 limit 1")
        assert "invalid email address" in why
        assert not await inside.look.fetchval("select count(*) from sync.due")
        assert not await inside.look.fetchval("select count(*) from sync.inflight where entity_ids <> '{}'")


@pytest.mark.parametrize("graceful", [True, False], ids=["graceful", "crashed"])
async def test_a_job_outlives_the_process_that_began_it(
    migrated_database_url: str, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch, *, graceful: bool
) -> None:
    """The successor picks the job up by its id, and no record is written twice."""
    async with office(migrated_database_url, sandbox, monkeypatch, people(COUNT)) as inside:
        with anyio.CancelScope() as crash:
            async with syncing(migrated_database_url, inside.inner.identity_address):
                await until(inside.started)
                if not graceful:
                    crash.cancel()
                    await anyio.lowlevel.checkpoint()
        assert await inside.look.fetchval("select count(*) from sync.bulk_member") >= 2_000
        async with syncing(migrated_database_url, inside.inner.identity_address):
            await until(inside.done)
        assert await inside.look.fetchval("select count(*) from sync.delivery where state = 2") == COUNT
        effects = Counter(line["external_id"] for line in inside.arrived())
        assert len(effects) == COUNT
        assert set(effects.values()) == {1}
        assert inside.calls() < 60
        tries = await inside.look.fetch("select outcome, count(*) as n from sync.try group by outcome")
        assert [tuple(row) for row in tries] == [("created", COUNT)]  # told by the job, none looked up
        assert not await inside.look.fetchval("select count(*) from sync.inflight where entity_ids <> '{}'")


async def test_lost_answers_of_a_job_s_calls_cost_nothing_twice(
    migrated_database_url: str, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start is looked into, results are asked for again: every record is made once, and by the job."""
    async with office(migrated_database_url, sandbox, monkeypatch, people(COUNT)) as inside:
        jobs = "/services/data/v61.0/jobs/ingest"
        sandbox.faults(
            "salesforce",
            ACCOUNT,
            {"kind": "commit_then_reset", "count": 1, "path": f"^PATCH {jobs}"},
            {
                "kind": "error_5xx",
                "status": 503,
                "count": 2,
                "path": f"^GET {jobs}/[^/]+/(successful|failed)Results",
            },
        )
        async with syncing(migrated_database_url, inside.inner.identity_address):
            await until(inside.done)
        effects = Counter((line["operation"], line["effect"]) for line in inside.arrived())
        assert effects == {("bulk_upsert", "created"): COUNT}
        assert await inside.look.fetchval("select count(*) from sync.delivery where state = 2") == COUNT


async def test_ordinary_calls_do_it_while_the_vendor_takes_no_jobs(
    migrated_database_url: str, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the day's batches used up the backlog goes as it would without jobs."""
    async with office(migrated_database_url, sandbox, monkeypatch, people(COUNT)) as inside:
        sandbox.options("salesforce", ACCOUNT, bulk_batches_daily_max=0)
        async with syncing(migrated_database_url, inside.inner.identity_address):
            await until(inside.done)
        effects = Counter((line["operation"], line["effect"]) for line in inside.arrived())
        assert effects == {("collection_upsert", "created"): COUNT}
        assert not await inside.look.fetchval("select count(*) from sync.due")
