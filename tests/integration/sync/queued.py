"""One connector account's queue on a database of the test's own, with deliveries put in by hand."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.unit.sync.tenant import NOON, TENANT, key

from headwater.kernel.pg.pool import open_pool
from headwater.sync.domain.delivering import Claimed
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.settling import Settlement, State
from headwater.sync.domain.turns import Turn, Wanted
from headwater.sync.store.delivery import PostgresDeliveries

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

CONNECTOR: Final = "salesforce"
LEASE: Final = Lease(f"connector/{TENANT}/{CONNECTOR}", 1)
CONNECTIONS: Final = 3
"""Of the queue's pool, at most."""
ALL: Final = dict.fromkeys(Lane, 100)
_MARKS: Final = "select sync.mark_deliveries($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"


@dataclass(slots=True)
class Queue:
    """The tables of one account and an actor's store on them."""

    pool: Pool
    store: PostgresDeliveries

    async def add(self, *numbers: int, lane: Lane = Lane.LIVE, **columns: Any) -> None:
        """Put entities in, each with a delivery that was marked in *lane*."""
        entities = [key(number) for number in numbers]
        await self.pool.execute(
            "insert into sync.entity (tenant_id, entity_id, object, state, version, fields)"
            " select $1, entity_id, 'contact', 'active', 1, $3 from unnest($2::uuid []) as item (entity_id)",
            TENANT,
            entities,
            {"email": ["a@x.io", "rule", "site", str(key(9)), 1]},
        )
        await self._mark(entities, lane, 1)
        for name, value in columns.items():
            await self.pool.execute(
                f"update sync.delivery set {name} = $2 where entity_id = any($1)",  # noqa: S608 - the tests' own
                entities,
                value,
            )

    async def mark(self, number: int, lane: Lane = Lane.LIVE, version: int = 1, event: int = 9) -> None:
        """Mark an entity as the projector does."""
        await self._mark([key(number)], lane, version, event)

    async def _mark(self, entities: Sequence[uuid.UUID], lane: Lane, version: int, event: int = 9) -> None:
        same = ([CONNECTOR], ["contact"], [version], [key(event)], [""], [""], [NOON], [lane])
        connector, *rest = (column * len(entities) for column in same)
        await self.pool.execute(_MARKS, [TENANT] * len(entities), connector, entities, *rest)

    async def postpone(self, number: int, seconds: float) -> None:
        """Let a delivery be due only in *seconds*."""
        await self.pool.execute(
            "update sync.due set due_time = clock_timestamp() + make_interval(secs => $2) where entity_id = $1",
            key(number),
            seconds,
        )

    async def claim(self, slot: int = 0, excluding: Sequence[uuid.UUID] = (), **lanes: int) -> Turn:
        """Take a turn that settles nothing; all lanes unless some are named."""
        wanted = {Lane[name.upper()]: rows for name, rows in lanes.items()} or ALL
        return await self.store.turn((), Wanted(slot, wanted, excluding))

    async def settle(self, *settlements: Settlement, slot: int = 0) -> Turn:
        """Take a turn that claims nothing."""
        return await self.store.turn(settlements, Wanted(slot, {}))

    async def lines(self) -> dict[int, tuple[int, bool]]:
        """Return number to lane and whether it is due now, of all that stand in line."""
        rows = await self.pool.fetch(
            "select entity_id, lane, due_time <= clock_timestamp() as is_due from sync.due order by entity_id"
        )
        return {row["entity_id"].int: (row["lane"], row["is_due"]) for row in rows}

    async def state(self, number: int) -> Any:
        """Return the delivery of an entity."""
        return await self.pool.fetchrow("select * from sync.delivery where entity_id = $1", key(number))

    async def faults(self) -> Sequence[Any]:
        """Return deliveries that stand in line and should not, or should and do not."""
        found: Sequence[Any] = await self.pool.fetch(
            "select held.entity_id, held.state, due.lane from sync.delivery as held"
            " full join sync.due using (tenant_id, connector, entity_id)"
            " where (held.state in (1, 3, 4)) is distinct from (due.lane is not null)"
        )
        return found

    def successor(self, fence: int = 2) -> PostgresDeliveries:
        """Return the store of an actor with another fence."""
        return PostgresDeliveries(self.pool, TENANT, CONNECTOR, Lease(LEASE.name, fence))


def ended(claimed: Claimed, state: State = State.DELIVERED, **changed: Any) -> Settlement:
    """Return the settlement of a try: of a write that the CRM took, unless *changed* says otherwise."""
    outcomes = {State.DELIVERED: "updated", State.IN_DOUBT: "in_doubt"}
    failed = state in {State.RETRYING, State.IN_DOUBT}
    fields: dict[str, Any] = {
        "claimed": claimed, "state": state, "version": claimed.version, "crm_object": "Contact",
        "crm_id": f"003{claimed.entity_id.int}", "known": {**claimed.known, "Title": "CTO"},
        "failure_count": 0, "try_count": 0 if state is State.DELIVERED else 1, "start_time": NOON,
        "outcome": outcomes.get(state, "failed"), "lane": Lane.RETRY if failed else claimed.lane,
        "changes": ({"field": "Title", "before": "", "after": "CTO", "rule": "minimal_patch"},),
    }  # fmt: skip
    return Settlement(**{**fields, **changed})


@asynccontextmanager
async def queued(url: str) -> AsyncIterator[Queue]:
    """Open the queue of an account under a lease that lasts."""
    async with await open_pool(url, application_name="test", size_max=CONNECTIONS) as pool:
        await pool.execute(
            "insert into sync.lease (name, holder, fence, expire_time) values ($1, 'test', $2, $3)",
            LEASE.name, LEASE.fence, dt.datetime(2100, 1, 1, tzinfo=dt.UTC),
        )  # fmt: skip
        yield Queue(pool, PostgresDeliveries(pool, TENANT, CONNECTOR, LEASE))
