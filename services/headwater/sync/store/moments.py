"""On Postgres: which policies were in force when, for a log that is projected again."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from headwater.kernel.pg import queries
from headwater.sync.domain.log import Position, RecordKey
from headwater.sync.projector.moments import RecordedPolicy
from headwater.sync.store.faults import translated

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

_SQL: Final = queries.load("headwater.sync", "projection.sql")


class PostgresMoments:
    """Port `RecordedPolicies` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def recorded_to(self, shards: Sequence[int]) -> dict[int, Position]:
        """Return up to where shards are projected again by the policies of their moments; empty as a rule."""
        async with translated():
            rows = await self._pool.fetch(_SQL["read_recorded"].text, list(shards))
        return {row["shard"]: Position(row["xid"], row["seq"]) for row in rows}

    async def recorded_policies(self) -> list[RecordedPolicy]:
        """Return all policies of all tenants, those of each in the order of the log."""
        async with translated():
            rows = await self._pool.fetch(_SQL["read_versions"].text)
        return [
            RecordedPolicy(row["tenant_id"], Position(row["xid"], row["seq"]), row["digest"], row["document"])
            for row in rows
        ]

    async def homes_of(self, keys: Sequence[RecordKey]) -> dict[RecordKey, uuid.UUID]:
        """Return the entities of those of *keys* that are projected."""
        columns = [list(column) for column in zip(*keys, strict=True)]
        async with translated():
            rows = await self._pool.fetch(_SQL["find_homes"].text, *columns)
        return {
            RecordKey(row["tenant_id"], row["object"], row["source"], row["external_id"]): row["entity_id"]
            for row in rows
        }
