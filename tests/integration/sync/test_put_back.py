"""What a slot has claimed and may not call is delivered by another one: an actor on the tables of Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import pytest
from tests.integration.sync.queued import Queue, queued
from tests.unit.sync.accounts import PATIENCE_S, Crm, account_parts, document, down, memory_books
from tests.unit.sync.tenant import TENANT, key

from headwater.policy.account import Breaker, Limits, Window
from headwater.sync.delivery.account import DeliveryAccount

pytestmark = pytest.mark.anyio

ONE_CALL = Limits(window=Window(calls=1, window_s=0.1), concurrency=2, batch_records=10)
"""A second call waits at the gate for the answer to the first."""
IN_FLIGHT = "select exists (select from sync.inflight where $1 = any(entity_ids))"
OPEN = "select exists (select from sync.delivery where state <> 2)"


@pytest.fixture
async def queue(migrated_database_url: str) -> AsyncIterator[Queue]:
    """The queue of one account."""
    async with queued(migrated_database_url) as queue:
        yield queue


async def test_what_was_withheld_as_the_breaker_opened_is_delivered_when_it_closes(queue: Queue) -> None:
    """The second slot's call waits at the gate, the first one's fails: afterwards the first slot delivers both."""
    crm = Crm(hangs={str(key(1))}, fails=[down()])
    whole = document(ONE_CALL, breaker=Breaker(failures=1, hold_s=0.3))
    fast = whole.model_copy(update={"retry": whole.retry.model_copy(update={"fast_s": (0.0,) * 9})})
    subject = DeliveryAccount((TENANT, "salesforce"), fast, queue.store, memory_books(), account_parts(crm))
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            await queue.add(1)
            tasks.start_soon(subject.run)
            await crm.hanging.wait()
            await queue.add(2)
            subject.bell.ring()
            while not await queue.pool.fetchval(IN_FLIGHT, key(2)):
                await anyio.lowlevel.checkpoint()
            crm.release.set()
            while await queue.pool.fetchval(OPEN):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    assert crm.writes[0] == (str(key(1)),)
    assert set(crm.records) == {str(key(1)), str(key(2))}
