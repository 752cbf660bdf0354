"""The going over of a tenant's records, in the schema `identity`."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

from headwater.identity.domain.identifying import Identified
from headwater.identity.domain.records import GroupId, RecordId
from headwater.identity.domain.redoing import BEFORE_ALL, Redo, Reread, Rewriting, Said, Step
from headwater.identity.domain.scoring.stored import dump
from headwater.identity.store.postgres import PostgresIdentityStore
from headwater.identity.store.rows import keys_text, parts_of, ref_of
from headwater.identity.store.session import Session
from headwater.identity.store.transaction import PostgresTransaction
from headwater.kernel.ids import EntityId, EventKey, TenantId


@dataclass(frozen=True, slots=True)
class PostgresRedoTransaction(PostgresTransaction):
    """A transaction under way that has the tenant alone."""

    async def list_said(self, after: RecordId, rows_max: int) -> Sequence[Said]:
        return await _list_said(self.session, self.tenant_id, after, rows_max)

    async def rewrite(self, rewriting: Rewriting) -> None:
        changed = rewriting.changed
        await self.session.fetch(
            "rewrite_records",
            self.tenant_id,
            rewriting.version,
            rewriting.same,
            *_columns(changed),
            rows=len(changed),
        )

    async def forget_generic(self) -> None:
        await self.session.fetch("forget_generic", self.tenant_id)

    async def advance(self, redo: Redo, step: Step, now: dt.datetime, until: dt.datetime) -> bool:
        row = await self.session.fetch_one(
            "advance_redo",
            self.tenant_id,
            redo.version,
            redo.holder,
            step.phase,
            step.after,
            step.seen,
            step.changed,
            step.merged,
            now,
            until,
        )
        return row is not None


@dataclass(frozen=True, slots=True)
class PostgresRedoStore:
    """Goings over beside the entities that *entities* keeps."""

    entities: PostgresIdentityStore

    @asynccontextmanager
    async def alone(
        self, tenant_id: TenantId, timeout_s: float | None
    ) -> AsyncIterator[PostgresRedoTransaction]:
        """Open a transaction that has the tenant alone; commits at the end of the block."""
        async with self.entities.alone(tenant_id, timeout_s) as one:
            yield PostgresRedoTransaction(one.session, one.tenant_id, one.limits)

    async def list_due(self, version: int, tenants_max: int) -> Sequence[TenantId]:
        async with self.entities.sessions.open() as session:
            rows = await session.fetch("list_redo_tenants", version, tenants_max)
        return [TenantId(row["tenant_id"]) for row in rows]

    async def take(
        self, tenant_id: TenantId, version: int, holder: str, now: dt.datetime, until: dt.datetime
    ) -> Redo | None:
        async with self.entities.sessions.open() as session:
            row = await session.fetch_one("take_redo", tenant_id, version, holder, now, until, BEFORE_ALL)
            if row is not None and row["seen"] == 0:
                await session.fetch("count_redo", tenant_id, holder)
        return None if row is None else _redo_of(row)

    async def start(self, tenant_id: TenantId, version: int, now: dt.datetime) -> None:
        async with self.entities.sessions.open() as session:
            await session.fetch("start_redo", tenant_id, version, now, BEFORE_ALL)

    async def release(self, redo: Redo, now: dt.datetime) -> None:
        async with self.entities.sessions.open() as session:
            await session.fetch("release_redo", redo.tenant_id, redo.holder, now)

    async def find(self, tenant_id: TenantId) -> Redo | None:
        async with self.entities.sessions.open() as session:
            row = await session.fetch_one("find_redo", tenant_id)
        return None if row is None else _redo_of(row)

    async def has_older(self, tenant_id: TenantId, version: int) -> bool:
        async with self.entities.sessions.open() as session:
            (row,) = await session.fetch("has_older", tenant_id, version)
        return bool(row["behind"])

    async def list_said(self, tenant_id: TenantId, after: RecordId, rows_max: int) -> Sequence[Said]:
        async with self.entities.sessions.open() as session:
            return await _list_said(session, tenant_id, after, rows_max)


@dataclass(frozen=True, slots=True)
class PostgresSurveyTransaction(PostgresTransaction):
    """A transaction under way that has the tenant alone."""

    async def list_asked(self, entities: Sequence[EntityId]) -> frozenset[frozenset[EntityId]]:
        rows = await self.session.fetch("list_asked", self.tenant_id, entities, rows=len(entities))
        return frozenset(frozenset((row["entity_id"], row["other_entity_id"])) for row in rows)


@dataclass(frozen=True, slots=True)
class PostgresSurveyStore:
    """Records with what they said, beside the entities that *entities* keeps."""

    entities: PostgresIdentityStore

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Self]:
        """Open the store as of one moment."""
        async with self.entities.snapshot() as entities:
            yield type(self)(entities)

    @asynccontextmanager
    async def alone(
        self, tenant_id: TenantId, timeout_s: float | None
    ) -> AsyncIterator[PostgresSurveyTransaction]:
        """Open a transaction that has the tenant alone; commits at the end of the block."""
        async with self.entities.alone(tenant_id, timeout_s) as one:
            yield PostgresSurveyTransaction(one.session, one.tenant_id, one.limits)

    async def list_said(self, tenant_id: TenantId, after: RecordId, rows_max: int) -> Sequence[Said]:
        async with self.entities.sessions.open() as session:
            return await _list_said(session, tenant_id, after, rows_max)


async def _list_said(session: Session, tenant_id: TenantId, after: RecordId, rows_max: int) -> Sequence[Said]:
    rows = await session.fetch("list_said", tenant_id, after, rows_max, rows=rows_max)
    return [_said_of(row) for row in rows]


def _columns(changed: Sequence[Reread]) -> Iterator[Sequence[Any]]:
    """Yield what records say by later rules, table by table, as the statement takes it."""
    told = [
        (
            one.record_id,
            dump(one.after.parts),
            keys_text(one.after.keys),
            one.after.strong,
            one.after.exclusive,
        )
        for one in changed
    ]
    yield from _turned([(*row, one.digest) for row, one in zip(told, changed, strict=True)], 6)
    yield from _turned([(key, o.record_id) for o in changed for key in _without(o.before, o.after)], 2)
    yield from _turned([(key, o.record_id) for o in changed for key in _without(o.after, o.before)], 2)
    yield [key for o in changed for key in o.before.exclusive_keys if key not in o.after.exclusive_keys]
    yield from _turned([(key, o.entity_id) for o in changed for key in o.after.exclusive_keys], 2)


def _without(ours: Identified, theirs: Identified) -> Sequence[int]:
    return sorted(set(ours.keys) - set(theirs.keys))


def _turned(rows: Sequence[Sequence[Any]], width: int) -> Iterator[Sequence[Any]]:
    """Yield rows as columns."""
    return iter(list(zip(*rows, strict=True)) if rows else [()] * width)


def _said_of(row: Any) -> Said:
    keys = tuple(map(int, row["keys"].split()))
    told = Identified(parts_of(row["parts"]), keys, row["strong"], row["exclusive"])
    return Said(
        RecordId(row["record_id"]),
        ref_of(row),
        EntityId(row["entity_id"]),
        GroupId(row["group_id"]),
        EventKey(row["event_key"]),
        told,
        row["digest"],
        row["normalisation_version"],
        row["statements"] or (),
    )


def _redo_of(row: Any) -> Redo:
    return Redo(
        TenantId(row["tenant_id"]),
        row["version"],
        row["phase"],
        RecordId(str(row["after_id"])),
        row["records"],
        row["seen"],
        row["changed"],
        row["merged"],
        row["holder"],
        row["start_time"],
        row["update_time"],
        row["finish_time"],
    )
