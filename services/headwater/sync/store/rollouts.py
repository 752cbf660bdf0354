"""Rollouts on Postgres: begun and steered by operators, worked off by any process under the row's lock."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import msgspec

from headwater.kernel.errors import PreconditionFailed
from headwater.kernel.pg import queries
from headwater.sync.domain.changing import PolicyChange
from headwater.sync.domain.foreseeing import EntityPage
from headwater.sync.domain.operating import Steering
from headwater.sync.domain.rollout import OPEN_MAX, Fate, Rollout, RolloutKind, Stage
from headwater.sync.domain.staging import InForce
from headwater.sync.domain.workbench import Standing
from headwater.sync.rollouts.ports import FailedMember, Member
from headwater.sync.store.clock import read_time
from headwater.sync.store.faults import reaching, translated
from headwater.sync.store.rollout_notes import note_step, start_rollouts
from headwater.sync.store.rollout_rows import (
    read_change,
    read_rollout,
    read_stage,
    rollout_row,
    stage_row,
)
from headwater.sync.store.staging import PostgresStaging, failed_staged, put_stage, read_first, read_in_force
from headwater.sync.store.workbench import standings
from headwater.sync.wakeup import name_accounts

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL = queries.load("headwater.sync", "rollout.sql")
_ERRORS = queries.load("headwater.sync", "errors.sql")
_NOTIFY = queries.load("headwater.sync", "watching.sql")["notify_accounts"]

SIBLING_ABORTED: Final = "the rollout to another account was aborted"


class PostgresRollouts:
    """Ports `RolloutStore` and `RolloutDesk` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def taken(self, now: dt.datetime) -> AsyncIterator[_Unit | None]:
        """Begin a transaction on the open rollout that is due first; None when none is due."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_SQL["take_rollout"].text, now)
            yield None if row is None else await _unit(connection, row)

    @asynccontextmanager
    async def held(self, order: Steering, rollout_id: uuid.UUID) -> AsyncIterator[_Unit | None]:
        """Begin a transaction on one rollout, for an operator's order; None when there is none."""
        async with reaching(), self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_SQL["hold_rollout"].text, order.tenant_id, rollout_id)
            yield None if row is None else await _unit(connection, row, order.actor)
            await connection.execute(_SQL["notify_rollouts"].text)

    async def now(self) -> dt.datetime:
        """Return the database's time: that of a process may be off."""
        return await read_time(self._pool)

    async def next_time(self) -> dt.datetime | None:
        """Return when an open rollout is due next; None when none is open."""
        async with translated():
            due: dt.datetime | None = await self._pool.fetchval(_SQL["next_rollout_time"].text)
        return due

    async def waiting_changes(self) -> tuple[PolicyChange, ...]:
        """Return the policy changes that are to be put into the log, or taken back."""
        async with translated():
            rows = await self._pool.fetch(_SQL["waiting_changes"].text)
        return tuple(read_change(row) for row in rows)

    async def begin_change(self, change: PolicyChange, now: dt.datetime) -> bool:
        """Note that the new policy may be in the log from now on; False when it was aborted before."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await connection.fetchrow(_SQL["hold_change"].text, change.tenant_id, change.change_id)
            begun = await connection.fetchval(
                _SQL["begin_change"].text, change.tenant_id, change.change_id, now
            )
        return begun is not None

    async def applied(self, change: PolicyChange, now: dt.datetime) -> None:
        """Note that the new policy is in the log."""
        async with translated():
            await self._pool.execute(_SQL["end_begin"].text, change.tenant_id, change.change_id, now)

    async def told(self, change: PolicyChange, now: dt.datetime) -> None:
        """Note that the log was told the stage that was wanted."""
        async with translated():
            await put_stage(self._pool, change, now)

    async def in_force(self, tenant_id: str) -> InForce:
        """Return the newest policy event of a tenant."""
        async with translated():
            return await read_in_force(self._pool, tenant_id)

    async def taken_back(self, change: PolicyChange, now: dt.datetime, *, replaced: bool) -> None:
        """Note that an abort is through with the policy; its finished rollouts take back what they wrote."""
        key = (change.tenant_id, change.change_id)
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await connection.fetchrow(_SQL["hold_change"].text, *key)
            await connection.execute(_SQL["end_change"].text, *key, now, replaced)
            if not replaced:
                await connection.execute(_SQL["reopen_siblings"].text, *key, now, SIBLING_ABORTED)

    async def text_in_force(self, tenant_id: str) -> str:
        """Return the text of the tenant's policy; empty when there is none."""
        async with reaching():
            payload = await self._pool.fetchval(_SQL["policy_in_force"].text, tenant_id)
        return _text(payload)

    async def scan_page(
        self, tenant_id: str, connector: str, objects: Sequence[str], after: uuid.UUID, limit: int
    ) -> tuple[Standing, ...]:
        """Return the next entities of *objects* behind *after*, as the account has them; writes nothing."""
        async with (
            reaching(),
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await _scan(connection, tenant_id, connector, objects, after, limit)

    async def start(self, rollouts: Sequence[Rollout], change: PolicyChange | None) -> None:
        """Begin rollouts together, unless they were begun before.

        Raises: PreconditionFailed (ROLLOUT_OPEN): an account has one under way.
        """
        async with reaching(), self._pool.acquire() as connection:
            try:
                async with connection.transaction():
                    await start_rollouts(connection, rollouts, change)
            except asyncpg.UniqueViolationError as error:
                accounts = ", ".join(item.connector for item in rollouts)
                message = f"a rollout to one of these accounts is under way: {accounts}"
                raise PreconditionFailed(message, reason="ROLLOUT_OPEN") from error

    async def read(self, tenant_id: str, rollout_id: uuid.UUID) -> Rollout | None:
        """Return one rollout; None when there is none."""
        rows = await self._fetch("read_rollout", tenant_id, rollout_id)
        return read_rollout(rows[0]) if rows else None

    async def stages(self, tenant_id: str, rollout_id: uuid.UUID) -> tuple[Stage, ...]:
        """Return the stages of a rollout that have begun."""
        return tuple(read_stage(row) for row in await self._fetch("list_stages", tenant_id, rollout_id))

    async def failed(self, rollout: Rollout, limit: int) -> tuple[FailedMember, ...]:
        """Return up to *limit* records of a rollout that failed."""
        if rollout.kind is RolloutKind.VALUES:
            async with reaching():
                return await failed_staged(self._pool, rollout, limit)
        rows = await self._fetch(
            "list_failed_members", rollout.tenant_id, rollout.rollout_id, rollout.connector, limit
        )
        return tuple(
            FailedMember(
                row["entity_id"],
                row["stage"],
                Fate(row["fate"]),
                row["last_error_class"] or "",
                row["last_error"] or "",
            )
            for row in rows
        )

    async def texts(self, rollout: Rollout) -> tuple[str, str]:
        """Return the policies of a rollout: the one before, and the new one; empty for a re-delivery."""
        key = (rollout.tenant_id, rollout.selection.change_id)
        async with reaching():
            row = await self._pool.fetchrow(_SQL["read_texts"].text, *key)
        return ("", "") if row is None else (row["former_text"], row["new_text"])

    async def first(
        self, rollout: Rollout, connectors: Sequence[str]
    ) -> tuple[EntityPage, Mapping[uuid.UUID, tuple[str, ...]]]:
        """Return the entities that a change of values reaches first, and by what each changes, in their order."""
        async with (
            reaching(),
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await read_first(connection, rollout, connectors)

    async def list_rollouts(
        self, tenant_id: str, before: tuple[dt.datetime, uuid.UUID], limit: int
    ) -> tuple[Rollout, ...]:
        """Return up to *limit* rollouts begun before *before*, the newest first."""
        return tuple(
            read_rollout(row) for row in await self._fetch("list_rollouts", tenant_id, *before, limit)
        )

    async def _fetch(self, name: str, *arguments: Any) -> list[Any]:
        async with reaching():
            rows: list[Any] = await self._pool.fetch(_SQL[name].text, *arguments)
        return rows


class _Unit:
    """Port `RolloutUnit`: one rollout under its row's lock."""

    def __init__(
        self, connection: Connection, rollout: Rollout, change: PolicyChange | None, actor: str
    ) -> None:
        self.rollout = rollout
        self.change = change
        self._connection = connection
        self._actor = actor
        self._key = (rollout.tenant_id, rollout.rollout_id)

    def staging(self) -> PostgresStaging:
        """Return the same transaction for a rollout of which values are staged."""
        if self.change is None:
            raise AssertionError("a rollout of values has a change")
        return PostgresStaging(self._connection, self, self.change)

    async def policy_in_force(self) -> str:
        """Return the text of the tenant's policy; empty when there is none."""
        return _text(await self._connection.fetchval(_SQL["policy_in_force"].text, self.rollout.tenant_id))

    async def finding(self) -> str:
        """Return what keeps the account from being used; empty when nothing does."""
        held = self.rollout
        text = await self._connection.fetchval(_SQL["read_finding"].text, held.tenant_id, held.connector)
        return text or ""

    async def scan(self, objects: Sequence[str], limit: int) -> tuple[Standing, ...]:
        """Return the next entities of *objects* behind the rollout's place, as the account has them."""
        held = self.rollout
        return await _scan(self._connection, held.tenant_id, held.connector, objects, held.place, limit)

    async def add(self, entities: Mapping[uuid.UUID, int]) -> None:
        """Note records that the rollout is for, with the place of each in its order."""
        await self._connection.execute(
            _SQL["add_members"].text, *self._key, list(entities), list(entities.values())
        )

    async def turn_back(self) -> int:
        """Put every record that was admitted in line again; return how many."""
        count: int = await self._connection.fetchval(_SQL["turn_members_back"].text, *self._key)
        return count

    async def admit(self, stage: int, count: int, *, back: bool, now: dt.datetime) -> tuple[int, int]:
        """Make the next *count* records due; return how many are under way, and how many are left out."""
        held = self.rollout
        event_key = held.selection.change_id or held.rollout_id
        look_up = held.selection.look_up
        rows = await self._connection.fetch(_SQL["next_members"].text, *self._key, count)
        entities = sorted(row["entity_id"] for row in rows)
        arguments = held.connector, entities, stage, look_up, back, event_key, now
        row = await self._connection.fetchrow(_SQL["admit_members"].text, *self._key, *arguments)
        await self._wake()
        assert row is not None  # noqa: S101 - an aggregate has one row
        return row["open_count"], row["left_count"]

    async def open_members(self) -> tuple[Member, ...]:
        """Return the records that are under way."""
        rows = await self._connection.fetch(_SQL["open_members"].text, *self._key, OPEN_MAX)
        return tuple(Member(row["entity_id"], Fate(row["fate"]), row["return_count"]) for row in rows)

    async def standing(self, entities: Sequence[uuid.UUID]) -> tuple[Standing, ...]:
        """Return deliveries as they stand."""
        place = self.rollout.tenant_id, self.rollout.connector
        rows = await self._connection.fetch(_ERRORS["read_standing"].text, *place, entities)
        linked = await self._connection.fetch(_ERRORS["read_references"].text, *place, entities)
        return standings(*place, rows, linked)

    async def judge(self, fates: Mapping[uuid.UUID, Fate]) -> None:
        """Note where records stand."""
        await self._connection.execute(
            _SQL["move_members"].text, *self._key, list(fates), list(fates.values())
        )

    async def send_again(self, entities: Sequence[uuid.UUID]) -> None:
        """Make settled records due again."""
        await self._connection.execute(
            _SQL["return_members"].text, *self._key, self.rollout.connector, entities
        )
        await self._wake()

    async def relapsed(self, stage: int) -> int:
        """Note which delivered records of *stage* are dead since; return how many."""
        rows = await self._connection.fetch(
            _SQL["relapsed_members"].text, *self._key, self.rollout.connector, stage
        )
        return len(rows)

    async def save(self, rollout: Rollout) -> None:
        """Store how the rollout stands, and tell the audit when its state or stage is another one."""
        before, self.rollout = self.rollout, rollout
        await self._connection.execute(_SQL["save_rollout"].text, *self._key, *rollout_row(rollout))
        if rollout.stage.begin_time is not None:
            await self._connection.execute(_SQL["save_stage"].text, *self._key, *stage_row(rollout.stage))
        if (before.state, before.stage.number) != (rollout.state, rollout.stage.number):
            await note_step(self._connection, before, rollout, self._actor)

    async def _wake(self) -> None:
        account = (self.rollout.tenant_id, self.rollout.connector)
        await self._connection.execute(_NOTIFY.text, name_accounts({account}))


async def _unit(connection: Connection, row: Any, actor: str = "") -> _Unit:
    rollout = read_rollout(row)
    change = None
    if rollout.selection.change_id is not None:
        found = await connection.fetchrow(
            _SQL["hold_change"].text, rollout.tenant_id, rollout.selection.change_id
        )
        change = None if found is None else read_change(found)
    return _Unit(connection, rollout, change, actor or "sync")


async def _scan(
    connection: Connection,
    tenant_id: str,
    connector: str,
    objects: Sequence[str],
    after: uuid.UUID,
    limit: int,
) -> tuple[Standing, ...]:
    rows = await connection.fetch(
        _SQL["scan_standing"].text, tenant_id, connector, after, list(objects), limit
    )
    entities = [row["entity_id"] for row in rows]
    linked = await connection.fetch(_ERRORS["read_references"].text, tenant_id, connector, entities)
    return standings(tenant_id, connector, rows, linked)


def _text(payload: bytes | None) -> str:
    return "" if payload is None else str(msgspec.json.decode(payload)["document"])
