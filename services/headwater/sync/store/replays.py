"""Replays on Postgres: begun and steered by operators, worked off by any process under the row's lock."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from headwater.kernel.pg import queries
from headwater.sync.domain.operating import Steering
from headwater.sync.domain.replaying import NOWHERE, Replay, ReplayState, Scope, after_portion, portion
from headwater.sync.store.clock import read_time
from headwater.sync.store.faults import reaching, translated

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL = queries.load("headwater.sync", "replay.sql")
_WAKE_ACTORS = queries.load("headwater.sync", "projection.sql")["notify_deliveries"]

LAST_CONNECTOR: Final = "~"
"""Sorts behind every name of a connector account (policy: a letter, then `[a-z0-9_.-]`)."""
_ACTIONS: Final = {
    ReplayState.RUNNING: "replay_resumed",
    ReplayState.PAUSED: "replay_paused",
    ReplayState.CANCELLED: "replay_cancelled",
}

Place = tuple[str, uuid.UUID]


class PostgresReplays:
    """Port `Replays` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def count(self, tenant_id: str, scope: Scope, *, dead_only: bool) -> int:
        """Return how many deliveries a replay of *scope* would be for."""
        if scope.entity_ids:
            whole = list(scope.entity_ids), NOWHERE, len(scope.entity_ids), dead_only
            return len(await self._fetch("next_named", tenant_id, scope.connector, *whole))
        if scope.group_id is not None:
            rows = await self._fetch("count_group_dead", tenant_id, scope.group_id)
        else:
            last = scope.connector or LAST_CONNECTOR
            rows = await self._fetch("count_account_dead", tenant_id, scope.connector, last)
        count: int = rows[0]["deliveries"]
        return count

    async def start(self, replay: Replay) -> None:
        """Begin *replay*, unless it was begun before; wakes who works it off."""
        scope = replay.scope
        async with reaching(), self._pool.acquire() as connection, connection.transaction():
            begun = await connection.fetchval(
                _SQL["start_replay"].text,
                replay.tenant_id,
                replay.replay_id,
                scope.connector,
                scope.group_id,
                list(scope.entity_ids),
                replay.rate_per_s,
                replay.total_count,
                replay.next_time,
                replay.actor,
                replay.policy_version,
                replay.discard_reason,
            )
            if begun is not None:
                order = Steering(replay.tenant_id, scope.connector, replay.actor, replay.policy_version)
                change = ("rate_per_s", None, replay.rate_per_s)
                await _note(connection, order, replay.replay_id, "replay_started", change)

    async def read(self, tenant_id: str, replay_id: uuid.UUID) -> Replay | None:
        """Return one replay; None when there is none."""
        rows = await self._fetch("read_replay", tenant_id, replay_id)
        return _replay(rows[0]) if rows else None

    async def list_replays(
        self, tenant_id: str, before: tuple[dt.datetime, uuid.UUID], limit: int
    ) -> tuple[Replay, ...]:
        """Return up to *limit* replays begun before *before*, the newest first."""
        return tuple(_replay(row) for row in await self._fetch("list_replays", tenant_id, *before, limit))

    async def steer(
        self, order: Steering, replay_id: uuid.UUID, state: ReplayState, now: dt.datetime
    ) -> bool:
        """Put a replay that has not ended into *state*; return whether that changed anything."""
        async with reaching(), self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_SQL["steer_replay"].text, order.tenant_id, replay_id, state, now)
            if row is None:
                return False
            named = Steering(order.tenant_id, row["connector"], order.actor, order.policy_version)
            await _note(connection, named, replay_id, _ACTIONS[state], ("state", None, state.name.lower()))
        return True

    async def now(self) -> dt.datetime:
        """Return the database's time: that of a process may be off."""
        return await read_time(self._pool)

    async def work_off(self, now: dt.datetime) -> bool:
        """Make the next portion of the replay due that waits longest, or end it; return whether there was one.

        Place, count and deliveries move in one transaction: a crash repeats nothing and skips nothing.
        """
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_SQL["take_replay"].text, now)
            if row is None:
                return False
            replay = _replay(row)
            allowed = portion(replay.rate_per_s, replay.next_time, now)
            found = await _next(connection, replay, allowed.count)
            order = Steering(replay.tenant_id, replay.scope.connector, replay.actor, replay.policy_version)
            count = await _end_or_make_due(connection, replay, found)
            state = after_portion(allowed.count, len(found))
            place = found[-1] if found else replay.place
            await connection.execute(
                _SQL["move_replay"].text,
                replay.tenant_id,
                replay.replay_id,
                *place,
                count,
                allowed.next_time,
                state,
            )
            if state is ReplayState.DONE:
                change = ("replayed_count", None, replay.replayed_count + count)
                await _note(connection, order, replay.replay_id, "replay_done", change)
        return True

    async def next_time(self) -> dt.datetime | None:
        """Return when a running replay is due next; None when none runs."""
        async with translated():
            due: dt.datetime | None = await self._pool.fetchval(_SQL["next_replay_time"].text)
        return due

    async def _fetch(self, name: str, *arguments: Any) -> list[Any]:
        async with reaching():
            rows: list[Any] = await self._pool.fetch(_SQL[name].text, *arguments)
        return rows


