"""Reconciliation as operators see it, in Postgres: orders, runs, drift and what is decided about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from headwater.kernel.pg import queries
from headwater.sync.reconciling.desk import DriftPlace, RunView, Standing
from headwater.sync.reconciling.ports import DriftRow, JobName, Order
from headwater.sync.store.faults import reaching
from headwater.sync.store.parity import drift_row

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

_SQL: Final = queries.load("headwater.sync", "parity_desk.sql")


class PostgresParityDesk:
    """Port `ParityDesk` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def order(self, tenant_id: str, connector: str, job: JobName, order: Order) -> None:
        """Say how the next run of a job is to be."""
        async with reaching():
            await self._pool.execute(
                _SQL["order_run"].text, tenant_id, connector, job, order.dry, order.whole, order.actor
            )

    async def list_runs(self, tenant_id: str, connector: str, job: str, limit: int) -> list[RunView]:
        """Return runs, the newest first."""
        async with reaching():
            rows = await self._pool.fetch(_SQL["list_runs"].text, tenant_id, connector, job, limit)
        return [
            RunView(
                row["run_id"], row["connector"], row["job"], row["dry"], row["begin_time"], row["end_time"],
                row["detail"], row["report"],
            )
            for row in rows
        ]  # fmt: skip

    async def standings(self, tenant_id: str, connector: str) -> list[Standing]:
        """Return how drift stands by account."""
        async with reaching():
            rows = await self._pool.fetch(_SQL["drift_standings"].text, tenant_id, connector)
        return [
            Standing(
                row["connector"], row["open_count"], row["asked_count"], row["healed_count"],
                row["detect_p95_s"], row["heal_p95_s"], row["parity"],
            )
            for row in rows
        ]  # fmt: skip

    async def list_drift(
        self, tenant_id: str, connector: str, states: Sequence[str], after: DriftPlace, limit: int
    ) -> list[DriftRow]:
        """Return drift by account, object, record and kind."""
        async with reaching():
            rows = await self._pool.fetch(
                _SQL["list_drift"].text, tenant_id, connector, list(states), *after, limit
            )
        return [drift_row(row["connector"], row) for row in rows]

    async def decide(
        self, tenant_id: str, connector: str, kind: str, crm_ids: Sequence[str], action: str, actor: str
    ) -> int:
        """Take a decision; return how many drifts it is about."""
        state = "accepted" if action == "accept" else "open"
        async with reaching(), self._pool.acquire() as connection, connection.transaction():
            decided: int = await connection.fetchval(
                _SQL["decide_drift"].text, tenant_id, connector, kind, list(crm_ids), action, actor, state
            )
        return decided

    async def decidable(self, tenant_id: str, connector: str, kind: str, crm_ids: Sequence[str]) -> int:
        """Return how many drifts a decision would be about."""
        async with reaching():
            counted: int = await self._pool.fetchval(
                _SQL["count_decidable"].text, tenant_id, connector, kind, list(crm_ids)
            )
        return counted
