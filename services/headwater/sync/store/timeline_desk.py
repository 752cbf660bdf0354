"""Timelines and touches as people read them, on Postgres."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from headwater.kernel.pg import queries
from headwater.sync.domain.associating import Activity, Association, Person
from headwater.sync.domain.attributing import TouchFact
from headwater.sync.domain.log import LogEvent, Position, RecordKey
from headwater.sync.store.behind import write_touches
from headwater.sync.store.faults import reaching
from headwater.sync.timeline.ports import Entry, Wanted

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

_KEPT: Final = queries.load("headwater.sync", "timeline.sql")
_SQL: Final = queries.load("headwater.sync", "timeline_desk.sql")
_PROVENANCE: Final = queries.load("headwater.sync", "provenance.sql")


class PostgresTimelineDesk:
    """Port `TimelineDesk` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, tenant_id: str, subject: uuid.UUID | RecordKey) -> uuid.UUID | None:
        """Return the entity that stands for what is named; None when there is none."""
        async with reaching():
            entity_id: uuid.UUID | None
            if isinstance(subject, RecordKey):
                named = (subject.object, subject.source, subject.external_id)
                entity_id = await self._pool.fetchval(_PROVENANCE["entity_of_record"].text, tenant_id, *named)
            else:
                entity_id = subject
            rows = await self._pool.fetch(_SQL["entity_standing"].text, tenant_id, entity_id)
        return rows[0]["standing_id"] if rows else None

    async def read(self, tenant_id: str, entity_id: uuid.UUID, wanted: Wanted) -> Sequence[Entry]:
        """Return the next activities that concern an entity, the newest first."""
        async with (
            reaching(),
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            rows = await connection.fetch(
                _SQL["list_timeline"].text,
                tenant_id,
                entity_id,
                *wanted.before,
                list(wanted.kinds),
                list(wanted.sources),
                wanted.since,
                wanted.until,
                wanted.thread_id,
                wanted.confidence_min,
                wanted.limit,
            )
            found = await connection.fetch(
                _KEPT["associations_of"].text, tenant_id, [row["activity_id"] for row in rows]
            )
        told: defaultdict[uuid.UUID, list[Association]] = defaultdict(list)
        for row in found:
            one = Association(row["entity_id"], row["object"], row["reason"], row["confidence"])
            told[row["activity_id"]].append(one)
        return [_entry(tenant_id, row, told[row["activity_id"]]) for row in rows]

    async def waiting(self, tenant_id: str) -> int:
        """Count what is not associated yet."""
        async with reaching():
            count: int = await self._pool.fetchval(_SQL["count_waiting"].text, tenant_id)
        return count

    async def touches(self, tenant_id: str, entity_id: uuid.UUID, limit: int) -> Sequence[TouchFact]:
        """Return the touches of an entity, the first first."""
        async with reaching():
            rows = await self._pool.fetch(_SQL["touches_of_entity"].text, tenant_id, entity_id, limit)
        return [_touch(row) for row in rows]

    async def page_events(
        self, tenant_id: str, after: uuid.UUID, limit: int
    ) -> Sequence[tuple[uuid.UUID, LogEvent | None]]:
        """Return the next projected events behind *after*, by key; None where the log has them no more."""
        async with reaching():
            rows = await self._pool.fetch(_SQL["page_events"].text, tenant_id, after, limit)
        return [(row["event_key"], _event(tenant_id, row)) for row in rows]

    async def kept(self, tenant_id: str, keys: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, TouchFact]:
        """Return the touches of events."""
        async with reaching():
            rows = await self._pool.fetch(_SQL["touches_by_key"].text, tenant_id, list(keys))
        return {row["event_key"]: _touch(row) for row in rows}

    async def keep(self, touches: Sequence[TouchFact]) -> None:
        """Keep touches of events that have none."""
        async with reaching(), self._pool.acquire() as connection:
            await write_touches(connection, touches)


def _entry(tenant_id: str, row: Any, associations: Sequence[Association]) -> Entry:
    people = tuple(
        Person(role, address, name, uuid.UUID(home) if home else None)
        for role, address, name, home in row["people"]
    )
    activity = Activity(
        tenant_id,
        row["activity_id"],
        row["kind"],
        row["source"],
        row["occur_time"],
        row["subject"],
        row["message_id"],
        (row["thread_id"],),
        people,
        row["actor"],
        row["status"],
    )
    return Entry(activity, row["thread_id"], row["reason"], row["confidence"], associations)


def _touch(row: Any) -> TouchFact:
    return TouchFact(
        row["touch_time"],
        row["event_key"],
        row["tenant_id"],
        row["object"],
        row["source"],
        row["external_id"],
        row["channel"],
        row["detail"],
        row["policy_version"],
    )


def _event(tenant_id: str, row: Any) -> LogEvent | None:
    if row["source"] is None:
        return None
    return LogEvent(
        tenant_id=tenant_id,
        event_key=row["event_key"],
        source=row["source"],
        object=row["object"],
        external_id=row["external_id"],
        event_time=row["event_time"],
        record_time=row["record_time"],
        operation=row["operation"],
        actor_id=row["actor_id"] or "",
        payload=row["payload"] or b"",
        trace=None,
        shard=0,
        position=Position(0, 0),
    )
