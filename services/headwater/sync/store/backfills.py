"""Backfills in Postgres: begun and steered by operators, moved under the lease of their account."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from headwater.kernel.pg import queries
from headwater.sync.backfilling.ports import AccountKey, PageRead
from headwater.sync.domain.absence import disbelief
from headwater.sync.domain.backfilling import FROM, Backfill, BackfillState, Part
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.operating import Steering
from headwater.sync.store.faults import reaching, translated
from headwater.sync.store.leases import hold_fences
from headwater.sync.store.polling import PostgresCursors, write_refusals

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL = queries.load("headwater.sync", "backfill.sql")
_FETCHING = queries.load("headwater.sync", "fetch.sql")


class PostgresBackfills:
    """Ports `BackfillBook` and `BackfillDesk` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._cursors = PostgresCursors(pool)

    async def open(self, accounts: Sequence[AccountKey]) -> list[Backfill]:
        """Return the running backfill that was begun first of each account."""
        tenants, names = [tenant for tenant, _ in accounts], [name for _, name in accounts]
        async with translated(), self._pool.acquire() as connection:
            return await _whole(
                connection, await connection.fetch(_SQL["open_backfills"].text, tenants, names)
            )

    async def stop_of(self, tenant_id: str, connector: str, now: dt.datetime) -> str:
        """Return why an account may not be called now; empty when it may."""
        return await self._cursors.stop_of(tenant_id, connector, now)

    async def count(
        self, lease: Lease, backfill: Backfill, crm_object: str, expected: int, page_records: int
    ) -> None:
        """Keep what the CRM counted of an object."""
        async with self._held(lease) as connection:
            await connection.execute(
                _SQL["note_counted"].text, *_key(backfill), crm_object, expected, page_records
            )
            await connection.fetchval(_SQL["move_backfill"].text, *_key(backfill), 1, 0.0)

    async def move(self, lease: Lease, backfill: Backfill, page: PageRead) -> bool:
        """Keep that a page is done, with refusals, in one transaction."""
        told = page.recorded
        async with self._held(lease) as connection:
            moved = await connection.fetchval(
                _SQL["move_part"].text, *_key(backfill), page.crm_object, page.before, page.after, page.done, page.read,
                page.deleted, told.accepted, told.duplicates, told.quarantined, len(told.refused),
            )  # fmt: skip
            if moved is None:
                return False
            place = (backfill.tenant_id, backfill.connector, page.crm_object)
            await write_refusals(connection, place, page.ids, told.refused)
            if backfill.absences and page.ids:
                await connection.execute(
                    _SQL["note_listed"].text, *_key(backfill), page.crm_object, list(page.ids)
                )
            runs: bool | None = await connection.fetchval(
                _SQL["move_backfill"].text, *_key(backfill), 1, page.work_s
            )
        return bool(runs)

    async def absent(self, lease: Lease, backfill: Backfill, crm_object: str, source: str) -> str:
        """Have records read directly that were not listed, if the listing is believed; return why it is not."""
        async with self._held(lease) as connection:
            (held,) = await _whole(
                connection, await connection.fetch(_SQL["read_backfill"].text, *_key(backfill))
            )
            part = next(item for item in held.parts if item.crm_object == crm_object)
            place = (*_key(backfill), crm_object, part.object, source)
            counted = (await connection.fetch(_SQL["count_absent"].text, *place))[0]
            absent: int = counted["absent"]
            listed = part.read - part.deleted
            why = disbelief(
                held=counted["held"],
                absent=absent,
                expected=(part.expected or 0) - part.deleted,
                listed=listed,
            )
            await connection.execute(_SQL["note_absent"].text, *_key(backfill), crm_object, absent)
            if absent and not why:
                await connection.execute(_SQL["fetch_absent"].text, *place, backfill.connector)
                await connection.execute(_FETCHING["notify_fetches"].text)
        return why

    async def find(self, lease: Lease, backfill: Backfill, finding: str) -> None:
        """Say what a backfill waits for."""
        async with self._held(lease) as connection:
            await connection.execute(_SQL["find_backfill"].text, *_key(backfill), finding[:1024])

    async def end(self, lease: Lease, backfill: Backfill, state: BackfillState, finding: str) -> None:
        """End a running backfill, with audit."""
        async with self._held(lease) as connection:
            row = await connection.fetchrow(_SQL["end_backfill"].text, *_key(backfill), state, finding[:1024])
            await connection.execute(_SQL["forget_listed"].text, *_key(backfill))
            if row is not None:
                order = Steering(backfill.tenant_id, row["connector"], row["actor"], row["policy_version"])
                change = ("state", "running", state.name.lower())
                await _note(connection, order, backfill.backfill_id, f"backfill_{state.name.lower()}", change)

    async def waiting(self, tenant_id: str, event_keys: Sequence[str]) -> int:
        """Return how many of these events are not projected yet."""
        async with translated():
            count: int = await self._pool.fetchval(
                _SQL["unprojected"].text, tenant_id, [uuid.UUID(key) for key in event_keys]
            )
        return count

    async def start(self, backfill: Backfill) -> None:
        """Begin a backfill with audit and wake-up, unless it was begun before."""
        async with reaching(), self._pool.acquire() as connection, connection.transaction():
            begun = await connection.fetchval(
                _SQL["start_backfill"].text, *_key(backfill), backfill.connector, backfill.since, backfill.until,
                backfill.share, backfill.dry_run, backfill.actor, backfill.policy_version, backfill.absences,
            )  # fmt: skip
            if begun is None:
                return
            names = [part.crm_object for part in backfill.parts], [part.object for part in backfill.parts]
            await connection.execute(_SQL["start_parts"].text, *_key(backfill), *names)
            order = Steering(backfill.tenant_id, backfill.connector, backfill.actor, backfill.policy_version)
            action = "backfill_counted" if backfill.dry_run else "backfill_started"
            await _note(connection, order, backfill.backfill_id, action, ("share", None, backfill.share))

    async def read(self, tenant_id: str, backfill_id: uuid.UUID) -> Backfill | None:
        """Return one backfill; None when there is none."""
        async with reaching(), self._pool.acquire() as connection:
            rows = await connection.fetch(_SQL["read_backfill"].text, tenant_id, backfill_id)
            found = await _whole(connection, rows)
        return found[0] if found else None

    async def list_backfills(self, tenant_id: str, limit: int) -> list[Backfill]:
        """Return the newest backfills."""
        async with reaching(), self._pool.acquire() as connection:
            return await _whole(
                connection, await connection.fetch(_SQL["list_backfills"].text, tenant_id, limit)
            )

    async def steer(
        self, order: Steering, backfill_id: uuid.UUID, state: BackfillState, share: float
    ) -> bool:
        """Put a backfill into *state* if it may get there; return whether that changed anything."""
        async with reaching(), self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                _SQL["steer_backfill"].text, order.tenant_id, backfill_id, state, list(FROM[state]), share
            )
            if row is None:
                return False
            if state is BackfillState.CANCELLED:
                await connection.execute(_SQL["forget_listed"].text, order.tenant_id, backfill_id)
            named = Steering(order.tenant_id, row["connector"], order.actor, order.policy_version)
            action = (
                "backfill_resumed" if state is BackfillState.RUNNING else f"backfill_{state.name.lower()}"
            )
            await _note(connection, named, backfill_id, action, ("state", None, state.name.lower()))
        return True

    @asynccontextmanager
    async def _held(self, lease: Lease) -> AsyncIterator[Connection]:
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await hold_fences(connection, [lease])
            yield connection


