"""The published read functions: order, completeness under late commits, plans."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources

import asyncpg
import pytest

from headwater.kernel.pg import queries

pytestmark = pytest.mark.anyio
Row = tuple[int, int, str]

INSERT = """
INSERT INTO ingest.event (
    tenant_id, event_key, record_hash, shard, disposition, operation, source, object, external_id,
    event_time, content_hash, payload
)
SELECT 't', gen_random_uuid(), n, n & 15, 1, 1, 's', 'contact', $1 || n, now(), decode(repeat('00', 16), 'hex'), ''
FROM generate_series($2::integer, $3::integer) AS n
"""
READ = "SELECT xid, seq, external_id FROM ingest.read_events($1, $2, $3, $4)"


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _read(
    connection: asyncpg.Connection[asyncpg.Record], xid: int = 0, seq: int = 0, limit: int = 1000
) -> list[Row]:
    return [tuple(row) for row in await connection.fetch(READ, 3, xid, seq, limit)]


async def test_a_late_commit_is_not_skipped(migrated_database_url: str) -> None:
    """A reader waits at the oldest running transaction, and then gets the late row before the early one."""
    async with (
        _connected(migrated_database_url) as late,
        _connected(migrated_database_url) as early,
        _connected(migrated_database_url) as reader,
    ):
        await early.execute(INSERT, "first-", 3, 3)
        (first,) = await _read(reader)
        transaction = late.transaction()
        await transaction.start()
        await late.execute(INSERT, "late-", 3, 3)
        await early.execute(INSERT, "early-", 3, 3)
        assert await _read(reader, first[0], first[1]) == []
        await transaction.commit()
        found = await _read(reader, first[0], first[1])
        assert [row[2] for row in found] == ["late-3", "early-3"]
        assert found == sorted(found)


async def test_a_seq_cursor_would_have_skipped_it(migrated_database_url: str) -> None:
    """The early commit may carry the lower transaction id and the higher seq: position is the pair."""
    async with _connected(migrated_database_url) as one, _connected(migrated_database_url) as two:
        transaction = one.transaction()
        await transaction.start()
        await one.fetchval("SELECT pg_current_xact_id()")
        await two.execute(INSERT, "b-", 3, 3)
        await one.execute(INSERT, "a-", 3, 3)
        await transaction.commit()
        found = await _read(two)
        assert [row[2] for row in found] == ["a-3", "b-3"]
        assert found[0][1] > found[1][1]


async def test_pages_join_without_a_gap(migrated_database_url: str) -> None:
    """Continuing from the last row returns every row of the shard once, in order."""
    async with _connected(migrated_database_url) as connection:
        for batch in range(3):
            await connection.execute(INSERT, f"{batch}-", 1, 160)
        xid = seq = 0
        seen: list[Row] = []
        while page := await _read(connection, xid, seq, limit=7):
            seen += page
            xid, seq = page[-1][:2]
        assert len(seen) == len(set(seen)) == 30
        assert seen == sorted(seen)


async def test_the_schema_publishes_its_shards(migrated_database_url: str) -> None:
    """Sixteen shards, numbered from 0, hold every row."""
    async with _connected(migrated_database_url) as connection:
        await connection.execute(INSERT, "x", -50, 50)
        count = await connection.fetchval("SELECT ingest.shard_count()")
        sizes = [len(await connection.fetch(READ, shard, 0, 0, 1000)) for shard in range(count)]
        assert (count, sum(sizes)) == (16, 101)


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_read_events_is_one_index_range_scan(migrated_database_url: str, mode: str) -> None:
    """The function is inlined, both ends of the range are index conditions, and nothing is sorted."""
    async with _connected(migrated_database_url) as connection:
        await connection.execute(INSERT, "x", 1, 40_000)
        await connection.execute("ANALYZE ingest.event")
        await connection.execute(f"SET plan_cache_mode = {mode}")
        await connection.execute(
            "PREPARE r (smallint, bigint, bigint, integer) AS SELECT * FROM ingest.read_events($1, $2, $3, $4)"
        )
        rows = await connection.fetch("EXPLAIN EXECUTE r (3, 5, 5, 500)")
        plan = "\n".join(row[0] for row in rows)
        (condition,) = [line for line in plan.splitlines() if "Index Cond" in line]
        assert "Index Scan using event_log" in plan
        assert all(part in condition for part in ("shard =", "ROW(xid, seq) >", "pg_snapshot_xmin"))
        assert "Sort" not in plan
        assert "Function Scan" not in plan


@pytest.mark.parametrize(
    ("query", "arguments", "index"),
    [
        ("list_record_events", "(1, 't', 's', 'contact', 'x1', 99999999, 51)", "event_record"),
        ("list_tenant_events", "('t', 99999999, 51)", "event_tenant"),
        ("get_event", "('t', '00000000-0000-0000-0000-000000000000')", "event_pkey"),
        ("read_policy_positions", "", "event_policy"),
    ],
)
async def test_a_query_for_people_uses_its_index(
    migrated_database_url: str, query: str, arguments: str, index: str
) -> None:
    """Reading stays quick while the log grows."""
    text = queries.load("headwater.ingest", "event.sql")[query].text
    async with _connected(migrated_database_url) as connection:
        await connection.execute(INSERT, "x", 1, 40_000)
        await connection.execute("ANALYZE ingest.event")
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE q AS {text}")
        rows = await connection.fetch(f"EXPLAIN EXECUTE q {arguments}")
        plan = "\n".join(row[0] for row in rows)
        assert index in plan
        assert "Seq Scan on event" not in plan


async def test_every_query_is_prepared_by_the_schema(migrated_database_url: str) -> None:
    """Each named statement of the service parses and plans against the migrated database."""
    names = [
        item.name for item in resources.files("headwater.ingest.sql").iterdir() if item.name.endswith(".sql")
    ]
    assert set(names) >= {"event.sql", "quarantine.sql"}
    async with _connected(migrated_database_url) as connection:
        for name in names:
            for query in queries.load("headwater.ingest", name).values():
                await connection.prepare(query.text)
