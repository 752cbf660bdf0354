"""What the projector marks while a statement of the actor waits for it is neither lost nor hides what the actor did.

A row that was changed by another is found again by its key, never by the place where it stood: what is looked
for there is not seen by the statement that waited, and its change would be lost without a word.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import anyio
import asyncpg
import pytest
from tests.integration.sync.queued import Queue, ended, queued
from tests.integration.sync.whole import until
from tests.unit.sync.tenant import TENANT, key

from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.settling import State

pytestmark = pytest.mark.anyio

PATIENCE_S = 10.0
BLOCKED = "select count(*) > 0 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"


@pytest.fixture
async def queue(migrated_database_url: str) -> AsyncIterator[Queue]:
    """The queue of one account."""
    async with queued(migrated_database_url) as queue:
        yield queue


async def while_marked(
    url: str, number: int, act: Callable[[], Coroutine[Any, Any, object]], change: str = "desired_version = 2"
) -> None:
    """Change a delivery, let *act* wait for it, and commit the change."""
    connection, looking = await asyncpg.connect(url), await asyncpg.connect(url)
    try:
        async with anyio.create_task_group() as tasks, connection.transaction():
            await connection.execute(
                f"update sync.delivery set {change} where entity_id = $1",  # noqa: S608 - the tests' own
                key(number),
            )
            tasks.start_soon(act)
            await until(lambda: looking.fetchval(BLOCKED), PATIENCE_S)
    finally:
        await connection.close()
        await looking.close()


async def test_a_settlement_that_waits_for_a_mark_is_kept(queue: Queue, migrated_database_url: str) -> None:
    """The CRM's record is noted and the attempt told; the delivery is due again for what the mark has changed."""
    await queue.add(1, 2)
    turn = await queue.claim()
    await while_marked(migrated_database_url, 1, lambda: queue.settle(*map(ended, turn.claimed)))
    row = await queue.state(1)
    assert (row["state"], row["delivered_version"], row["desired_version"]) == (State.PENDING, 1, 2)
    assert row["crm_id"] == "0031"
    assert (await queue.state(2))["state"] == State.DELIVERED
    (item,) = (await queue.claim()).claimed
    assert (item.crm_id, item.known["Title"], item.in_doubt) == ("0031", "CTO", False)


async def test_what_was_left_in_flight_is_in_doubt_though_it_is_marked_in_that_moment(
    queue: Queue, migrated_database_url: str
) -> None:
    """A successor that waits for the mark still looks the record up first."""
    await queue.add(1)
    await queue.claim()
    await queue.pool.execute("update sync.lease set fence = 2")
    successor = queue.successor()
    await while_marked(migrated_database_url, 1, successor.take_over)
    assert (await queue.state(1))["state"] == State.IN_DOUBT


async def test_who_lacks_a_reference_is_woken_though_its_record_is_observed_in_that_moment(
    queue: Queue, migrated_database_url: str
) -> None:
    """A delivery that went without is due once what it refers to is delivered."""
    await queue.add(1)
    await queue.add(2, lane=Lane.BACKFILL)
    await queue.pool.execute(
        "insert into sync.entity_reference (tenant_id, from_entity_id, field, to_entity_id)"
        " values ($1, $2, 'account', $3)", TENANT, key(2), key(1),
    )  # fmt: skip
    turn = await queue.claim(backfill=1)
    await queue.settle(ended(turn.claimed[0], lacks_reference=True))
    assert (await queue.state(2))["state"] == State.DELIVERED
    (item,) = (await queue.claim()).claimed
    await while_marked(
        migrated_database_url, 2, lambda: queue.settle(ended(item, created=True)), "crm_object = crm_object"
    )
    assert (await queue.state(2))["state"] == State.PENDING
    assert await queue.faults() == []
