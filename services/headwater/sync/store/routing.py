"""Leads and their timers in Postgres: a page of a tenant in one transaction, under the tenant's row.

Entities are read, never locked: the projector waits for nobody. What changes while a page is worked on leaves a mark
of its own, and is looked at again.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import msgspec

from headwater.kernel.ids import ROUTING_SOURCE
from headwater.kernel.pg import queries
from headwater.policy.conditions import fits
from headwater.policy.document import PolicyDocument
from headwater.policy.routing import Sla
from headwater.sync.domain.leads import LeadRow, LeadState, Look, Touch
from headwater.sync.domain.sla import Timer, TimerKind, TimerState
from headwater.sync.domain.states import EntityState, RecordState
from headwater.sync.domain.tending import Tending
from headwater.sync.routing.ports import Page, Told
from headwater.sync.store.clock import read_time
from headwater.sync.store.faults import translated
from headwater.sync.store.versions import read_entity, read_member

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL: Final = queries.load("headwater.sync", "routing.sql")
_POLICY: Final = queries.load("headwater.sync", "policy.sql")
_encode: Final = msgspec.json.Encoder().encode
_ACTIVITY: Final = "activity"
_ROW_COLUMNS: Final = 19
_TIMER_COLUMNS: Final = 12


class PostgresRouting:
    """Port `RoutingStore` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def busy(self, digests: Mapping[str, str], now: dt.datetime) -> Sequence[str]:
        """Return those of some tenants that have something to do."""
        async with translated():
            rows = await self._pool.fetch(
                _SQL["busy_tenants"].text, list(digests), now, list(digests.values())
            )
        return [row["tenant_id"] for row in rows]

    @asynccontextmanager
    async def taken(self, tenant_id: str, digest: str) -> AsyncIterator[_Unit | None]:
        """Begin a transaction that holds a tenant; None while another process does."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_SQL["enter_tenant"].text, tenant_id, digest)
            row = await connection.fetchrow(_SQL["take_tenant"].text, tenant_id)
            yield None if row is None else _Unit(connection, tenant_id, row["digest"], row["sweep_place"])

    async def to_tell(self, tenant_id: str, limit: int) -> Sequence[Told]:
        """Return what the log is to be told next."""
        async with translated():
            rows = await self._pool.fetch(_SQL["read_events_to_tell"].text, tenant_id, limit)
        return [msgspec.convert(row["body"], Told) for row in rows]

    async def note_told(self, tenant_id: str, told: Sequence[tuple[Told, uuid.UUID | None]]) -> None:
        """Note what the log was told, and as which events."""
        bound = [(item.entity_id, item.number, key) for item, key in told if key is not None and item.number]
        names = [item.request_id for item, _ in told]
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            if bound:
                await connection.execute(_SQL["bind_events"].text, tenant_id, *_columns(bound, 3))
            if refused := [item for item, key in told if key is None]:
                notes = [("routing_refused", item.entity_id, _refusal(item)) for item in refused]
                await connection.execute(_SQL["note_routing"].text, tenant_id, "", *_columns(notes, 3))
            await connection.execute(_SQL["forget_events"].text, tenant_id, names)

    async def now(self) -> dt.datetime:
        """Return the database's time: that of a process may be off."""
        return await read_time(self._pool)

    async def next_time(self, tenants: Sequence[str]) -> dt.datetime | None:
        """Return when something is to be looked at by itself; None when nothing is."""
        async with translated():
            due: dt.datetime | None = await self._pool.fetchval(_SQL["next_time"].text, list(tenants))
        return due


