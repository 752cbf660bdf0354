"""The outbox of merges and splits."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from headwater.identity.domain.merging import Actor, Change
from headwater.identity.ports import DueChange
from headwater.identity.store.session import Sessions
from headwater.kernel.ids import TenantId


@dataclass(frozen=True, slots=True)
class PostgresOutbox:
    """The outbox in the table `change`."""

    sessions: Sessions

    async def list_due(self, now: dt.datetime, rows_max: int) -> Sequence[DueChange]:
        async with self.sessions.open() as session:
            rows = await session.fetch("list_due_changes", now, rows_max)
        return [
            DueChange(
                row["tenant_id"],
                Change(
                    row["change_id"],
                    row["merge_id"],
                    row["payload"],
                    row["change_time"],
                    Actor(row["actor_type"], row["actor_id"], row["actor_name"]),
                    row["traceparent"],
                    row["tracestate"],
                    row["seq"],
                ),
                row["attempts"],
            )
            for row in rows
        ]

    async def mark_sent(self, tenant_id: TenantId, changes: Sequence[uuid.UUID], now: dt.datetime) -> None:
        async with self.sessions.open() as session:
            await session.fetch("mark_sent", tenant_id, changes, now, rows=len(changes))

    async def postpone(self, tenant_id: TenantId, change_id: uuid.UUID, until: dt.datetime) -> None:
        async with self.sessions.open() as session:
            await session.fetch("postpone_change", tenant_id, change_id, until)
