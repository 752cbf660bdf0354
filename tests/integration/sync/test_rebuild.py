"""Making the projection of a two-way tenant again from the log: exact, and without a word to the CRM."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import pytest
from tests.integration.sync.test_two_way import ADA, GRACE, TwoWay, policy_of, sandbox
from tests.integration.sync.whole import TENANT, Doors, doors, event, looking, settled, syncing, until

from headwater.kernel.rpc import open_channel
from headwater.sync.v1 import schedules_pb2_grpc

if TYPE_CHECKING:
    from tests.contract.sandbox.process import SandboxProcess

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(90)]
__all__ = ["sandbox"]

STATE: Final = {
    "records": "select tenant_id, object, source, external_id, entity_id, fields::text, deleted from sync.record",
    "entities": "select tenant_id, entity_id, object, state, merged_into, fields::text from sync.entity",
    "references": "select * from sync.entity_reference",
    "deliveries": "select tenant_id, connector, entity_id, object, state, crm_object, crm_id, known::text, failure_count,"
    " try_count, event_key, dirty_time, mark_time, desired_version = delivered_version as whole from sync.delivery",
    "due": "select tenant_id, connector, entity_id, lane, due_time from sync.due",
    "ends": "select tenant_id, event_key, rule, superseded, poisoned from sync.projection",
    "audit": "select audit_id, action, entity_id, changes::text from sync.audit where action <> 'rebuild_began'",
    "identity": "select tenant_id, record_id, entity_id, group_id, parts, keys, digest from identity.member",
    "evidence": "select tenant_id, record_id, statements from identity.evidence",
}
"""All that a rebuild must give again, byte for byte; versions count how often something was computed."""


async def state_of(connection: Any) -> dict[str, list[str]]:
    """Return every row of the state as text, sorted."""
    return {
        name: sorted(repr(tuple(row)) for row in await connection.fetch(sql)) for name, sql in STATE.items()
    }


@asynccontextmanager
async def tenant_of(url: str, world: Doors, box: SandboxProcess, connection: Any) -> AsyncIterator[TwoWay]:
    """Run sync for a tenant with one two-way account."""
    async with (
        syncing(url, world.identity_address, ingest_address=world.ingest_address) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = schedules_pb2_grpc.ScheduleServiceStub(channel)
        yield TwoWay("hubspot", world, box, connection, stub)


async def live(tenant: TwoWay) -> None:
    """Let echoes, a person's changes (also one that is overruled), a person's record and a deletion happen."""
    email, first, last, phone = tenant.names
    for number in range(1, 4):
        person = {**ADA, "email": f"ada{number}@one.example.com", "phone": f"+49 30 123456{number}"}
        await tenant.world.record([event("erp", "contact", f"c-{number}", **person)])
    await tenant.settle()
    await tenant.poll()
    await tenant.world.record(
        [event("erp", "contact", "c-1", 60, **{**ADA, "email": "ada1@one.example.com"})]
    )
    await tenant.settle()
    one, two, *_ = sorted(tenant.in_crm(), key=lambda item: str(item[email]))
    tenant.person_changes(one["id"], **{last: "Lovelace", phone: "+49 30 7654321"})
    tenant.person_changes(two["id"], **{first: "Augusta"})
    tenant.person_makes(**{email: GRACE["email"], first: "Grace", last: "Hopper"})
    await tenant.poll()
    await tenant.world.record([event("erp", "contact", "c-9", 90, **GRACE)])
    await tenant.settle()
    await tenant.poll()
    await tenant.loses(
        two["id"], "c-2", 100, **{**ADA, "email": "ada2@one.example.com", "phone": "+49 30 55"}
    )
    await tenant.poll()


@asynccontextmanager
async def lived(url: str, box: SandboxProcess) -> AsyncIterator[tuple[Doors, Any]]:
    """Have a tenant live, then stop sync."""
    box.empty("hubspot", TENANT)
    async with doors(url) as world, looking(url) as connection:
        await world.record([policy_of("hubspot", box.url)])
        async with tenant_of(url, world, box, connection) as tenant:
            await live(tenant)
        yield world, connection


async def through(connection: Any) -> bool:
    """Return whether the rebuild is through and nothing waits."""
    left = await connection.fetchval("select count(*) from sync.rebuild")
    return left == 0 and await settled(connection)


async def test_a_rebuild_of_a_two_way_tenant_is_exact_and_tells_the_crm_nothing(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """Records, entities, deliveries, ends of events and audit are byte for byte what they were; no call is a write."""
    url = migrated_database_url
    async with lived(url, sandbox) as (world, connection):
        before, held = await state_of(connection), len(sandbox.arrivals("hubspot", TENANT))
        records = sandbox.client.get(sandbox.admin("hubspot", TENANT, "records")).json()
        assert any("'echo'" in row for row in before["ends"])
        assert any("'gone_record'" in row for row in before["ends"])
        assert await connection.fetchval("select count(*) from sync.ruling where kept <> '{}'") > 0
        assert await connection.fetchval("select sync.begin_rebuild('user:operator-1')") == len(
            before["ends"]
        )
        async with tenant_of(url, world, sandbox, connection) as tenant:
            await until(partial(through, connection), 30)
            after = await state_of(connection)
            written = [
                item for item in sandbox.arrivals("hubspot", TENANT)[held:] if item["effect"] != "none"
            ]
            assert sandbox.client.get(sandbox.admin("hubspot", TENANT, "records")).json() == records
            await tenant.world.record(
                [event("erp", "contact", "c-2", 120, first_name="Ada", phone="+49 30 99")]
            )
            await until(partial(settled, connection), 20)
            assert "+49 30 99" in {item[tenant.names[3]] for item in tenant.in_crm()}
    for name in STATE:
        assert after[name] == before[name], name
    assert written == []


async def test_without_the_rulings_a_rebuild_gives_another_state(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """The control: a person's change that was overruled since looks like an echo to who judges it now."""
    url = migrated_database_url
    async with lived(url, sandbox) as (world, connection):
        before = await state_of(connection)
        await connection.execute("select sync.begin_rebuild('user:operator-1')")
        await connection.execute("delete from sync.ruling")
        async with tenant_of(url, world, sandbox, connection):
            await until(partial(through, connection), 30)
            after = await state_of(connection)
    assert after["records"] != before["records"]


