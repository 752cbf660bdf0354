"""Erasures as operators order and see them, on Postgres."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from headwater.kernel.pg import queries
from headwater.sync.erasing.ports import ErasureView, Person, TargetView
from headwater.sync.store.erasures import PostgresPeople, person_arguments
from headwater.sync.store.faults import reaching

_SQL: Final = queries.load("headwater.sync", "erasure.sql")


class PostgresErasureDesk(PostgresPeople):
    """Port `ErasureDesk` on Postgres."""

    async def counts(self, tenant_id: str, entities: Sequence[uuid.UUID]) -> Mapping[str, int]:
        """Return what sync holds of entities, by name."""
        async with reaching():
            rows = await self._pool.fetch(_SQL["count_held"].text, tenant_id, entities)
        return {row["name"]: row["count"] for row in rows}

    async def places(self, tenant_id: str, entities: Sequence[uuid.UUID]) -> Sequence[tuple[str, str, str]]:
        """Return account, CRM object and id of the records that have or had entities."""
        async with reaching():
            rows = await self._pool.fetch(_SQL["subject_targets"].text, tenant_id, entities)
        return [(row["connector"], row["crm_object"], row["crm_id"]) for row in rows]

    async def begin(
        self,
        tenant_id: str,
        erasure_id: uuid.UUID,
        person: Person,
        actor: str,
        reason: str,
        deadline_s: float,
    ) -> bool:
        """Order an erasure; False where it was ordered before."""
        async with reaching(), self._pool.acquire() as connection, connection.transaction():
            fresh = await connection.fetchval(
                _SQL["begin_erasure"].text,
                tenant_id,
                erasure_id,
                actor,
                reason,
                deadline_s,
                *person_arguments(person),
            )
            await connection.execute(_SQL["notify_erasure"].text)
        return bool(fresh)

    async def list(
        self, tenant_id: str, erasure_id: uuid.UUID | None, limit: int, *, open_only: bool = False
    ) -> Sequence[ErasureView]:
        """Return orders, the newest first; of one that is named its records of CRMs as well."""
        async with reaching():
            rows = await self._pool.fetch(_SQL["list_erasures"].text, tenant_id, erasure_id, open_only, limit)
            found = (
                await self._pool.fetch(_SQL["list_targets"].text, tenant_id, erasure_id)
                if erasure_id is not None
                else []
            )
        return [_view(row, found) for row in rows]

    async def confirm(
        self, tenant_id: str, erasure_id: uuid.UUID, connector: str, actor: str, reason: str
    ) -> int:
        """Note that a person says that records of an account are gone; return how many were open."""
        async with reaching(), self._pool.acquire() as connection, connection.transaction():
            confirmed: int = await connection.fetchval(
                _SQL["confirm_targets"].text, tenant_id, erasure_id, connector, actor, reason
            )
            await connection.execute(_SQL["notify_erasure"].text)
        return confirmed

    async def lift(
        self, tenant_id: str, digests: Sequence[bytes], erasure_id: uuid.UUID | None, actor: str, reason: str
    ) -> int:
        """Take a person in again; return how many identifiers were suppressed."""
        async with reaching():
            lifted: int = await self._pool.fetchval(
                _SQL["lift_suppressions"].text, tenant_id, list(digests), erasure_id, actor, reason
            )
        return lifted


def _view(row: Any, targets: Sequence[Any]) -> ErasureView:
    return ErasureView(
        row["erasure_id"],
        row["state"],
        row["actor"],
        row["reason"],
        row["request_time"],
        row["deadline_time"],
        row["end_time"],
        row["overdue"],
        row["finding"],
        tuple(row["steps"]),
        tuple(row["entity_ids"]),
        row["suppressed"],
        tuple(
            TargetView(
                one["connector"], one["crm_object"], one["crm_id"], one["state"], one["method"], one["try_count"],
                one["finding"], one["erase_time"], one["verify_time"],
            )
            for one in targets
        ),
    )  # fmt: skip
