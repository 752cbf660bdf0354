"""The published read functions: order, completeness under late commits, plans."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources

import asyncpg
import pytest
from tests.unit.ingest.arrivals import new_event

from headwater.ingest.store.log import append_few
from headwater.kernel.pg import queries

pytestmark = pytest.mark.anyio
Row = tuple[int, int, str]

INSERT = """
INSERT INTO ingest.event (
    record_day, tenant_id, event_key, record_hash, disposition, operation, source, object, external_id,
    event_time, content_hash, payload
)
SELECT
    (SELECT max(record_day) FROM ingest.partition), 't', gen_random_uuid(), n, 1, 1, 's', 'contact', $1 || n, now(),
    n, ''
FROM generate_series($2::integer, $3::integer) AS n
"""
LIST = "SELECT external_id FROM ingest.list_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
READ_LOG = "SELECT held, external_id FROM ingest.read_log(ARRAY[3::smallint], ARRAY[$1::bigint], ARRAY[$2::bigint], 1000)"
READ = "SELECT xid, seq, external_id FROM ingest.read_shards(ARRAY[$1::smallint], ARRAY[$2::bigint], ARRAY[$3::bigint], $4)"


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


async def _read_log(
    connection: asyncpg.Connection[asyncpg.Record], xid: int = 0, seq: int = 0
) -> tuple[bool, list[str]]:
    head, *rows = await connection.fetch(READ_LOG, xid, seq)
    return head["held"], [row["external_id"] for row in rows]


async def test_who_writes_no_events_holds_no_reader_back(migrated_database_url: str) -> None:
    """A transaction of somebody else, however long, is not waited for; of read_shards it is."""
    async with (
        _connected(migrated_database_url) as other,
        _connected(migrated_database_url) as writer,
        _connected(migrated_database_url) as reader,
    ):
        async with other.transaction():
            await other.fetchval("SELECT pg_current_xact_id()")
            await writer.execute(INSERT, "live-", 3, 3)
            assert await _read(reader) == []
            assert await _read_log(reader) == (False, ["live-3"])
        assert await _read_log(reader) == (False, ["live-3"])


async def test_a_writer_under_way_holds_back_what_came_after_it(migrated_database_url: str) -> None:
    """From its lock on, and until it ends: then its own events come first, and nothing comes twice."""
    async with (
        _connected(migrated_database_url) as slow,
        _connected(migrated_database_url) as quick,
        _connected(migrated_database_url) as reader,
    ):
        await quick.execute(INSERT, "first-", 3, 3)
        ((xid, seq, _),) = await _read(reader)
        async with slow.transaction():
            await slow.execute("SELECT ingest.enter(0)")
            assert await _read_log(reader, xid, seq) == (False, [])
            await slow.execute(INSERT, "slow-", 3, 3)
            async with quick.transaction():
                await quick.execute("SELECT ingest.enter(0)")
                await quick.execute(INSERT, "quick-", 3, 3)
            assert await _read_log(reader, xid, seq) == (True, [])
        assert await _read_log(reader, xid, seq) == (False, ["slow-3", "quick-3"])


async def test_a_writer_that_has_only_entered_holds_nothing_back(migrated_database_url: str) -> None:
    """It has no number yet: whatever it gets is above those of the events that are there."""
    async with (
        _connected(migrated_database_url) as slow,
        _connected(migrated_database_url) as quick,
        _connected(migrated_database_url) as other,
        _connected(migrated_database_url) as reader,
    ):
        async with slow.transaction(), other.transaction():
            await other.fetchval("SELECT pg_current_xact_id()")
            await slow.execute("SELECT ingest.enter(0)")
            await quick.execute(INSERT, "quick-", 3, 3)
            assert await _read_log(reader) == (False, ["quick-3"])
            await slow.execute(INSERT, "slow-", 3, 3)
        assert await _read_log(reader) == (False, ["quick-3", "slow-3"])


async def test_who_has_written_already_cannot_enter(migrated_database_url: str) -> None:
    """Its number would be lower than what readers have passed by then."""
    async with _connected(migrated_database_url) as late, late.transaction():
        await late.fetchval("SELECT pg_current_xact_id()")
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError, match="enters before"):
            async with late.transaction():
                await late.execute("SELECT ingest.enter(0)")


async def test_a_reader_that_sees_one_moment_alone_waits_for_everybody(migrated_database_url: str) -> None:
    """In a snapshot of its own it cannot see who ends meanwhile."""
    async with (
        _connected(migrated_database_url) as other,
        _connected(migrated_database_url) as writer,
        _connected(migrated_database_url) as reader,
        other.transaction(),
    ):
        await other.fetchval("SELECT pg_current_xact_id()")
        await writer.execute(INSERT, "live-", 3, 3)
        async with reader.transaction(isolation="repeatable_read"):
            assert await _read_log(reader) == (True, [])


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


@asynccontextmanager
async def _plans(url: str) -> AsyncIterator[tuple[asyncpg.Connection[asyncpg.Record], list[str]]]:
    """A connection and the plans of everything that it runs, statements inside functions among them."""
    plans: list[str] = []
    async with _connected(url) as connection:
        await connection.execute("LOAD 'auto_explain'")
        await connection.execute("SET auto_explain.log_nested_statements = on")
        await connection.execute("SET auto_explain.log_min_duration = 0")
        await connection.execute("SET client_min_messages = log")
        connection.add_log_listener(lambda _, message: plans.append(str(message)))
        yield connection, plans


async def _open_days(url: str, count: int) -> None:
    """Put *count* empty, sealed days before today."""
    async with _connected(url) as connection:
        today = await connection.fetchval("SELECT max(record_day) FROM ingest.partition")
        await connection.execute("DELETE FROM ingest.partition")
        await connection.execute(f"ALTER TABLE ingest.event DETACH PARTITION ingest.event_{today:%Y%m%d}")
        for days in range(count, 0, -1):
            await connection.execute("SELECT ingest.roll($1)", today - dt.timedelta(days=days))
        await connection.execute(f"DROP TABLE ingest.event_{today:%Y%m%d}")
        await connection.execute("SELECT ingest.roll($1)", today)
        while await connection.fetchval("SELECT ingest.seal_some(100)") != "idle":
            pass


@pytest.mark.timeout(120)
async def test_400_empty_days_are_not_touched(migrated_database_url: str) -> None:
    """Reading, looking a key up and appending plan for today's partition alone, each by its index."""
    await _open_days(migrated_database_url, 400)
    async with _connected(migrated_database_url) as connection:
        await connection.execute(INSERT, "x", 1, 20_000)
        await connection.execute("ANALYZE ingest.event")
        key = await connection.fetchval("SELECT event_key FROM ingest.event WHERE external_id = 'x1'")
    event = new_event(request_id="r")
    async with _plans(migrated_database_url) as (connection, plans):
        assert len(await _read(connection, limit=500)) == 500
        assert await connection.fetchval("SELECT external_id FROM ingest.find_event('t', $1)", key) == "x1"
        await append_few(connection, [event])
        await append_few(connection, [event])
    said = "\n".join(plans)
    touched = set(re.findall(r"event_[0-9]{8}", said))
    assert len(touched) == 1, touched
    assert "Seq Scan on event_" not in said
    (reading,) = [plan for plan in plans if "Presorted Key" in plan and "Index Cond" in plan]
    (condition,) = [line for line in reading.splitlines() if "Index Cond" in line]
    wanted = ("record_hash & 15", "xid >=", "xid < $")
    assert all(part in condition for part in wanted), condition
    (presorted,) = [line for line in reading.splitlines() if "Presorted Key" in line]
    assert "xid" in presorted


