"""Bulk jobs of one connector account in Postgres; every change under the account's fence."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from headwater.kernel.pg import queries
from headwater.sync.domain.bulking import SLOT_FIRST, BulkJob, Phase
from headwater.sync.domain.leasing import Lease
from headwater.sync.store.faults import translated
from headwater.sync.store.leases import hold_fences

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL = queries.load("headwater.sync", "bulk.sql")


class PostgresBulkJobs:
    """The bulk jobs of one connector account, as the actor of one lease may use them."""

    def __init__(self, pool: Pool, tenant_id: str, connector: str, lease: Lease) -> None:
        self._pool = pool
        self._account = (tenant_id, connector)
        self._lease = lease

    async def count_backlog(self, most: int) -> int:
        """Return how many deliveries of the backfill lane are due, counted up to *most*."""
        async with translated():
            counted: int = await self._pool.fetchval(_SQL["count_backlog"].text, *self._account, most)
        return counted

    async def set_aside(self, entities: Collection[uuid.UUID]) -> None:
        """Take claimed deliveries out of their lanes."""
        async with self._fenced() as connection:
            await connection.execute(_SQL["set_aside"].text, *self._account, sorted(entities))

    async def put_back(
        self, members: Mapping[uuid.UUID, int], *, in_doubt: Collection[uuid.UUID] = ()
    ) -> None:
        """Put deliveries (entity to version) back in line, out of their job; those *in_doubt* are looked up first."""
        entities = sorted(members)
        async with self._fenced() as connection:
            if in_doubt:
                await connection.execute(_SQL["doubt_members"].text, *self._account, sorted(in_doubt))
            versions = [members[entity] for entity in entities]
            await connection.execute(_SQL["put_back"].text, *self._account, entities, versions)

    async def put_strays_back(self) -> None:
        """Put back in line what was set aside for a job that was never begun, and empty the journal of bulk slots."""
        async with self._fenced() as connection:
            await connection.execute(_SQL["clear_bulk_journal"].text, *self._account, SLOT_FIRST)
            await connection.execute(_SQL["put_strays_back"].text, *self._account)

    async def journal(self, slot: int, entities: Sequence[uuid.UUID]) -> None:
        """Keep what a job of a predecessor may be writing, as in flight in *slot*."""
        async with self._fenced() as connection:
            await connection.execute(
                _SQL["journal_bulk"].text, *self._account, slot, self._lease.fence, sorted(entities)
            )

    async def begin(self, job: BulkJob) -> None:
        """Keep a job before anything of it is sent."""
        entities = sorted(job.members)
        async with self._fenced() as connection:
            await connection.execute(
                _SQL["begin_job"].text, *self._account, job.job_id, job.object, job.crm_object,
                job.external_id_field, job.policy_version, entities, [job.members[entity] for entity in entities],
            )  # fmt: skip

    async def note(self, job: BulkJob) -> None:
        """Keep the vendor's id of a job and how far it is."""
        async with self._fenced() as connection:
            await connection.execute(
                _SQL["note_job"].text, *self._account, job.job_id, job.vendor_job, int(job.phase)
            )

    async def end(self, job_id: uuid.UUID) -> None:
        """Forget a job whose members are all back in line."""
        async with self._fenced() as connection:
            await connection.execute(_SQL["end_job"].text, *self._account, job_id)

    async def open_jobs(self) -> tuple[BulkJob, ...]:
        """Return the jobs that are not over, the oldest first."""
        async with translated():
            rows = await self._pool.fetch(_SQL["open_jobs"].text, *self._account)
        return tuple(
            BulkJob(
                row["job_id"], row["object"], row["crm_object"], row["external_id_field"], row["policy_version"],
                row["vendor_job"], Phase(row["phase"]),
                dict(zip(row["entities"] or (), row["versions"] or (), strict=True)),
            )
            for row in rows
        )  # fmt: skip

    @asynccontextmanager
    async def _fenced(self) -> AsyncIterator[Connection]:
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await hold_fences(connection, [self._lease])
            yield connection
