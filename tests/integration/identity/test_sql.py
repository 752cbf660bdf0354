"""Every statement fits the schema, and the hot look-ups use the index that they were given."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator

import asyncpg
import pytest
from tests.integration.planner import skip_unless_arrays_are_keys

from headwater.identity.store.session import SQL

pytestmark = pytest.mark.anyio

HOT = {
    "list_known": ("'t', ARRAY[gen_random_uuid()], ARRAY[1::bigint]", ("member_pkey",)),
    "list_members": ("'t', gen_random_uuid()", ("member_by_entity",)),
    "find_entity_of_record": ("'t', gen_random_uuid()", ("member_pkey",)),
    "list_due_changes": ("now(), 32", ("change_unsent",)),
    "list_sample": ("'t', gen_random_uuid(), 2000", ("member_pkey",)),
    "measure_tenant": ("'t', 2000", ("member_pkey",)),
    "list_edge_weights": ("'t', ARRAY[gen_random_uuid()]", ("edge_pkey",)),
    "list_said": ("'t', gen_random_uuid(), 50", ("member_pkey", "evidence_pkey")),
    "has_older": ("'t', 2::smallint", ("member_by_version",)),
    "list_ever": ("'t', gen_random_uuid(), 50", ("member_pkey", "former_group_pkey", "member_by_group")),
    "list_group": ("'t', gen_random_uuid(), 50", ("member_by_group",)),
}
NESTED = {
    "look_up": (
        "'t', ARRAY(SELECT record_id FROM identity.member LIMIT 3), ARRAY[1::bigint, 2], 41",
        ("member_pkey", "key_use_pkey", "record_key_pkey"),
    ),
    "load_near": (
        "'t', ARRAY(SELECT record_id FROM identity.member LIMIT 3) || gen_random_uuid(), ARRAY[]::uuid[], -1, 400, true",
        ("member_pkey", "member_by_group", "edge_pkey", "edge_by_high", "entity_pkey", "told_apart_pkey"),
    ),
}
"""Functions: their arguments and the indexes that their statements use."""
FILL = """
WITH e AS (
    INSERT INTO identity.entity (tenant_id, entity_id, object, create_time)
    SELECT 't', gen_random_uuid(), 'contact', now() FROM generate_series(1, 5000) RETURNING entity_id
), m AS (
    INSERT INTO identity.member (
        tenant_id, record_id, source, object, external_id, entity_id, group_id, event_key, resolve_time, keys, strong
    )
    SELECT
        't', entity_id, 's', 'contact', entity_id::text, entity_id, entity_id, entity_id, now(),
        ARRAY[hashtextextended(entity_id::text, 0), 1], 1
    FROM e RETURNING record_id, keys
), x AS (
    INSERT INTO identity.edge (tenant_id, low_id, high_id, bits)
    SELECT 't', min(record_id::text)::uuid, max(record_id::text)::uuid, 4
    FROM (SELECT record_id, row_number() OVER () / 2 AS pair FROM m) AS pairs GROUP BY pair HAVING count(*) = 2
)
INSERT INTO identity.record_key (tenant_id, hash, record_id)
SELECT 't', hash, record_id FROM m CROSS JOIN unnest(keys) AS k (hash)
"""
TABLES = "identity.entity, identity.member, identity.record_key, identity.edge"


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
        await connection.execute(f"ANALYZE {TABLES}")
    else:
        skip_unless_arrays_are_keys(connection)
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
        await connection.execute(f"ANALYZE {TABLES}")
    else:
        skip_unless_arrays_are_keys(connection)
    plans: list[str] = []
    connection.add_log_listener(plans_to := lambda _, message: plans.append(str(message)))
    await connection.execute(
        "LOAD 'auto_explain'; SET auto_explain.log_nested_statements = on;"
        "SET auto_explain.log_min_duration = 0; SET client_min_messages = log"
    )
    record = await connection.fetchval("SELECT gen_random_uuid()")
    columns: list[object] = ["{}" for _ in range(50)]
    columns[10] = []
    columns[15:21] = [f"{{{record}}}", [b"x"], '{"1 2"}', "{1}", "{0}", "{7}"]
    await connection.fetch(SQL["write_plan"].text, "t", dt.datetime.now(dt.UTC), 1, *columns, 16)
    connection.remove_log_listener(plans_to)
    (plan,) = [plan for plan in plans if "UPDATE identity.member" in plan]
    assert "using member_pkey" in plan
    assert "record_id = ANY" in plan.split("Index Cond:")[1].splitlines()[0]
    assert "Seq Scan" not in plan


@pytest.mark.parametrize("filled", ["no", "never_analysed", "analysed"])
@pytest.mark.parametrize("name", sorted(NESTED))
async def test_a_look_up_of_a_batch_uses_its_indexes(
    connection: asyncpg.Connection[asyncpg.Record], name: str, filled: str
) -> None:
    """The kept plans inside the functions read by key, however the tables stood when they were made."""
    if filled != "no":
        await connection.execute(FILL)
    if filled == "analysed":
        await connection.execute(f"ANALYZE {TABLES}")
    else:
        skip_unless_arrays_are_keys(connection)
    plans: list[str] = []
    connection.add_log_listener(plans_to := lambda _, message: plans.append(str(message)))
    await connection.execute(
        "LOAD 'auto_explain'; SET auto_explain.log_nested_statements = on;"
        "SET auto_explain.log_min_duration = 0; SET client_min_messages = log"
    )
    arguments, indexes = NESTED[name]
    await connection.execute(f"SELECT * FROM identity.{name}({arguments})")  # noqa: S608 - constants
    connection.remove_log_listener(plans_to)
    nested = [plan for plan in plans if "Query Text: SELECT * FROM identity." not in plan]
    revision = [plan for plan in nested if " on change " in plan]
    assert all("Backward using change_by_seq" in plan for plan in revision), revision
    read = "\n".join(plan for plan in nested if plan not in revision)
    for index in indexes:
        assert f"using {index}" in read, read
    assert "Seq Scan" not in read
    assert "Index Cond: (tenant_id = $1)\n" not in read, read
    assert "using edge_pkey" not in "".join(plan for plan in nested if "e.high_id = ANY" in plan), read


async def test_no_two_entities_hold_one_exclusive_key(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    """The schema itself refuses a second holder."""
    await connection.execute(FILL)
    hold = (
        "INSERT INTO identity.exclusive_key (tenant_id, hash, entity_id)"
        " SELECT 't', 7, entity_id FROM identity.entity LIMIT $1"
    )
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(hold, 2)
    await connection.execute(hold, 1)


async def test_an_entity_cannot_merge_into_itself(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """The schema itself refuses."""
    await connection.execute(FILL)
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute("UPDATE identity.entity SET merged_into = entity_id")
