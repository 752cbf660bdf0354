"""Every statement of sync fits the schema, hot ones use their index, and every key is a tenant's."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from headwater import sync
from headwater.kernel.pg import queries

pytestmark = pytest.mark.anyio

FOLDER = Path(sync.__file__).parent / "sql"
STATEMENTS = {
    f"{path.stem}.{name}": query.text
    for path in sorted(FOLDER.glob("*.sql"))
    for name, query in queries.load("headwater.sync", path.name).items()
}
NO_TENANT = {
    "lease",
    "process",
    "shard_cursor",
    "rebuild",
    "schema_migration",
    "partition",
    "shard_end",
    "reader",
    "audit_key",
    "vault_key",
}
"""Tables of the engine itself: no row of them is a tenant's."""
BY_KEY = re.compile(r"sealed_key|event_[0-9]{8}")
"""The ledger: the tenant is in each key, and in the event key's hash; 16 fixed bytes before it compare faster."""
ENTITY = "'00000000-0000-0000-0000-000000000005'::uuid"
SCAN = r"Seq Scan on (?!attempt_)"
"""An empty day of attempts is read whole, at no cost; that the full one is not is said by its index's name."""
HOT = {
    "echo.find_held": ("array['t'], array['a'], array['contacts'], array['7']", "delivery_by_crm_record"),
    "echo.find_former": ("array['t'], array['a'], array['contacts'], array['7']", "former_record_pkey"),
    "echo.read_own_writes": (f"array['t'], array['a'], array[{ENTITY}], 20", "audit_by_entity"),
    "echo.find_written": (f"array['t'], array['a'], array[{ENTITY}]", "delivery_pkey"),
    "echo.read_sought": (
        f"array['t'], array['a'], array[{ENTITY}], array[now()], 20, 5.0",
        "audit_by_entity",
    ),
    "echo.read_rulings": (f"array['t'], array[{ENTITY}]", "ruling_pkey"),
    "operations.read_projection": (f"'t', {ENTITY}", "projection_pkey"),
    "operations.read_entity": (f"'t', {ENTITY}", "entity_pkey"),
    "operations.read_deliveries_of_entities": (f"'t', array[{ENTITY}], 100", "delivery_by_entity"),
    "operations.read_attempts_of_versions": (f"'t', array[{ENTITY}], array[1], 100", "attempt_"),
    "operations.list_event_audit": (f"'t', 9, 50, {ENTITY}, null", "audit_by_event"),
    "operations.list_entity_audit": (f"'t', 9999, 50, {ENTITY}", "audit_by_entity"),
    "operations.list_audit": ("'t', 9999999, 9999, 50", "audit_pkey"),
    "trail.search_entity_entries": (
        f"'t', 9999, {ENTITY}, 50, null, null, null, null, null, null",
        "audit_by_entity",
    ),
    "trail.search_entries": (
        "'t', 9999999, 9999, 50, null, null, null, null, null, null, null",
        "audit_pkey",
    ),
    "operations.list_deliveries": (f"'t', 'a', {ENTITY}, '~', '{{1,2,3,4,5,6}}', 51", "delivery_pkey"),
    "operations.list_stopped_deliveries": (f"'t', 'a', {ENTITY}, '~', '{{5}}', 51", "delivery_stopped"),
    "errors.list_groups": (f"'t', now(), {ENTITY}, '', 0, 50", "error_group_by_time"),
    "errors.list_group_deliveries": (f"'t', {ENTITY}, {ENTITY}, 50", "error_member_by_group"),
    "replay.next_of_group": (f"'t', {ENTITY}, {ENTITY}, now(), 50", "error_member_by_group"),
    "replay.next_of_accounts": (f"'t', 'a', {ENTITY}, '~', now(), 50", "delivery_stopped"),
    "replay.list_replays": (f"'t', now(), {ENTITY}, 50", "replay_by_time"),
    "rollout.list_rollouts": (f"'t', now(), {ENTITY}, 50", "rollout_by_time"),
    "rollout.scan_standing": (f"'t', 'a', {ENTITY}, '{{contact}}', 500", "entity_pkey"),
    "rollout.open_members": (f"'t', {ENTITY}, 500", "rollout_member_open"),
    "rollout.admit_members": (
        f"'t', {ENTITY}, 'a', array[{ENTITY}], 0::smallint, false, false, {ENTITY}, now()",
        "rollout_member_pkey",
    ),
    "rollout.next_members": (f"'t', {ENTITY}, 50", "rollout_member_next"),
    "policy.page_entities": (f"'t', {ENTITY}, 200", "entity_pkey"),
    "policy.page_changed_entities": (f"'t', {ENTITY}, 200, now()", "entity_pkey"),
    "policy.sample_entities": (f"'t', {ENTITY}, 500, 1", "entity_pkey"),
    "policy.members_of": (f"'t', array[{ENTITY}]", "record_by_entity"),
    "policy.standing_of": (f"'t', 'a', array[{ENTITY}]", "delivery_pkey"),
    "policy.version_before": ("'t', 1, 1", "policy_version_by_place"),
    "policy.list_versions": ("'t', 9, 9, 50", "policy_version_by_place"),
    "vault.read_connection": ("'t', 'c'", "vault_connection_pkey"),
    "vault.wrapped_by": ("array['k'], 't', 'c', 200", "vault_connection_"),
    "provenance.follow_entity": (f"'t', {ENTITY}, 32", "entity_pkey"),
    "provenance.entity_of_record": ("'t', 'contact', 'site', '1'", "record_pkey"),
    "provenance.accounts_of_entity": (f"'t', {ENTITY}", "delivery_by_entity"),
    "quality.page_records": ("'t', 'contact', 'site', '1', 500", "record_pkey"),
    "operations.list_entity_deliveries": (
        f"'t', 'a', {ENTITY}, '~', '{{1}}', 51, {ENTITY}",
        "delivery_by_entity",
    ),
}
FILL = """
with entity as (
    insert into sync.entity (tenant_id, entity_id, object, state, version, fields)
    select 't', gen_random_uuid(), 'contact', 'active', 1, '{}' from generate_series(1, 5000)
    returning entity_id
), delivery as (
    insert into sync.delivery (tenant_id, connector, entity_id, object, state, desired_version, event_key, dirty_time)
    select 't', connector, entity_id, 'contact', case when random() < 0.01 then 5 else 2 end, 1, entity_id, now()
    from entity cross join (values ('a'), ('b')) as account (connector)
), attempt as (
    insert into sync.attempt (
        tenant_id, connector, entity_id, object, attempt_number, version, event_key, start_time, end_time, outcome
    )
    select 't', 'a', entity_id, 'contact', 1, 1, entity_id, now(), now(), 'created' from entity
), error_group as (
    insert into sync.error_group (
        tenant_id, group_id, connector, endpoint, error_class, error_code, message, last_message, failure_count,
        last_seen_time, sample_entity_ids
    )
    select 't', entity_id, 'a', '', '', '', '', '', 1, now() + random() * interval '1 day', '{}' from entity
), error_member as (
    insert into sync.error_member (tenant_id, connector, entity_id, group_id, in_doubt)
    select 't', 'a', entity_id, entity_id, false from entity
), replay as (
    insert into sync.replay (
        tenant_id, replay_id, connector, entity_ids, rate_per_s, state, total_count, next_time, actor,
        policy_version, create_time
    )
    select 't', entity_id, 'a', '{}', 1, 3, 0, now(), '', '', now() - random() * interval '1 day' from entity
), rollout as (
    insert into sync.rollout (
        tenant_id, rollout_id, connector, kind, object, conditions, look_up, terms, state, planned, place_entity_id,
        scanned_count, total_count, stage, next_time, rate_time, reason, actor, policy_version, create_time
    )
    select 't', entity_id, 'a', 2, '', '{}', false, '{}', 5, true, entity_id, 0, 0, 0, now(), now(), '', '', '',
        now() - random() * interval '1 day'
    from entity
), rollout_member as (
    insert into sync.rollout_member (tenant_id, rollout_id, entity_id, draw, fate)
    select 't', '00000000-0000-0000-0000-000000000005', entity_id, (random() * 1000000)::bigint,
        case when random() < 0.05 then 1 else 0 end
    from entity
), record as (
    insert into sync.record (tenant_id, object, source, external_id, entity_id, fields, deleted)
    select 't', 'contact', 'site', entity_id::text, entity_id, '{}', false from entity
), policy_version as (
    insert into sync.policy_version (
        tenant_id, event_key, xid, seq, digest, document, actor, record_time, state
    )
    select 't', entity_id, row_number() over (), 1, '', '', '', now(), 4 from entity
), quality as (
    insert into sync.quality (
        tenant_id, day, source, object, field, record_count, present_count, invalid_count, stale_count,
        personal_mail_count
    )
    select 't', date '2026-01-01' - (row_number() over ())::int, '', '', '', 0, 0, 0, 0, 0 from entity
), audit as (
    insert into sync.audit (tenant_id, action, actor, entity_id, event_key)
    select 't', 'field_changed', 'site', entity_id, entity_id from entity
)
insert into sync.projection (tenant_id, event_key, rule, superseded, entity_ids, versions, xid, seq)
select 't', entity_id, 'projected', false, array[entity_id], '{1}', 1, 1 from entity
"""
KEYS = """
select relation.relname as table_name, key.relname as index_name, attribute.attname as first_column,
    pg_get_indexdef(key.oid) as definition
from pg_index as index
inner join pg_class as key on key.oid = index.indexrelid
inner join pg_class as relation on relation.oid = index.indrelid
inner join pg_namespace as schema on schema.oid = relation.relnamespace
left join pg_attribute as attribute
    on attribute.attrelid = relation.oid and attribute.attnum = index.indkey[0]
where index.indisunique and schema.nspname = any($1)
"""


