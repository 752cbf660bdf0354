"""Periodic jobs in Postgres: how they stand, and what operators order."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from headwater.connectors.base import Expiry
from headwater.kernel.errors import NotFound
from headwater.kernel.pg import queries
from headwater.kernel.tenancy import every_tenant
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.scheduling import Job, RunOutcome, Standing
from headwater.sync.scheduling.ports import ExpiryView, ScheduleView, Warned
from headwater.sync.store.faults import translated
from headwater.sync.store.leases import hold_fences

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL = queries.load("headwater.sync", "schedule.sql")
_POLLING = queries.load("headwater.sync", "polling.sql")

EXPIRIES_MAX: Final = 1_000
"""Ends listed at once, the nearest."""


class PostgresSchedules:
    """Ports `Schedules` and `ScheduleDesk` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def keep(self, jobs: Mapping[Job, dt.datetime]) -> None:
        """Make room for new jobs."""
        ordered = sorted(jobs, key=lambda job: job.key)
        async with translated():
            await self._pool.execute(
                _SQL["keep_schedules"].text,
                [job.tenant_id for job in ordered],
                [job.name for job in ordered],
                [job.kind for job in ordered],
                [job.connector for job in ordered],
                [job.every_s for job in ordered],
                [jobs[job] for job in ordered],
            )

    async def retire(self, tenant_id: str, connector: str, staying: Sequence[str]) -> None:
        """Forget jobs of an account but those *staying*."""
        async with translated():
            await self._pool.execute(_SQL["retire_schedules"].text, tenant_id, connector, list(staying))

    async def standings(self, jobs: Sequence[Job]) -> dict[tuple[str, str], Standing]:
        """Return how *jobs* stand, by key."""
        tenants, names = [job.tenant_id for job in jobs], [job.name for job in jobs]
        async with translated():
            rows = await self._pool.fetch(_SQL["read_standings"].text, tenants, names)
        return {(row["tenant_id"], row["name"]): _standing(row) for row in rows}

    async def begin(self, job: Job, lease: Lease, now: dt.datetime) -> None:
        """Note that a run has begun."""
        async with self._held(lease) as connection:
            await connection.execute(_SQL["begin_run"].text, job.tenant_id, job.name, now, job.lasts)

    async def end(
        self, job: Job, lease: Lease, standing: Standing, now: dt.datetime, outcome: RunOutcome, detail: str
    ) -> None:
        """Note how a run ended and when the next one is due."""
        async with self._held(lease) as connection:
            await connection.execute(
                _SQL["end_run"].text,
                job.tenant_id,
                job.name,
                standing.plan_time,
                standing.next_time,
                standing.failure_count,
                standing.missed_count,
                now,
                outcome,
                detail,
                standing.order_count,
            )

    async def list_schedules(self, tenant_id: str) -> tuple[ScheduleView, ...]:
        """Return a tenant's jobs and the engine's own."""
        with every_tenant():  # the engine's jobs are nobody's rows
            async with translated():
                rows = await self._pool.fetch(_SQL["list_schedules"].text, tenant_id)
        return tuple(_view(row) for row in rows)

    async def list_expiries(self, tenant_id: str) -> tuple[ExpiryView, ...]:
        """Return what of a tenant's accounts ends."""
        async with translated():
            rows = await self._pool.fetch(_POLLING["list_expiries"].text, tenant_id, EXPIRIES_MAX)
        return tuple(ExpiryView(row["connector"], warned(row), row["check_time"]) for row in rows)

    async def set_paused(self, tenant_id: str, name: str, actor: str, *, paused: bool) -> None:
        """Pause or resume a job, with audit and wake-up."""
        change = {
            "field": "paused",
            "before": not paused,
            "after": paused,
            "rule": "operator",
            "schedule": name,
        }
        async with self._steering() as connection:
            owner = await self._owner(connection, tenant_id, name)
            row = await connection.fetchrow(_SQL["set_schedule_paused"].text, owner, name, paused)
            if row is not None:
                action = "schedule_paused" if paused else "schedule_resumed"
                await _note(connection, tenant_id, actor, action, change)

    async def ask_run(self, tenant_id: str, name: str, actor: str) -> None:
        """Order a run now, with audit and wake-up."""
        change = {"field": "asked", "before": False, "after": True, "rule": "operator", "schedule": name}
        async with self._steering() as connection:
            owner = await self._owner(connection, tenant_id, name)
            await connection.execute(_SQL["ask_run"].text, owner, name)
            await _note(connection, tenant_id, actor, "schedule_run_ordered", change)

    async def _owner(self, connection: Connection, tenant_id: str, name: str) -> str:
        """Return whose job it is: the tenant's, or the engine's."""
        rows = await connection.fetch(_SQL["read_standings"].text, [tenant_id, ""], [name, name])
        if not rows:
            message = f"there is no schedule {name!r}; `headwater schedules list` names them"
            raise NotFound(message, reason="UNKNOWN_SCHEDULE", metadata={"name": name})
        return max(str(row["tenant_id"]) for row in rows)

    @asynccontextmanager
    async def _steering(self) -> AsyncIterator[Connection]:
        """Open a transaction for jobs of a tenant and of the engine, whose rows are no tenant's."""
        with every_tenant():
            async with translated(), self._pool.acquire() as connection, connection.transaction():
                yield connection

    @asynccontextmanager
    async def _held(self, lease: Lease) -> AsyncIterator[Connection]:
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await hold_fences(connection, [lease])
            yield connection


async def _note(
    connection: Connection, tenant_id: str, actor: str, action: str, change: Mapping[str, Any]
) -> None:
    await connection.execute(_SQL["write_schedule_audit"].text, tenant_id, actor, action, [dict(change)])
    await connection.execute(_SQL["notify_schedules"].text)


def warned(row: Any) -> Warned:
    """Return what a row of `sync.expiry` says."""
    expiry = Expiry(row["kind"], row["subject"], row["expire_time"], row["renewable"])
    return Warned(expiry, row["warned_days"], row["warn_time"], row["finding"])


def _standing(row: Any) -> Standing:
    return Standing(
        row["plan_time"],
        row["next_time"],
        row["paused"],
        row["asked"],
        row["failure_count"],
        row["missed_count"],
        row["order_count"],
    )


def _view(row: Any) -> ScheduleView:
    return ScheduleView(
        name=row["name"],
        kind=row["kind"],
        connector=row["connector"],
        engine=row["tenant_id"] == "",
        every_s=row["every_s"],
        next_time=row["next_time"],
        paused=row["paused"],
        asked=row["asked"],
        run_count=row["run_count"],
        failure_count=row["failure_count"],
        missed_count=row["missed_count"],
        begin_time=row["begin_time"],
        end_time=row["end_time"],
        outcome=row["outcome"],
        detail=row["detail"],
    )