async def test_nothing_is_emptied_while_sync_runs(migrated_database_url: str) -> None:
    """What a running process is about to write would be half of something."""
    async with looking(migrated_database_url) as connection:
        await connection.execute("insert into sync.process values ('p', clock_timestamp() + interval '5 s')")
        with pytest.raises(asyncpg.ObjectInUseError):
            await connection.execute("select sync.begin_rebuild('user:operator-1')")


KEPT: Final = (
    "approval",
    "enrichment_answer",
    "enrichment_usage",
    "assignment",
    "routing_turn",
    "sla_timer",
    "routing_event",
)
ROWS: Final = (
    ("insert into sync.approval (tenant_id, connector, entity_id, subject, approval_id, object, crm_object, crm_id, kind, rule,"
    " version, event_key, policy_version, changes, on_expiry, expire_time) values ('acme', 'crm', $1, 'write', $1,"
    " 'contact', 'contacts', '', 'create', 'r', 3, $1, '1', '[]', 'reject', clock_timestamp())"),
    ("insert into sync.enrichment (tenant_id, entity_id, object, wanted_version, seen_version, told)"
    " values ('acme', $1, 'contact', 5, 5, '{\"people\": {}}')"),
    "insert into sync.enrichment_answer values ('acme', 'people', $1::uuid::text, '{}', clock_timestamp(), clock_timestamp())",
    "insert into sync.enrichment_usage (tenant_id, provider, day) select 'acme', 'people', date '2026-01-01' where $1::uuid is not null",
    ("insert into sync.assignment (tenant_id, entity_id, home_id, object, state, lead_time)"
    " values ('acme', $1, $1, 'contact', 2, clock_timestamp())"),
    "insert into sync.routing_turn select 'acme', 'pool', 'ada' where $1::uuid is not null",
    ("insert into sync.sla_timer (tenant_id, entity_id, number, kind, state, target, rule, escalate_to, start_time, due_time)"
    " values ('acme', $1, 1, 1, 1, 't', 'r', 'ada', clock_timestamp(), clock_timestamp())"),
    "insert into sync.routing_event (tenant_id, request_id, entity_id, number, body) values ('acme', 'r', $1, 1, '{}')",
    ("insert into sync.routing_mark (tenant_id, entity_id, object, record_time, xid, seq)"
    " values ('acme', $1, 'contact', clock_timestamp(), 1, 1)"),
)  # fmt: skip


async def test_a_rebuild_keeps_what_people_and_providers_decided_and_counts_versions_anew(
    migrated_database_url: str,
) -> None:
    """What is not in the log stays; a version that counts anew must never look like one that was looked at before."""
    async with looking(migrated_database_url) as connection:
        for sql in ROWS:
            await connection.execute(sql, uuid.UUID(int=7))
        await connection.execute("select sync.begin_rebuild('user:operator-1')")
        for table in KEPT:
            assert await connection.fetchval(f"select count(*) from sync.{table}") == 1, table  # noqa: S608
        assert await connection.fetchval("select count(*) from sync.routing_mark") == 0
        row = await connection.fetchrow(
            "select wanted_version, seen_version, told::text from sync.enrichment"
        )
        assert (row["wanted_version"], row["seen_version"], row["told"]) == (0, 0, '{"people": {}}')
