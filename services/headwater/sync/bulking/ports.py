"""What bulk jobs need of the store."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from headwater.sync.domain.bulking import BulkJob


class BulkBook(Protocol):
    """Bulk jobs of one connector account under one lease.

    Every method may raise Unavailable; those that change something FenceLost and StoreRaced.
    """

    async def count_backlog(self, most: int) -> int:
        """Return how many deliveries of the backfill lane are due, counted up to *most*."""
        ...

    async def set_aside(self, entities: Collection[uuid.UUID]) -> None:
        """Take claimed deliveries out of their lanes: no turn claims them, no mark lifts them."""
        ...

    async def put_back(
        self, members: Mapping[uuid.UUID, int], *, in_doubt: Collection[uuid.UUID] = ()
    ) -> None:
        """Put deliveries (entity to version) back in line, out of their job; those *in_doubt* are looked up first.

        One that changed since its version stands before the others of its lane.
        """
        ...

    async def put_strays_back(self) -> None:
        """Put back in line what was set aside for a job that was never begun, and empty the journal of bulk slots."""
        ...

    async def journal(self, slot: int, entities: Sequence[uuid.UUID]) -> None:
        """Keep what a job of a predecessor may be writing, as in flight in *slot*."""
        ...

    async def begin(self, job: BulkJob) -> None:
        """Keep a job before anything of it is sent."""
        ...

    async def note(self, job: BulkJob) -> None:
        """Keep the vendor's id of a job and how far it is."""
        ...

    async def end(self, job_id: uuid.UUID) -> None:
        """Forget a job whose members are all back in line."""
        ...

    async def open_jobs(self) -> tuple[BulkJob, ...]:
        """Return the jobs that are not over, the oldest first."""
        ...
