"""The mechanics of our queue alone: claim, a send that does nothing, the outcome recorded. `ours '<Errand as JSON>'`.

Goes through sync's own port, so what is measured is what actors use. Each delivery is a change of a record that the
CRM holds: it leaves an attempt, and an audit entry of one field. Speaks the protocol of `stages`.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import anyio
import asyncpg
import uvloop

from headwater.kernel.ids import ObjectName
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.service import spare_the_collector
from headwater.policy.survivorship import Chosen
from headwater.sync.domain.delivering import Claimed
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.log import LogEvent, Position
from headwater.sync.domain.projecting import Mark, Workspace
from headwater.sync.domain.settling import Settlement, State, is_plain
from headwater.sync.domain.states import EntityState
from headwater.sync.domain.turns import Wanted
from headwater.sync.store.delivery import PostgresDeliveries
from headwater.sync.store.leases import PostgresLeases
from headwater.sync.store.projection import PostgresProjections

TENANT: Final = "bench"
CONNECTOR: Final = "noop"
LEASE: Final = f"connector/{TENANT}/{CONNECTOR}"
LEASE_TTL_S: Final = 600.0
CONTACT: Final[ObjectName] = "contact"
CHUNK: Final = 2_000
"""Entities that are marked in one transaction while filling."""
PAYLOAD_CHARS: Final = 350
LEFT: Final = "select count(*) from sync.delivery where state <> 2"
DONE: Final = "select count(*) from sync.try where outcome in ('created', 'updated')"
SIZES: Final = (
    "select sum(pg_table_size(c.oid))::bigint as tables, sum(pg_indexes_size(c.oid))::bigint as indexes"
    " from pg_class as c join pg_namespace as n on n.oid = c.relnamespace"
    " where n.nspname = 'sync' and c.relkind in ('r', 'm') and c.relname = any($1::text [])"
)
QUEUE_TABLES: Final = ("delivery", "due", "inflight")
"""Tables that stand still while deliveries come and go; attempts and audit are a history and grow by design."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What is drained.

    Args:
        deliveries: of one account, one entity each, all due when the window opens.
        rounds: how often every delivery is marked and drained again; the window spans them all.
        known: deliver everything once before the window opens; else the window holds the first deliveries.
        slots: turns under way side by side.
        held: hold a snapshot in another connection all the while.
        compact: write the queue's tables anew before the window opens, so that their size is that of their live rows.
    """

    url: str
    deliveries: int
    rounds: int = 1
    slots: int = 2
    batch: int = 1_000
    held: bool = False
    known: bool = True
    compact: bool = False

    def command_argument(self) -> str:
        """Return the errand as the program takes it."""
        return json.dumps(asdict(self))


class Drain:
    """One account's queue, filled and drained."""

    def __init__(self, pool: asyncpg.Pool[Any], errand: Errand, lease: Lease) -> None:
        self._pool = pool
        self._errand = errand
        self._lease = lease
        self._store = PostgresDeliveries(pool, TENANT, CONNECTOR, lease)
        self._claiming = anyio.Lock()
        self._in_flight: dict[int, list[uuid.UUID]] = {}
        self._now = dt.datetime.now(dt.UTC)

    async def fill(self, version: int) -> None:
        """Mark every entity for its next version, as the projector does."""
        projections = PostgresProjections(self._pool)
        for start in range(0, self._errand.deliveries, CHUNK):
            entities = [
                _entity(number, version)
                for number in range(start, min(start + CHUNK, self._errand.deliveries))
            ]
            async with projections.transaction([self._lease]) as unit:
                await unit.lock_entities({one.key: one.object for one in entities})
                workspace = Workspace({}, entities_changed={one.key: one for one in entities})
                for one in entities:
                    mark = Mark(
                        TENANT,
                        CONNECTOR,
                        one.entity_id,
                        one.object,
                        version,
                        _event(one, version, self._now),
                        Lane.LIVE,
                    )
                    workspace.marks[(TENANT, CONNECTOR, one.entity_id)] = mark
                await unit.write_workspace(workspace, {})
                await unit.move_cursors({})

    async def run(self) -> int:
        """Drain until nothing is due; return the deliveries."""
        counts: list[int] = []
        async with anyio.create_task_group() as tasks:
            for slot in range(self._errand.slots):
                tasks.start_soon(self._work, slot, counts)
        return sum(counts)

    async def _work(self, slot: int, counts: list[int]) -> None:
        """Take turns as the slots of an actor do (`delivery.desk`): who would have to wait settles meanwhile."""
        settlements: Sequence[Settlement] = ()
        while True:
            if settlements and self._claiming.locked() and all(map(is_plain, settlements)):
                await self._store.turn(settlements, Wanted(slot, {}, keeps=True))
                settlements, self._in_flight[slot] = (), []
            async with self._claiming:
                others = [key for other, keys in self._in_flight.items() if other != slot for key in keys]
                wanted = Wanted(slot, {Lane.LIVE: self._errand.batch}, others)
                turn = await self._store.turn(settlements, wanted)
                self._in_flight[slot] = [item.entity_id for item in turn.claimed]
            if not turn.claimed:
                return
            counts.append(len(turn.claimed))
            now = dt.datetime.now(dt.UTC)
            settlements = [_settled(item, now) for item in turn.claimed]