@pytest.fixture
async def connection(migrated_database_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection to a migrated database."""
    connection = await asyncpg.connect(migrated_database_url)
    try:
        yield connection
    finally:
        await connection.close()


async def test_every_statement_fits_the_schema(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Postgres can prepare each one."""
    for name, text in STATEMENTS.items():
        try:
            await connection.prepare(text)
        except asyncpg.PostgresError as error:
            pytest.fail(f"{name}: {error}")


async def test_every_file_of_statements_is_read() -> None:
    """The check above leaves no file out."""
    assert {name.partition(".")[0] for name in STATEMENTS} >= {
        "delivery",
        "lease",
        "operations",
        "projection",
    }


async def test_hot_look_ups_use_their_index(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """On full tables, with one plan for all parameters, no scan and no sort of a whole tenant."""
    await connection.execute(FILL)
    await connection.execute("analyze sync.entity, sync.delivery, sync.attempt, sync.audit, sync.projection")
    await connection.execute(
        "analyze sync.error_group, sync.error_member, sync.replay, sync.rollout, sync.rollout_member,"
        " sync.record, sync.policy_version, sync.quality"
    )
    await connection.execute("set plan_cache_mode = force_generic_plan")
    for number, (name, (arguments, index)) in enumerate(HOT.items()):
        await connection.execute(f"prepare hot{number} as {STATEMENTS[name]}")
        rows = await connection.fetch(f"explain execute hot{number}({arguments})")
        plan = "\n".join(row[0] for row in rows)
        assert f"using {index}" in plan or f"on {index}" in plan, f"{name}:\n{plan}"
        assert not re.search(SCAN, plan), f"{name}:\n{plan}"


async def test_pages_are_read_in_index_order(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """A page costs its rows, not the tenant's: nothing is sorted, and the place is an index condition."""
    await connection.execute(FILL)
    await connection.execute("analyze sync.delivery, sync.audit")
    await connection.execute("set plan_cache_mode = force_generic_plan")
    for name in ("list_deliveries", "list_stopped_deliveries", "list_audit", "list_entity_audit"):
        arguments, _ = HOT[f"operations.{name}"]
        await connection.execute(f"prepare {name} as {STATEMENTS[f'operations.{name}']}")
        rows: list[Any] = await connection.fetch(f"explain execute {name}({arguments})")
        plan = "\n".join(row[0] for row in rows)
        assert "Sort" not in plan, plan
        if "deliveries" in name:
            assert "Index Cond: ((tenant_id = $1) AND (ROW(connector, entity_id) > ROW($2, $3))" in plan, plan


async def test_every_key_begins_with_the_tenant(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """No primary key or unique index spans tenants, save those of the engine's own tables."""
    rows = await connection.fetch(KEYS, ["ingest", "identity", "sync"])
    faulty = [
        (row["table_name"], row["index_name"])
        for row in rows
        if row["first_column"] != "tenant_id"
        and row["table_name"] not in NO_TENANT
        and not (BY_KEY.fullmatch(row["table_name"]) and "(event_key, tenant_id)" in row["definition"])
    ]
    assert len(rows) > 15
    assert faulty == []