class _Unit:
    """Port `RoutingUnit`: one tenant under its row's lock."""

    def __init__(
        self, connection: Connection, tenant_id: str, digest: str, sweep_place: uuid.UUID | None
    ) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self.digest = digest
        self.sweep_place = sweep_place

    async def rebuilding(self) -> bool:
        """Say whether the log is being projected again."""
        held: bool = await self._connection.fetchval(_POLICY["rebuilding"].text)
        return held

    async def sweep(self, limit: int, now: dt.datetime) -> None:
        """Have the next leads behind the sweep's place looked at; move the place."""
        rows = await self._fetch("sweep_assignments", self.sweep_place, limit, now)
        self.sweep_place = max(row["entity_id"] for row in rows) if len(rows) == limit else None

    async def save(self, digest: str) -> None:
        """Note by which policy the tenant is routed, and how far its sweep is."""
        await self._connection.execute(_SQL["save_tenant"].text, self._tenant_id, digest, self.sweep_place)

    async def read_page(self, document: PolicyDocument, limit: int, now: dt.datetime) -> Page:
        """Return what is to be looked at: marked, due, or with a timer that has run out."""
        marks = await self._fetch("read_marks", limit)
        due = await self._fetch("due_homes", now, limit)
        out = await self._fetch("due_timers", now, limit)
        touches = await self._touches(document.sla, [row for row in marks if row["object"] == _ACTIVITY])
        marked = {row["entity_id"]: row for row in reversed(marks) if row["object"] != _ACTIVITY}
        leads = list(dict.fromkeys([*marked, *(row["home_id"] for row in due)]))
        entities, members = await self._entities(leads), await self._members(leads)
        routed = set(document.routing.objects) if document.routing else set()
        looks = [
            Look(entity, members.get(entity.entity_id, ()), *_mark(marked.get(entity.entity_id)))
            for entity in entities
            if entity.object in routed
        ]
        named = [home for touch in touches for home in touch.homes]
        ids = {*leads, *named, *(row["entity_id"] for row in out), *_named_by(members.values())}
        rows = await self._rows(ids)
        timers = await self._fetch("read_timers", [row.entity_id for row in rows])
        loads = await self._fetch("read_loads")
        turns = await self._fetch("read_turns")
        return Page(
            looks,
            touches,
            rows,
            [read_timer(row) for row in timers],
            Counter({row["person"]: row["load"] for row in loads}),
            {row["pool"]: row["person"] for row in turns},
            [row["mark_id"] for row in marks],
            full=limit in {len(marks), len(due), len(out)},
        )

    async def _entities(self, ids: Sequence[uuid.UUID]) -> list[EntityState]:
        if not ids:
            return []
        rows = await self._fetch("read_entities", ids)
        return [read_entity(self._tenant_id, row) for row in rows]

    async def _members(self, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[RecordState]]:
        found: dict[uuid.UUID, list[RecordState]] = {}
        if ids:
            rows = await self._connection.fetch(_POLICY["members_of"].text, self._tenant_id, ids)
            for row in rows:
                found.setdefault(row["entity_id"], []).append(read_member(row))
        return found

    async def _rows(self, ids: set[uuid.UUID]) -> list[LeadRow]:
        """Return the rows of leads, of what was merged into them, and of whatever stands for them."""
        found: dict[uuid.UUID, LeadRow] = {}
        wanted = ids
        while wanted:
            rows = [read_row(row) for row in await self._fetch("read_assignments", list(wanted))]
            found.update({row.entity_id: row for row in rows})
            wanted = {row.home_id for row in rows} - ids
            ids = ids | wanted
        return list(found.values())

    async def _touches(self, sla: Sla | None, marks: Sequence[Any]) -> list[Touch]:
        if sla is None or not marks:
            return []
        ids = list({row["entity_id"] for row in marks})
        homes: dict[uuid.UUID, list[uuid.UUID]] = {}
        for row in await self._fetch("read_references", ids):
            homes.setdefault(row["from_entity_id"], []).append(row["to_entity_id"])
        heard = {row["entity_id"]: row["record_time"] for row in marks}
        return [
            _touch(sla, entity, tuple(homes[entity.entity_id]), heard[entity.entity_id])
            for entity in await self._entities(ids)
            if entity.state == "active" and entity.entity_id in homes
        ]

    async def write(self, tending: Tending, told: Sequence[Told], marks: Sequence[int]) -> None:
        """Write what was changed: rows, timers, turns, audit, what the log is to be told; take the marks away."""
        rows = [_row_values(row) for row in tending.changed.values()]
        timers = [_timer_values(timer) for timer in tending.timers.changed.values()]
        notes = [(item.action, item.entity_id, _encode(item.changes).decode()) for item in tending.notes]
        events = [(item.request_id, item.entity_id, item.number, _plain(item)) for item in told]
        for name, values, width in (
            ("write_assignments", rows, _ROW_COLUMNS),
            ("write_timers", timers, _TIMER_COLUMNS),
            ("write_turns", sorted(tending.turned.items()), 2),
            ("add_events", events, 4),
        ):
            if values:
                await self._connection.execute(_SQL[name].text, self._tenant_id, *_columns(values, width))
        if notes:
            version = tending.document.version
            await self._connection.execute(
                _SQL["note_routing"].text, self._tenant_id, version, *_columns(notes, 3)
            )
        if marks:
            await self._connection.execute(_SQL["delete_marks"].text, self._tenant_id, list(marks))

    async def _fetch(self, name: str, *arguments: Any) -> list[Any]:
        return list(await self._connection.fetch(_SQL[name].text, self._tenant_id, *arguments))


