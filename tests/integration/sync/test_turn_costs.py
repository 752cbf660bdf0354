"""What marks, claims and settlements cost in Postgres: index writes and rows read."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from tests.integration.planner import skip_unless_arrays_are_keys
from tests.integration.sync.queued import CONNECTIONS, Queue, ended

from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.turns import Wanted

pytestmark = pytest.mark.anyio


async def _counted(queue: Queue, counts: str) -> int:
    """Return a count once every connection has told what it did: each keeps its numbers to itself for a while."""
    async with AsyncExitStack() as held:
        for _ in range(CONNECTIONS):
            connection = await held.enter_async_context(queue.pool.acquire())
            await connection.execute("select pg_stat_force_next_flush()")
        counted: int = await connection.fetchval(counts)
    return counted


async def test_marks_and_settlements_of_a_known_record_write_to_no_index(queue: Queue) -> None:
    """Every such update stays on its page (HOT)."""
    await queue.add(*range(1, 11))
    turn = await queue.claim()
    await queue.settle(*map(ended, turn.claimed))
    counts = "select n_tup_upd - n_tup_hot_upd from pg_stat_user_tables where relname = 'delivery' and schemaname = 'sync'"
    before = await _counted(queue, counts)
    for version in range(2, 8):
        for number in range(1, 11):
            await queue.mark(number, version=version)
        await queue.pool.execute("update sync.entity set version = $1", version)
        turn = await queue.claim()
        assert len(turn.claimed) == 10
        await queue.settle(*map(ended, turn.claimed))
    assert await _counted(queue, counts) == before


async def test_plans_made_on_empty_tables_hold_on_full_ones(queue: Queue) -> None:
    """A connection that planned its turn before the backlog came reads no more than what it settles."""
    await queue.store.take_over()
    async with queue.pool.acquire() as connection:
        skip_unless_arrays_are_keys(connection)
        queue.store._pool = connection  # type: ignore[assignment]  # noqa: SLF001 - one session
        await queue.store.turn((), Wanted(0, {Lane.LIVE: 1}))
        await queue.add(*range(1, 301))
        turn = await queue.store.turn((), Wanted(0, {Lane.LIVE: 20}))
        reads = "select sum(idx_tup_read) from pg_stat_user_indexes where relname = 'due'"
        await connection.execute("select pg_stat_force_next_flush()")
        before = await connection.fetchval(reads)
        await queue.store.turn([ended(item) for item in turn.claimed], Wanted(0, {Lane.LIVE: 20}))
        await connection.execute("select pg_stat_force_next_flush()")
        assert await connection.fetchval(reads) - before < 100
