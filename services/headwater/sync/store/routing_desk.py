"""What operators read of routing, from Postgres."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from headwater.kernel.pg import queries
from headwater.sync.domain.lead_reports import Counted, SlaReport, SlaSummary, TimedLead
from headwater.sync.domain.leads import LeadRow, LeadState
from headwater.sync.domain.sla import TimerKind
from headwater.sync.domain.states import EntityState, RecordState
from headwater.sync.store.faults import reaching
from headwater.sync.store.routing import read_row, read_timer
from headwater.sync.store.versions import read_entity, read_member

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

_SQL: Final = queries.load("headwater.sync", "routing.sql")
_POLICY: Final = queries.load("headwater.sync", "policy.sql")
_ESCAPED: Final = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})


class PostgresRoutingDesk:
    """Port `RoutingDesk` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list_rows(
        self, tenant_id: str, after: uuid.UUID, states: Sequence[LeadState], person: str, limit: int
    ) -> Sequence[LeadRow]:
        """Return the next rows behind an entity, of some states and of one person, or of all."""
        pattern = person.translate(_ESCAPED) if person else "%"
        rows = await self._fetch("list_assignments", tenant_id, after, list(states), pattern, limit)
        return [read_row(row) for row in rows]

    async def read_lead(self, tenant_id: str, entity_id: uuid.UUID) -> TimedLead | None:
        """Return a lead, or what stands for it; None when routing knows nothing of it."""
        rows = await self._fetch("assignment_of", tenant_id, entity_id)
        if not rows:
            return None
        row = read_row(rows[0])
        timers = await self._fetch("read_timers", tenant_id, [row.entity_id])
        return TimedLead(row, sorted((read_timer(item) for item in timers), key=lambda item: item.key))

    async def count(self, tenant_id: str) -> tuple[Sequence[Counted], Mapping[str, str]]:
        """Return leads by state and person, and pool to who had the last turn."""
        rows = await self._fetch("count_states", tenant_id)
        turns = await self._fetch("read_turns", tenant_id)
        counted = [
            Counted(
                LeadState(row["state"]), row["person"], row["leads"], row["untouched"], row["oldest_time"]
            )
            for row in rows
        ]
        return counted, {row["pool"]: row["person"] for row in turns}

    async def count_leads(self, tenant_id: str, objects: Sequence[str]) -> int:
        """Count the living entities of some objects."""
        rows = await self._fetch("count_leads", tenant_id, objects)
        return int(rows[0]["entities"])

    async def page_leads(
        self, tenant_id: str, after: uuid.UUID, limit: int, stride: int, objects: Sequence[str]
    ) -> Sequence[tuple[EntityState, Sequence[RecordState]]]:
        """Return the next entities with their records, one of *stride* drawn by hash."""
        rows = await self._fetch("page_leads", tenant_id, after, limit, stride, objects)
        entities = [read_entity(tenant_id, row) for row in rows]
        members: dict[uuid.UUID, list[RecordState]] = {item.entity_id: [] for item in entities}
        async with reaching():
            found = await self._pool.fetch(_POLICY["members_of"].text, tenant_id, list(members))
        for row in found:
            members[row["entity_id"]].append(read_member(row))
        return [(item, members[item.entity_id]) for item in entities]

    async def sla(self, tenant_id: str, since: dt.datetime, limit: int) -> SlaReport:
        """Return timers that run, breaches, and how promises are kept since a time."""
        running = await self._fetch("list_open_timers", tenant_id, limit)
        breaches = await self._fetch("list_breaches", tenant_id, since, limit)
        sums = await self._fetch("sum_timers", tenant_id, since)
        return SlaReport(
            [read_timer(row) for row in running],
            [read_timer(row) for row in breaches],
            [
                SlaSummary(
                    TimerKind(row["kind"]),
                    row["target"],
                    row["open_count"],
                    row["met_count"],
                    row["breached_count"],
                    tuple(row["percentiles"] or ()),
                )
                for row in sums
            ],
        )

    async def _fetch(self, name: str, *arguments: Any) -> list[Any]:
        async with reaching():
            return list(await self._pool.fetch(_SQL[name].text, *arguments))