async def test_a_record_a_tenant_and_a_number_are_found_by_ranges_of_pages(
    migrated_database_url: str,
) -> None:
    """Once `index_day` has filled the ranges in, no look-up reads the day from end to end; the last one stays open."""
    async with _connected(migrated_database_url) as connection:
        for start in range(0, 40_000, 500):
            await connection.execute(INSERT, "x", start, start + 499)
        day = await connection.fetchval("SELECT max(record_day) FROM ingest.partition")
        pages = await connection.fetchval(
            "SELECT pg_relation_size(to_regclass('ingest.' || ingest.leaf_name($1))) / 8192", day
        )
        assert await connection.fetchval("SELECT ingest.index_day()") == -(-pages // 32)
        assert await connection.fetchval("SELECT ingest.index_day()") == 1
        seq = await connection.fetchval("SELECT seq FROM ingest.event WHERE external_id = 'x77'")
    async with _plans(migrated_database_url) as (connection, plans):
        record = ("t", 77, 77, "s", "contact", "x77", day, 2**63 - 1, 2**63 - 1, 10)
        tenant = ("t", 0, 2**20 - 1, None, None, None, day, 2**63 - 1, 2**63 - 1, 30_000)
        found = await connection.fetch(LIST, *record)
        listed = await connection.fetch(LIST, *tenant)
        by_number = await connection.fetchval(
            "SELECT external_id FROM ingest.find_event_by_seq('t', $1)", seq
        )
    assert [row["external_id"] for row in found] == ["x77"]
    assert [row["external_id"] for row in listed] == [f"x{n}" for n in range(39_999, 9_999, -1)]
    assert by_number == "x77"
    said = "\n".join(plans)
    assert "Seq Scan on event_" not in said
    assert said.count("_find  (") == 3, said
    for sought in ("(record_hash = ", "((record_hash >> 20) = ", "(seq = "):
        assert f"Index Cond: {sought}" in said, said


async def test_every_query_is_prepared_by_the_schema(migrated_database_url: str) -> None:
    """Each named statement of the service parses and plans against the migrated database."""
    names = [
        item.name for item in resources.files("headwater.ingest.sql").iterdir() if item.name.endswith(".sql")
    ]
    assert set(names) >= {"day.sql", "event.sql", "quarantine.sql"}
    async with _connected(migrated_database_url) as connection:
        for name in names:
            for query in queries.load("headwater.ingest", name).values():
                await connection.prepare(query.text)
