"""The store of the simulation and the store in Postgres answer the same to the same."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.simulation.chance import stream
from tests.simulation.conformance.driving import ACCOUNT, TENANT, Driver, Ground
from tests.simulation.store.books import MemoryBooks
from tests.simulation.store.deliveries import MemoryDeliveries
from tests.simulation.store.echoes import MemoryHeldRecords
from tests.simulation.store.leases import MemoryLeases
from tests.simulation.store.link import GOOD, Link
from tests.simulation.store.projections import MemoryProjections
from tests.simulation.store.replays import MemoryReplays, start_replay
from tests.simulation.store.tables import Tables

from headwater.kernel.clock import SteppedClock
from headwater.kernel.pg.pool import open_pool
from headwater.sync.store.delivery import PostgresDeliveries
from headwater.sync.store.echoes import PostgresHeldRecords
from headwater.sync.store.leases import PostgresLeases
from headwater.sync.store.limits import PostgresLimits
from headwater.sync.store.projection import PostgresProjections
from headwater.sync.store.replays import PostgresReplays

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool
    from headwater.sync.domain.replaying import Replay

STEPS = 60
SEEDS = 8
_TTL_S = 3600.0


def memory(seed: int) -> tuple[Ground, Tables]:
    """Return an empty store of the simulation."""
    clock = SteppedClock(dt.datetime.now(dt.UTC))
    tables = Tables(clock.now, 1)

    def tick(kind: str, *facts: Any) -> None:
        del kind, facts
        clock.advance(0.001)

    async def start(replay: Replay) -> None:
        start_replay(tables, replay)
        tick("start_replay")  # what fails from now on has failed since

    link = Link(stream(seed, "link"), lambda: GOOD, tick, 0.0003)
    return (
        Ground(
            lambda holder: MemoryLeases(tables, link, holder, _TTL_S),
            MemoryProjections(tables, link),
            partial(MemoryDeliveries, tables, link, TENANT, ACCOUNT),
            partial(MemoryBooks, tables, link, TENANT, ACCOUNT),
            MemoryHeldRecords(tables, link),
            MemoryReplays(tables, link),
            start,
        ),
        tables,
    )


def postgres(pool: Pool) -> Ground:
    """Return the product's store on *pool*."""
    replays = PostgresReplays(pool)
    return Ground(
        lambda holder: PostgresLeases(pool, holder, _TTL_S),
        PostgresProjections(pool),
        partial(PostgresDeliveries, pool, TENANT, ACCOUNT),
        partial(PostgresLimits, pool, TENANT, ACCOUNT),
        PostgresHeldRecords(pool),
        replays,
        replays.start,
    )


@pytest.mark.anyio
@pytest.mark.timeout(120)
async def test_random_sequences_are_answered_alike(migrated_database_url: str) -> None:
    """Every answer and the final rows agree, for every seed."""
    async with await open_pool(migrated_database_url, application_name="test", size_max=4) as pool:
        for seed in range(SEEDS):
            await _clear(pool)
            ours, tables = memory(seed)
            told = await Driver(ours, seed).run(STEPS)
            wanted = await Driver(postgres(pool), seed).run(STEPS)
            for number, (mine, theirs) in enumerate(zip(told, wanted, strict=True)):
                assert mine == theirs, f"seed {seed}, answer {number}: {difference(mine, theirs)}"
            assert _rows(tables) == await _stored(pool), f"seed {seed}"


def difference(mine: Any, theirs: Any) -> str:
    """Return the first place where two answers differ."""
    if isinstance(mine, (list, tuple)) and isinstance(theirs, (list, tuple)) and len(mine) == len(theirs):
        for number, pair in enumerate(zip(mine, theirs, strict=True)):
            if pair[0] != pair[1]:
                return f"[{number}] {difference(*pair)}"
    return f"{mine} != {theirs}"


async def _clear(pool: Pool) -> None:
    tables = ("delivery", "due", "inflight", "attempt", "entity", "record", "entity_reference", "projection",
              "lease", "process", "shard_cursor", "connector_state", "usage", "quota",
              "ruling", "former_record", "replay", "error_member", "error_group")  # fmt: skip
    await pool.execute("alter table sync.audit disable trigger audit_is_immutable")
    for table in (*tables, "audit"):
        await pool.execute(f"delete from sync.{table}")  # noqa: S608 - names are the tests'


async def _stored(pool: Pool) -> dict[str, Any]:
    rows = await pool.fetch(
        "select held.entity_id, held.state, held.desired_version, held.delivered_version, held.crm_id, held.known,"
        " held.failure_count, held.try_count, held.wait_since is not null as waits, held.lacks_reference,"
        " due.lane from sync.delivery as held left join sync.due as due using (tenant_id, connector, entity_id)"
    )
    attempts = await pool.fetch("select entity_id, attempt_number, outcome from sync.try order by attempt_id")
    audit = await pool.fetch(
        "select entity_id, action, connector from sync.audit where entity_id is not null"
    )
    journal = await pool.fetch("select slot, fence, entity_ids from sync.inflight")
    return {
        "delivery": {row["entity_id"]: tuple(row)[1:] for row in rows},
        "attempts": sorted(tuple(row) for row in attempts),
        "audit": sorted(tuple(row) for row in audit),
        "journal": {row["slot"]: (row["fence"], tuple(row["entity_ids"])) for row in journal},
    }


def _rows(tables: Tables) -> dict[str, Any]:
    held = tables.account((TENANT, ACCOUNT))
    slots = tables.inflight.get((TENANT, ACCOUNT), {})
    return {
        "delivery": {
            row.entity_id: (
                int(row.state), row.desired_version, row.delivered_version, row.crm_id, dict(row.known),
                row.failure_count, row.try_count, row.wait_since is not None, row.lacks_reference,
                int(row.lane) if row.is_due else None,
            )
            for row in held.values()
        },
        "attempts": sorted((row.entity_id, row.number, row.outcome) for row in tables.attempts),
        "audit": sorted((row.entity_id, row.action, row.connector) for row in tables.audit),
        "journal": {slot: (row.fence, row.entities) for slot, row in slots.items()},
    }  # fmt: skip