def _entity(number: int, version: int) -> EntityState:
    entity_id = uuid.UUID(int=(number * 0x9E3779B97F4A7C15) % 2**64 << 64 | number)
    value = Chosen(
        "x" * PAYLOAD_CHARS, "most_recent", "erp", entity_id, dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
    )
    return EntityState(TENANT, entity_id, CONTACT, version=version, fields={"note": value})


def _event(entity: EntityState, version: int, now: dt.datetime) -> LogEvent:
    key = uuid.UUID(int=entity.entity_id.int ^ version)
    return LogEvent(TENANT, key, "erp", CONTACT, "x", now, now, 1, "", b"", None, 0, Position(1, 1))


def _settled(item: Claimed, now: dt.datetime) -> Settlement:
    title = f"title {item.version}"
    change = {
        "field": "title",
        "before": item.known.get("title"),
        "after": title,
        "rule": "minimal_patch",
    }
    return Settlement(
        claimed=item, state=State.DELIVERED, version=max(item.version, 1), crm_object="contacts",
        crm_id=item.crm_id or str(item.entity_id), known={**item.known, "title": title}, failure_count=0,
        try_count=0, start_time=now, outcome="updated" if item.crm_id else "created", lane=item.lane,
        changes=(change,), policy_version="7", created=not item.crm_id,
    )  # fmt: skip


async def carry_out(errand: Errand) -> None:
    """Fill and drain, and say what it took."""
    async with await open_pool(
        errand.url, application_name="bench", size_min=4, size_max=8, session_reset=False
    ) as pool:
        leases = PostgresLeases(pool, "bench", LEASE_TTL_S)
        await leases.beat()
        fences = await leases.acquire([LEASE], 1)
        drain = Drain(pool, errand, Lease(LEASE, fences[LEASE]))
        first = 1
        if errand.known:
            await drain.fill(first)
            await drain.run()
            first = 2
        await drain.fill(first)
        for table in QUEUE_TABLES if errand.compact else ():
            await pool.execute(f"vacuum full sync.{table}")
        await pool.execute("vacuum analyze")
        live = await _sizes(pool)
        holder = await _snapshot(errand) if errand.held else None
        before = await pool.fetchval(DONE)
        _say(stage="measuring")
        began, used = time.perf_counter(), time.process_time()
        delivered, busy_s = 0, 0.0
        for number in range(first, first + errand.rounds):
            if number > first:
                await drain.fill(number)
            started = time.perf_counter()
            delivered += await drain.run()
            busy_s += time.perf_counter() - started
        cpu_s = time.process_time() - used
        _say(
            stage="measured",
            events=delivered,
            seconds=busy_s if errand.rounds > 1 else time.perf_counter() - began,
            cpu_s=cpu_s,
        )
        if holder is not None:
            await holder.close()
        stored = await pool.fetchval(DONE) - before
        left = await pool.fetchval(LEFT)
        _say(
            stage="done", acked=delivered, distinct=delivered, stored=stored - left,
            live_bytes=live, end_bytes=await _sizes(pool),
        )  # fmt: skip


async def _sizes(pool: asyncpg.Pool[Any]) -> dict[str, int]:
    row = await pool.fetchrow(SIZES, list(QUEUE_TABLES))
    assert row is not None
    return {"tables": row["tables"], "indexes": row["indexes"]}


async def _snapshot(errand: Errand) -> asyncpg.Connection[Any]:
    """Open a connection that holds a snapshot until it is closed."""
    holder = await asyncpg.connect(errand.url)
    await holder.execute("begin isolation level repeatable read read only")
    await holder.fetchval("select count(*) from pg_class")
    return holder


def _say(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    spare_the_collector()
    uvloop.run(carry_out(Errand(**json.loads(sys.argv[1]))))
