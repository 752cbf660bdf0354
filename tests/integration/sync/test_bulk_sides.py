"""Bulk events in the real log: overtaken by live ones, projected all the same, and made again by a rebuild."""

from __future__ import annotations

from typing import Any, Final

import pytest
from tests.integration.sync.test_rebuild_tenant import QUIET, state_of
from tests.integration.sync.whole import CALL_S, Doors, doors, event, looking, syncing, until

from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.telemetry.old_news import old_news

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(60)]

TENANT: Final = "acme"
PEOPLE: Final = 40
OLD: Final = 400
LIVE: Final = 30
WAITS_MAX: Final = 200
"""Bulk events that may be projected before the last live one: some batches, while the front gets there."""
STATE: Final = {
    "records": "select object, source, external_id, entity_id, fields::text, deleted from sync.record where tenant_id = $1",
    "entities": "select entity_id, object, state, merged_into, fields::text from sync.entity where tenant_id = $1",
    "ends": "select event_key, poisoned from sync.projection where tenant_id = $1",
}
SIDES: Final = (
    "select bool_and((front.xid, front.seq) <= (back.xid, back.seq)) from sync.shard_cursor as front"
    " left join sync.shard_cursor as back on back.shard = ~front.shard where front.shard >= 0"
)
ORDER: Final = (
    "select array_agg(log.tracestate is null order by done.xmin::text::bigint) from sync.projection as done"
    " inner join ingest.event as log using (tenant_id, event_key) where log.source = 'erp'"
)


async def record(world: Doors, first: int, count: int, *, bulk: bool) -> None:
    """Record changes of people, each later than the one before it."""
    events = [
        event("erp", "contact", f"c-{n % PEOPLE}", n, email=f"p{n % PEOPLE}@one.example.com", title=f"t{n}")
        for n in range(first, first + count)
    ]
    if bulk:
        context = old_news()
        for one in events:
            one.trace.traceparent, one.trace.tracestate = context.traceparent, context.tracestate
    request = ingest_pb2.BatchRecordEventsRequest(tenant_id=TENANT, events=events)
    told = (await world.ingest.BatchRecordEvents(request, timeout=CALL_S)).outcomes
    assert {item.disposition for item in told} == {ingest_pb2.DISPOSITION_ACCEPTED}


async def test_live_events_overtake_bulk_events_and_a_rebuild_ends_in_the_same(
    migrated_database_url: str,
) -> None:
    """Everything is projected once, what is live before most of what is old; the later time wins in either order."""
    url = migrated_database_url
    async with doors(url) as world, looking(url) as connection:
        policy = event("headwater", "policy", TENANT, document=QUIET)
        request = ingest_pb2.BatchRecordEventsRequest(tenant_id=TENANT, events=[policy])
        await world.ingest.BatchRecordEvents(request, timeout=CALL_S)
        await record(world, 0, OLD, bulk=True)
        await record(world, OLD, LIVE, bulk=False)
        events = 1 + OLD + LIVE

        async def projected() -> bool:
            return bool(await connection.fetchval("select count(*) from sync.projection") == events)

        async def through() -> bool:
            return await projected() and not await connection.fetchval("select count(*) from sync.rebuild")

        async with syncing(url, world.identity_address, ingest_address=world.ingest_address):
            await until(projected, 30)
        live = await connection.fetchval(ORDER)
        assert sum(live) == LIVE
        assert sum(live[: LIVE + WAITS_MAX]) == LIVE
        assert await connection.fetchval(SIDES)
        before = await state_of(connection, TENANT, STATE)
        latest: dict[str, Any] = {f"c-{n % PEOPLE}": f"t{n}" for n in range(OLD + LIVE)}
        titles = await connection.fetch("select external_id, fields from sync.record where source = 'erp'")
        assert all(repr(latest[row["external_id"]]) in repr(row["fields"]) for row in titles)
        assert len(titles) == PEOPLE
        assert await connection.fetchval("select sync.begin_rebuild('user:me')") == events
        async with syncing(url, world.identity_address, ingest_address=world.ingest_address):
            await until(through, 30)
        assert await state_of(connection, TENANT, STATE) == before
        assert await connection.fetchval(SIDES)
