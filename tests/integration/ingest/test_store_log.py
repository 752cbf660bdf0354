"""The log's store by itself: races with other writers, and what one commit carries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import msgspec
import pytest
from tests.unit.ingest.arrivals import TENANT, new_event

from headwater.ingest.domain.event import Disposition, NewEvent, Outcome
from headwater.ingest.ports import RowsRejected
from headwater.ingest.store.announcing import Announcer
from headwater.ingest.store.log import PostgresEventLog, append_few
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.telemetry import Spans

pytestmark = pytest.mark.anyio
WAITERS = "SELECT count(*) FROM pg_locks WHERE NOT granted"


def _events(*names: str) -> list[NewEvent]:
    found = [new_event(external_id=name) for name in names]
    return sorted(found, key=lambda event: event.ledger_key)


@asynccontextmanager
async def _raced(
    url: str, theirs: Sequence[NewEvent], ours: Sequence[NewEvent]
) -> AsyncIterator[list[Outcome]]:
    """Append *ours* while another writer has inserted *theirs* and not committed yet."""
    outcomes: list[Outcome] = []
    async with await open_pool(url, application_name="test", size_min=3) as pool:
        log = PostgresEventLog(pool, Spans.off(), Announcer(pool, acquire_timeout_s=5), acquire_timeout_s=5)

        async def append() -> None:
            outcomes.extend(await log.append(ours))

        async with pool.acquire() as other, anyio.create_task_group() as tasks:
            transaction = other.transaction()
            await transaction.start()
            await append_few(other, theirs)
            tasks.start_soon(append)
            while not await pool.fetchval(WAITERS):
                await anyio.lowlevel.checkpoint()
            await transaction.commit()
        yield outcomes
        counted = await pool.fetchval("SELECT ingest.count_accepted($1)", TENANT)
        assert counted == await pool.fetchval("SELECT count(*) FROM ingest.event")


async def test_who_is_second_gets_duplicates_and_keeps_the_rest(migrated_database_url: str) -> None:
    """A batch that meets another writer's rows waits for it, and still records what is its own."""
    ours = _events("a", "b", "c", "d")
    async with _raced(migrated_database_url, ours[1:3], ours) as outcomes:
        assert [item.disposition for item in outcomes] == [
            Disposition.ACCEPTED, Disposition.DUPLICATE, Disposition.DUPLICATE, Disposition.ACCEPTED,
        ]  # fmt: skip


async def test_who_is_second_with_another_content_is_refused(migrated_database_url: str) -> None:
    """A race does not hide a contradiction."""
    theirs = [new_event({"email": "theirs@example.com"}, request_id="r")]
    ours = [new_event({"email": "ours@example.com"}, request_id="r")]
    async with _raced(migrated_database_url, theirs, ours) as (outcome,):
        assert (outcome.disposition, outcome.reason) == (Disposition.REFUSED, "PAYLOAD_CONFLICT")


async def test_commits_wake_readers_afterwards(migrated_database_url: str) -> None:
    """One word may stand for several commits that accepted something; none is sent for duplicates."""
    heard: list[str] = []
    async with await open_pool(migrated_database_url, application_name="test", size_min=2) as pool:
        announcer = Announcer(pool, acquire_timeout_s=5)
        log = PostgresEventLog(pool, Spans.off(), announcer, acquire_timeout_s=5)
        async with pool.acquire() as listener:

            def note(*args: object) -> None:
                heard.append(str(args[2]))

            async def told_after(*batches: str) -> int:
                for batch in batches:
                    await log.append(_events(*batch))
                await announcer.announce()
                await listener.fetchval("SELECT 1")
                return len(heard)

            await listener.add_listener("headwater_log", note)
            assert await told_after("abc", "de") == 1
            assert await told_after("abc") == 1
            assert await told_after("af") == 2
            await listener.remove_listener("headwater_log", note)


async def test_a_row_that_the_schema_refuses_is_rejected_whole(migrated_database_url: str) -> None:
    """Nothing of the commit stays, and the message does not quote the row."""
    bad = msgspec.structs.replace(new_event(), external_id="secret" * 100)
    async with await open_pool(migrated_database_url, application_name="test") as pool:
        log = PostgresEventLog(pool, Spans.off(), Announcer(pool, acquire_timeout_s=5), acquire_timeout_s=5)
        with pytest.raises(RowsRejected) as caught:
            await log.append([*_events("a"), bad])
        assert "secret" not in str(caught.value)
        assert await pool.fetchval("SELECT count(*) FROM ingest.event") == 0
