"""Every statement fits the schema, and the hot look-ups use the index that they were given."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator

import asyncpg
import pytest

from headwater.identity.store.session import SQL

pytestmark = pytest.mark.anyio

HOT = {
    "list_known": ("'t', ARRAY[gen_random_uuid()]", ("member_pkey", "entity_pkey", "record_key_by_record")),
    "list_holders": (
        "'t', ARRAY['contact'], ARRAY['email'], ARRAY['a@b.io'], 64",
        ("record_key_pkey", "member_pkey", "entity_pkey"),
    ),
    "list_members": ("'t', gen_random_uuid()", ("member_by_entity",)),
    "find_entity_of_record": ("'t', gen_random_uuid()", ("member_pkey",)),
    "list_due_changes": ("now(), 32", ("change_unsent",)),
}
FILL = """
WITH e AS (
    INSERT INTO identity.entity (tenant_id, entity_id, object, create_time)
    SELECT 't', gen_random_uuid(), 'contact', now() FROM generate_series(1, 5000) RETURNING entity_id
), m AS (
    INSERT INTO identity.member (tenant_id, record_id, source, object, external_id, entity_id, event_key, resolve_time)
    SELECT 't', entity_id, 's', 'contact', entity_id::text, entity_id, entity_id, now() FROM e RETURNING record_id
)
INSERT INTO identity.record_key (tenant_id, object, kind, value, record_id)
SELECT 't', 'contact', kind, record_id::text, record_id
FROM m CROSS JOIN (VALUES ('email'), ('linkedin'), ('name_domain')) AS kinds (kind)
"""


@pytest.fixture
async def connection(migrated_database_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection to a migrated database."""
    connection = await asyncpg.connect(migrated_database_url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize("name", sorted(SQL))
async def test_a_statement_fits_the_schema(connection: asyncpg.Connection[asyncpg.Record], name: str) -> None:
    """Postgres can prepare it."""
    await connection.prepare(SQL[name].text)


@pytest.mark.parametrize("filled", [False, True], ids=["never_analysed", "analysed"])
@pytest.mark.parametrize("name", sorted(HOT))
async def test_a_hot_look_up_uses_its_index(
    connection: asyncpg.Connection[asyncpg.Record], name: str, *, filled: bool
) -> None:
    """On tables that are new and on tables that are full, no scan and no index read by tenant alone."""
    if filled:
        await connection.execute(FILL)
        await connection.execute("ANALYZE identity.entity, identity.member, identity.record_key")
    arguments, indexes = HOT[name]
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await connection.execute(f"PREPARE hot AS {SQL[name].text}")
    plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE hot({arguments})"))
    for index in indexes:
        assert f"using {index}" in plan, plan
    assert "Seq Scan" not in plan
    if name != "list_due_changes":
        assert "Index Cond: (tenant_id = $1)\n" not in plan, plan


@pytest.mark.parametrize("filled", [False, True], ids=["never_analysed", "analysed"])
async def test_what_known_records_newly_say_is_written_by_their_key(
    connection: asyncpg.Connection[asyncpg.Record], *, filled: bool
) -> None:
    """The kept plan looks each record up; it reads no tenant, however the tables stood when it was made."""
    if filled:
        await connection.execute(FILL)
        await connection.execute("ANALYZE identity.entity, identity.member")
    plans: list[str] = []
    connection.add_log_listener(plans_to := lambda _, message: plans.append(str(message)))
    await connection.execute(
        "LOAD 'auto_explain'; SET auto_explain.log_nested_statements = on;"
        "SET auto_explain.log_min_duration = 0; SET client_min_messages = log"
    )
    record = await connection.fetchval("SELECT gen_random_uuid()")
    columns: list[list[object]] = [[] for _ in range(34)]
    columns[15:22] = [[record], ["Ada"], [""], [""], [""], [""], [""]]
    await connection.fetch(SQL["write_plan"].text, "t", dt.datetime.now(dt.UTC), *columns)
    connection.remove_log_listener(plans_to)
    (plan,) = [plan for plan in plans if "UPDATE identity.member" in plan]
    assert "using member_pkey" in plan
    assert "record_id = ANY" in plan.split("Index Cond:")[1].splitlines()[0]
    assert "Seq Scan" not in plan


async def test_an_entity_cannot_merge_into_itself(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """The schema itself refuses."""
    await connection.execute(FILL)
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute("UPDATE identity.entity SET merged_into = entity_id")
