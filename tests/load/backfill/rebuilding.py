"""A projection made again from the log by the real services: how fast, and whether it is byte for byte the same."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from tests.load.sync import facts
from tests.load.sync.ground import Ground, World, until

ACCOUNTS: Final = facts.TWO[:1]
EVENTS_A_RECORD: Final = 4
STATE: Final = {
    "records": "select tenant_id, object, source, external_id, entity_id, fields::text, deleted from sync.record",
    "entities": "select tenant_id, entity_id, object, state, merged_into, fields::text from sync.entity",
    "references": "select * from sync.entity_reference",
    "deliveries": "select tenant_id, connector, entity_id, object, state, crm_id, event_key, failure_count,"
    " desired_version = delivered_version as whole from sync.delivery",
    "ends of events": "select tenant_id, event_key, rule, superseded, poisoned from sync.projection",
    "audit": "select audit_id, action, entity_id, changes::text from sync.audit where action <> 'rebuild_began'",
}
"""What a rebuild must give again, byte for byte; versions count how often something was computed."""
DIGEST: Final = (
    "select count(*), coalesce(md5(string_agg(row::text, '' order by row::text)), '') from ({}) as row"
)
LEFT: Final = "select count(*) from sync.rebuild"
PROJECTED: Final = "select count(*) from sync.projection"
PAUSE: Final = "insert into sync.connector_state (tenant_id, connector, paused) values ($1, $2, true)"
LEASES_S_MAX: Final = 60.0


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild came to.

    Args:
        seconds: from the projector's first batch to the last shard's arrival; starting is not counted.
        differing: parts of the state that are not what they were.
    """

    events: int
    seconds: float
    differing: tuple[str, ...]


async def rebuild(ground: Ground, events: int) -> Rebuilt:
    """Record *events*, project them, empty the projection and have it made again.

    Raises: MeasurementFailed.
    """
    async with ground.world(ACCOUNTS) as world:
        for one in ACCOUNTS:  # the CRM is not what is measured
            await world.look.execute(PAUSE, facts.TENANT, one.name)
        await world.apply_policy()
        records = max(1, events // EVENTS_A_RECORD)
        await world.record([facts.contact(number % records, number) for number in range(events)])
        await _until_projected(world, events + 1)
        await world.end("sync")
        before = await _state(world)
        count = await world.look.fetchval("select sync.begin_rebuild('bench')")
        await world.start("sync")
        await until(lambda: _begun(world), "the rebuild begun", LEASES_S_MAX)
        done, began_s = await world.look.fetchval(PROJECTED), time.perf_counter()
        await until(lambda: _through(world), "the rebuild through", 60.0 + events / 500)
        seconds = time.perf_counter() - began_s
        after = await _state(world)
    differing = tuple(name for name in STATE if before[name] != after[name])
    return Rebuilt(count - done, seconds, differing)


async def _state(world: World) -> dict[str, tuple[object, ...]]:
    return {name: tuple((await world.look.fetch(DIGEST.format(sql)))[0]) for name, sql in STATE.items()}


async def _until_projected(world: World, events: int) -> None:
    async def reached() -> bool:
        return bool(await world.look.fetchval(PROJECTED) >= events)

    await until(reached, "every event projected", 60.0 + events / 200)


async def _begun(world: World) -> bool:
    return bool(await world.look.fetchval(PROJECTED))


async def _through(world: World) -> bool:
    return not await world.look.fetchval(LEFT)
