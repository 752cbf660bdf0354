"""What backfills need of others, in their own words. Every method may raise Unavailable."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from headwater.kernel.telemetry import TraceContext
from headwater.sync.domain.backfilling import Backfill, BackfillState
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.operating import Steering
from headwater.sync.domain.polling import Change, Recorded

AccountKey = tuple[str, str]
"""Tenant and connector account."""


@dataclass(frozen=True, slots=True)
class PageRead:
    """One page done: all of it is recorded or refused.

    Args:
        before, after: the cursor before and after it.
        ids: records told that are recorded now.
        work_s: seconds that it took, its pause included.
    """

    crm_object: str
    before: str | None
    after: str
    done: bool
    read: int
    deleted: int
    recorded: Recorded
    ids: Sequence[str]
    work_s: float


class BackfillBook(Protocol):
    """Backfills as the worker sees them; whoever writes shows the account's lease. May raise StoreRaced and FenceLost."""

    async def open(self, accounts: Sequence[AccountKey]) -> Sequence[Backfill]:
        """Return the running backfill that was begun first of each account."""
        ...

    async def stop_of(self, tenant_id: str, connector: str, now: dt.datetime) -> str:
        """Return why an account may not be called now; empty when it may."""
        ...

    async def count(
        self, lease: Lease, backfill: Backfill, crm_object: str, expected: int, page_records: int
    ) -> None:
        """Keep what the CRM counted of an object."""
        ...

    async def move(self, lease: Lease, backfill: Backfill, page: PageRead) -> bool:
        """Keep that a page is done, with refusals, in one transaction; False when the backfill may not go on."""
        ...

    async def absent(self, lease: Lease, backfill: Backfill, crm_object: str, source: str) -> str:
        """Have records read directly that were not listed, if the listing is believed; return why it is not, or nothing.

        Args:
            source: system of the records.
        """
        ...

    async def find(self, lease: Lease, backfill: Backfill, finding: str) -> None:
        """Say what a backfill waits for."""
        ...

    async def end(self, lease: Lease, backfill: Backfill, state: BackfillState, finding: str) -> None:
        """End a running backfill, with audit."""
        ...

    async def waiting(self, tenant_id: str, event_keys: Sequence[str]) -> int:
        """Return how many of these events are not projected yet."""
        ...


class BackfillLog(Protocol):
    """Where what is read is recorded: ingest."""

    async def record(
        self, tenant_id: str, changes: Sequence[Change], trace: TraceContext | None = None
    ) -> Recorded:
        """Record 1..1000 changes durably; safe to repeat. Raises: HeadwaterError when none is known to be recorded."""
        ...


class BackfillDesk(Protocol):
    """What operators read and order."""

    async def start(self, backfill: Backfill) -> None:
        """Begin a backfill with audit and wake-up, unless it was begun before."""
        ...

    async def read(self, tenant_id: str, backfill_id: uuid.UUID) -> Backfill | None:
        """Return one backfill; None when there is none."""
        ...

    async def list_backfills(self, tenant_id: str, limit: int) -> Sequence[Backfill]:
        """Return the newest backfills."""
        ...

    async def steer(
        self, order: Steering, backfill_id: uuid.UUID, state: BackfillState, share: float
    ) -> bool:
        """Put a backfill into *state* if it may get there; return whether that changed anything."""
        ...
