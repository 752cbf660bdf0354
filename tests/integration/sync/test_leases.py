"""Leases in Postgres: they stand and fall with their process's heartbeat, and every new holding has a higher fence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.sync.tenant import TENANT, key

from headwater.kernel.pg import queries
from headwater.kernel.pg.pool import open_pool
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.turns import Wanted
from headwater.sync.ports import DueAccount
from headwater.sync.store.delivery import PostgresDeliveries
from headwater.sync.store.leases import PostgresLeases, hold_fences
from headwater.sync.store.watching import PostgresDueTimes

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

pytestmark = pytest.mark.anyio

NAMES = [f"connector/acme/{number}" for number in range(6)]
LAPSE = "update sync.process set expire_time = clock_timestamp() - interval '1 second' where holder = $1"


@pytest.fixture
async def pool(migrated_database_url: str) -> AsyncIterator[Pool]:
    """A migrated database."""
    async with await open_pool(migrated_database_url, application_name="test") as pool:
        yield pool


async def member(pool: Pool, holder: str) -> PostgresLeases:
    """Return the leases of a process that has begun to beat."""
    leases = PostgresLeases(pool, holder, 60.0)
    assert not (await leases.beat()).unbroken
    return leases


async def holds(pool: Pool, name: str, fence: int) -> bool:
    """Return whether a fence is in force."""
    async with pool.acquire() as connection, connection.transaction():
        try:
            await hold_fences(connection, [Lease(name, fence)])
        except FenceLost:
            return False
        return True


async def test_processes_take_what_is_free_up_to_their_share(pool: Pool) -> None:
    """The first takes three, the second what is left; neither gets what the other holds."""
    one, two = await member(pool, "one"), await member(pool, "two")
    assert (await one.beat()).processes == 2
    first = await one.acquire(NAMES, 3)
    second = await two.acquire(NAMES, 6)
    assert len(first) == len(second) == 3
    assert {*first, *second} == set(NAMES)
    assert await one.acquire(list(second), 6) == {}


async def test_one_heartbeat_prolongs_every_lease(pool: Pool) -> None:
    """After the beat lapses all are free, with higher fences for the next holder; before, none is."""
    one, two = await member(pool, "one"), await member(pool, "two")
    assert set(await one.acquire(NAMES, 6)) == set(NAMES)
    assert (await one.beat()).unbroken
    assert await two.acquire(NAMES, 6) == {}
    await pool.execute(LAPSE, "one")
    assert not await holds(pool, NAMES[0], 1)
    assert set((await two.acquire(NAMES, 6)).values()) == {2}
    assert not (await one.beat()).unbroken
    assert await one.acquire(NAMES, 6) == {}
    assert await holds(pool, NAMES[0], 2)


async def test_a_process_that_comes_back_late_holds_nothing_of_what_it_held(pool: Pool) -> None:
    """Its old fences stay void although nobody took the leases meanwhile."""
    one = await member(pool, "one")
    await one.acquire(NAMES[:1], 1)
    await pool.execute(LAPSE, "one")
    assert not (await one.beat()).unbroken
    assert not await holds(pool, NAMES[0], 1)
    assert await one.acquire(NAMES[:1], 1) == {NAMES[0]: 2}


async def test_who_has_no_heartbeat_gets_no_lease(pool: Pool) -> None:
    """A lease without one would never lapse."""
    assert await PostgresLeases(pool, "silent", 60.0).acquire(NAMES, 6) == {}


async def test_what_is_let_go_is_free_at_once(pool: Pool) -> None:
    """One lease by its name, all by leaving."""
    one, two = await member(pool, "one"), await member(pool, "two")
    await one.acquire(NAMES, 6)
    await one.release(NAMES[:1])
    assert await two.acquire(NAMES, 6) == {NAMES[0]: 2}
    await one.leave()
    assert len(await two.acquire(NAMES[1:], 6)) == 5
    assert (await two.beat()).processes == 1


async def test_a_turn_under_a_fence_that_was_taken_over_is_refused(pool: Pool) -> None:
    """The old holder's settle and claim do nothing once another process has the account."""
    one, two = await member(pool, "one"), await member(pool, "two")
    fence = (await one.acquire(NAMES[:1], 1))[NAMES[0]]
    store = PostgresDeliveries(pool, TENANT, "0", Lease(NAMES[0], fence))
    await store.turn((), Wanted(0, {}))
    await pool.execute(LAPSE, "one")
    await two.acquire(NAMES[:1], 1)
    with pytest.raises(FenceLost):
        await store.turn((), Wanted(0, {}))


async def test_the_watcher_is_told_of_accounts_with_work_in_one_query(pool: Pool) -> None:
    """Due ones with no time left, later ones with what is left; idle ones and others' not at all."""
    await pool.executemany(
        "insert into sync.due (tenant_id, connector, lane, due_time, entity_id)"
        " values ($1, $2, $3, clock_timestamp() + make_interval(secs => $4), $5)",
        [
            (TENANT, "now", 3, -5.0, key(1)),
            (TENANT, "now", 1, 60.0, key(2)),
            (TENANT, "later", 2, 60.0, key(1)),
            (TENANT, "foreign", 1, -5.0, key(1)),
        ],
    )
    asked = [(TENANT, "idle"), (TENANT, "later"), (TENANT, "now")]
    found = {item.connector: item for item in await PostgresDueTimes(pool).due_accounts(asked)}
    assert set(found) == {"now", "later"}
    assert found["now"].due_s <= 0
    assert 50 < found["later"].due_s <= 60
    assert isinstance(found["now"], DueAccount)


async def test_two_thousand_idle_accounts_are_looked_through_in_milliseconds(pool: Pool) -> None:
    """By index alone, whatever waits for others: a few blocks for each account, no scan of the queue.

    Jobs at vendors are few: their table may be read as a whole.
    """
    await pool.execute(
        "insert into sync.due (tenant_id, connector, lane, due_time, entity_id)"
        " select 't', 'busy', 1, clock_timestamp(), gen_random_uuid() from generate_series(1, 20000)"
    )
    accounts = [("t", f"idle{number}") for number in range(2000)]
    due_times = PostgresDueTimes(pool)
    assert await due_times.due_accounts(accounts) == []
    async with pool.acquire() as connection:
        statement = queries.load("headwater.sync", "watching.sql")["due_accounts"].text
        rows = await connection.fetch(
            f"explain (analyze, format json) {statement}",
            [account[0] for account in accounts],
            [account[1] for account in accounts],
        )
    plan = rows[0][0][0]
    assert _scanned(plan["Plan"]) <= {"bulk_job"}
    assert plan["Execution Time"] < 100.0


def _scanned(node: dict[str, Any]) -> set[str]:
    """Return the tables that a plan reads as a whole."""
    below = {name for child in node.get("Plans", ()) for name in _scanned(child)}
    return below | {node["Relation Name"]} if node["Node Type"] == "Seq Scan" else below