def _key(backfill: Backfill) -> tuple[str, uuid.UUID]:
    return backfill.tenant_id, backfill.backfill_id


async def _note(
    connection: Connection, order: Steering, backfill_id: uuid.UUID, action: str, change: tuple[str, Any, Any]
) -> None:
    field, before, after = change
    noted = {"field": field, "before": before, "after": after, "rule": f"backfill {backfill_id}"}
    await connection.execute(
        _SQL["note_backfill"].text, order.tenant_id, order.connector, order.actor, order.policy_version, action, [noted]
    )  # fmt: skip
    await connection.execute(_SQL["notify_backfills"].text)


async def _whole(connection: Connection, rows: Sequence[Any]) -> list[Backfill]:
    parts: dict[tuple[str, uuid.UUID], list[Part]] = {}
    by_tenant: dict[str, list[uuid.UUID]] = {}
    for row in rows:
        by_tenant.setdefault(row["tenant_id"], []).append(row["backfill_id"])
    for tenant_id, ids in by_tenant.items():
        for row in await connection.fetch(_SQL["read_parts"].text, tenant_id, ids):
            parts.setdefault((tenant_id, row["backfill_id"]), []).append(_part(row))
    return [_backfill(row, parts.get((row["tenant_id"], row["backfill_id"]), [])) for row in rows]


def _backfill(row: Any, parts: Sequence[Part]) -> Backfill:
    return Backfill(
        tenant_id=row["tenant_id"],
        backfill_id=row["backfill_id"],
        connector=row["connector"],
        since=row["since_time"],
        until=row["until_time"],
        share=row["share"],
        dry_run=row["dry_run"],
        state=BackfillState(row["state"]),
        actor=row["actor"],
        policy_version=row["policy_version"],
        parts=tuple(parts),
        finding=row["finding"],
        calls=row["call_count"],
        work_s=row["work_s"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        absences=row["absences"],
    )


def _part(row: Any) -> Part:
    return Part(
        crm_object=row["crm_object"],
        object=row["object"],
        cursor=row["cursor"],
        done=row["done"],
        expected=row["expected_count"],
        page_records=row["page_records"],
        read=row["read_count"],
        deleted=row["deleted_count"],
        accepted=row["accepted_count"],
        duplicates=row["duplicate_count"],
        quarantined=row["quarantined_count"],
        refused=row["refused_count"],
        absent=row["absent_count"],
    )