def read_row(row: Any) -> LeadRow:
    """Return a row of `sync.assignment` in the domain's words."""
    return LeadRow(
        entity_id=row["entity_id"],
        home_id=row["home_id"],
        object=row["object"],
        source=row["source"],
        state=LeadState(row["state"]),
        lead_time=row["lead_time"],
        number=row["number"],
        moves=row["move_count"],
        person=row["person"],
        role=row["role"],
        rule=row["rule"],
        pool=row["pool"],
        lane=row["lane"],
        reason=row["reason"],
        policy_version=row["policy_version"],
        assign_time=row["assign_time"],
        touch_time=row["touch_time"],
        check_time=row["check_time"],
        event_key=row["event_key"],
    )


def read_timer(row: Any) -> Timer:
    """Return a row of `sync.sla_timer` in the domain's words."""
    return Timer(
        entity_id=row["entity_id"],
        number=row["number"],
        kind=TimerKind(row["kind"]),
        target=row["target"],
        rule=row["rule"],
        person=row["person"],
        escalate_to=row["escalate_to"],
        start_time=row["start_time"],
        due_time=row["due_time"],
        state=TimerState(row["state"]),
        end_time=row["end_time"],
        elapsed_s=row["elapsed_s"],
    )


def _row_values(row: LeadRow) -> tuple[Any, ...]:
    return (
        row.entity_id, row.home_id, row.object, row.source, int(row.state), row.number, row.moves, row.person, row.role,
        row.rule, row.pool, row.lane, row.reason, row.policy_version, row.lead_time, row.assign_time, row.touch_time,
        row.check_time, row.event_key,
    )  # fmt: skip


def _timer_values(timer: Timer) -> tuple[Any, ...]:
    return (
        timer.entity_id, timer.number, int(timer.kind), int(timer.state), timer.target, timer.rule, timer.person,
        timer.escalate_to, timer.start_time, timer.due_time, timer.end_time, timer.elapsed_s,
    )  # fmt: skip


def _touch(sla: Sla, entity: EntityState, homes: tuple[uuid.UUID, ...], heard: dt.datetime) -> Touch:
    values = {name: chosen.value for name, chosen in entity.fields.items()}
    ours = bool(sla.touch) and fits(sla.touch, values)
    theirs = bool(sla.message) and not ours and fits(sla.message, values)
    return Touch(_moment(values.get(sla.time)) or heard, ours, theirs, homes)


def _moment(value: Any) -> dt.datetime | None:
    """Return when an activity happened; None where its field does not say it."""
    try:
        moment = dt.datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _mark(row: Any) -> tuple[dt.datetime | None, tuple[int, int]]:
    return (None, (0, 0)) if row is None else (row["record_time"], (row["xid"], row["seq"]))


def _refusal(item: Told) -> str:
    told = {"field": "event", "before": None, "after": item.request_id, "rule": item.actor}
    return _encode([told]).decode()


def _named_by(members: Iterable[Sequence[RecordState]]) -> Iterable[uuid.UUID]:
    """Yield the entities by which own records are named: those whose rows may stand for a lead."""
    for records in members:
        for item in records:
            if item.key.source == ROUTING_SOURCE:
                yield uuid.UUID(item.key.external_id)


def _plain(item: Told) -> Mapping[str, Any]:
    plain: Mapping[str, Any] = msgspec.to_builtins(asdict(item))
    return plain


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[Sequence[Any]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width
