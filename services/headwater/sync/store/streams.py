"""How far the streams of CRMs are heard, in Postgres."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from headwater.kernel.pg import queries
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.streaming import StreamPlan, StreamState, StreamStep
from headwater.sync.store.faults import translated
from headwater.sync.store.leases import hold_fences

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL = queries.load("headwater.sync", "stream.sql")
_FETCHING: Final = queries.load("headwater.sync", "fetch.sql")
_SCHEDULE: Final = queries.load("headwater.sync", "schedule.sql")


class PostgresStreams:
    """Port `Streams` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read(self, tenant_id: str, connector: str, topic: str) -> StreamState:
        """Return where a stream goes on."""
        async with translated():
            row = await self._pool.fetchrow(_SQL["read_stream"].text, tenant_id, connector, topic)
        return StreamState() if row is None else StreamState(row["mark"], row["catch_up_time"])

    async def keep(
        self, lease: Lease, tenant_id: str, connector: str, plan: StreamPlan, step: StreamStep
    ) -> StreamState | None:
        """Keep a step; see the port."""
        heard = step.heard
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await hold_fences(connection, [lease])
            row = await connection.fetchrow(
                _SQL["move_stream"].text,
                tenant_id,
                connector,
                plan.topic,
                step.before,
                heard.mark,
                len(heard.wanted),
                heard.unread,
                heard.unreadable,
                step.catch_up_time,
            )
            if row is None:
                return None
            await _want(connection, tenant_id, connector, heard.wanted)
            await _ask(connection, tenant_id, step.polls)
            await connection.execute(_SQL["note_stream"].text, tenant_id, plan.schedule, _told(row))
        return StreamState(row["mark"], row["catch_up_time"])

    async def lose(self, lease: Lease, tenant_id: str, connector: str, plan: StreamPlan, mark: str) -> None:
        """Forget a mark; see the port."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await hold_fences(connection, [lease])
            await connection.execute(_SQL["lose_stream"].text, tenant_id, connector, plan.topic, mark)
            await _ask(connection, tenant_id, tuple(plan.polls.values()))

    async def catch_up(
        self, lease: Lease, tenant_id: str, connector: str, plan: StreamPlan, due: dt.datetime | None
    ) -> None:
        """Have the pollers run now; see the port."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await hold_fences(connection, [lease])
            if due is not None:
                await connection.execute(_SQL["end_catching_up"].text, tenant_id, connector, plan.topic, due)
            await _ask(connection, tenant_id, tuple(plan.polls.values()))


async def _want(
    connection: Connection, tenant_id: str, connector: str, wanted: tuple[tuple[str, str], ...]
) -> None:
    if wanted:
        objects, ids = zip(*sorted(wanted), strict=True)
        await connection.execute(_SQL["want_told"].text, tenant_id, connector, list(objects), list(ids))
        await connection.execute(_FETCHING["notify_fetches"].text)


async def _ask(connection: Connection, tenant_id: str, names: tuple[str, ...]) -> None:
    if names:
        await connection.execute(_SQL["ask_polls"].text, tenant_id, list(names))
        await connection.execute(_SCHEDULE["notify_schedules"].text)


def _told(row: Any) -> str:
    lost = f", the place lost {row['lost_count']} times" if row["lost_count"] else ""
    return (
        f"listening: {row['wanted_count']} records told of, {row['unread_count']} changes that nobody reads{lost}, "
        f"last word {row['move_time']:%Y-%m-%d %H:%M:%S} UTC"
    )