async def _next(connection: Connection, replay: Replay, count: int) -> list[Place]:
    scope, (connector, entity_id) = replay.scope, replay.place
    if scope.entity_ids:
        named, dead_only = list(scope.entity_ids), bool(replay.discard_reason)
        arguments = replay.tenant_id, scope.connector, named, entity_id, count, dead_only
        rows = await connection.fetch(_SQL["next_named"].text, *arguments)
    elif scope.group_id is not None:
        rows = await connection.fetch(
            _SQL["next_of_group"].text, replay.tenant_id, scope.group_id, entity_id, replay.create_time, count
        )
    else:
        rows = await connection.fetch(
            _SQL["next_of_accounts"].text,
            replay.tenant_id,
            max(connector, scope.connector),
            entity_id,
            scope.connector or LAST_CONNECTOR,
            replay.create_time,
            count,
        )
    return [(row["connector"], row["entity_id"]) for row in rows]


async def _end_or_make_due(connection: Connection, replay: Replay, deliveries: Sequence[Place]) -> int:
    """Make those of *deliveries* due that are still stopped, or end them; return how many."""
    if not deliveries:
        return 0
    name, more = ("discard", [replay.discard_reason]) if replay.discard_reason else ("make_due", [])
    count: int = await connection.fetchval(
        _SQL[name].text,
        replay.tenant_id,
        [connector for connector, _ in deliveries],
        [entity_id for _, entity_id in deliveries],
        replay.actor,
        replay.policy_version,
        replay.replay_id,
        *more,
    )
    if count and not replay.discard_reason:
        await connection.execute(_WAKE_ACTORS.text)
    return count


async def _note(
    connection: Connection, order: Steering, replay_id: uuid.UUID, action: str, change: tuple[str, Any, Any]
) -> None:
    field, before, after = change
    noted = {"field": field, "before": before, "after": after, "rule": f"replay {replay_id}"}
    await connection.execute(
        _SQL["note_replay"].text,
        order.tenant_id,
        order.connector,
        order.actor,
        order.policy_version,
        action,
        [noted],
    )
    await connection.execute(_SQL["notify_replays"].text)


def _replay(row: Any) -> Replay:
    return Replay(
        tenant_id=row["tenant_id"],
        replay_id=row["replay_id"],
        scope=Scope(row["connector"], row["group_id"], tuple(row["entity_ids"])),
        rate_per_s=row["rate_per_s"],
        state=ReplayState(row["state"]),
        total_count=row["total_count"],
        replayed_count=row["replayed_count"],
        next_time=row["next_time"],
        actor=row["actor"],
        policy_version=row["policy_version"],
        discard_reason=row["discard_reason"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        place=(row["place_connector"], row["place_entity_id"]),
    )
