"""What the periodic jobs need of others, in their own words. Every method may raise Unavailable."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from headwater.connectors.base import Expiry
from headwater.sync.delivery.accounts import RunningAccount
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.polling import Change, Recorded, Refusal
from headwater.sync.domain.scheduling import Job, RunOutcome, Standing


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A job as operators see it.

    Args:
        engine: it belongs to the engine and serves every tenant.
        begin_time: of the last run; later than `end_time` while it runs, or when it was cut off.
    """

    name: str
    kind: str
    connector: str
    engine: bool
    every_s: float
    next_time: dt.datetime
    paused: bool
    asked: bool
    run_count: int
    failure_count: int
    missed_count: int
    begin_time: dt.datetime | None
    end_time: dt.datetime | None
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that ends, and what was said of it.

    Args:
        warned_days: the nearest warning given: 7, 1 or 0 days ahead; None when none was.
        finding: why it could not be renewed; empty when nothing went wrong.
    """

    expiry: Expiry
    warned_days: int | None = None
    warn_time: dt.datetime | None = None
    finding: str = ""


@dataclass(frozen=True, slots=True)
class ExpiryView:
    """Something that ends, as operators see it."""

    connector: str
    warned: Warned
    check_time: dt.datetime


class Schedules(Protocol):
    """The standing of periodic jobs."""

    async def keep(self, jobs: Mapping[Job, dt.datetime]) -> None:
        """Make room for new jobs, with their first time; take on changed periods."""
        ...

    async def retire(self, tenant_id: str, connector: str, staying: Sequence[str]) -> None:
        """Forget jobs of an account but those *staying*."""
        ...

    async def standings(self, jobs: Sequence[Job]) -> Mapping[tuple[str, str], Standing]:
        """Return how *jobs* stand, by key."""
        ...

    async def begin(self, job: Job, lease: Lease, now: dt.datetime) -> None:
        """Note that a run has begun. Raises: FenceLost."""
        ...

    async def end(
        self, job: Job, lease: Lease, standing: Standing, now: dt.datetime, outcome: RunOutcome, detail: str
    ) -> None:
        """Note how a run ended and when the next one is due. Raises: FenceLost."""
        ...


class Cursors(Protocol):
    """How far CRMs are read."""

    async def stop_of(self, tenant_id: str, connector: str, now: dt.datetime) -> str:
        """Return why an account may not be called now; empty when it may."""
        ...

    async def read(self, tenant_id: str, connector: str, crm_object: str) -> str:
        """Return the cursor of an object; empty at first."""
        ...

    async def move(
        self, lease: Lease, tenant_id: str, connector: str, crm_object: str, step: CursorStep
    ) -> bool:
        """Move a cursor and note refusals, in one transaction; False when it was moved by another.

        Raises: FenceLost.
        """
        ...


@dataclass(frozen=True, slots=True)
class CursorStep:
    """One page done: everything up to *after* is recorded or refused."""

    before: str
    after: str
    recorded_ids: Sequence[str]
    refused: Sequence[Refusal]


class ChangeLog(Protocol):
    """Where polled changes are recorded: ingest."""

    async def record(self, tenant_id: str, changes: Sequence[Change]) -> Recorded:
        """Record 1..1000 changes durably; safe to repeat. Raises: HeadwaterError when none is known to be recorded."""
        ...


class Calendar(Protocol):
    """What of accounts ends by itself."""

    async def read(self, tenant_id: str, connector: str) -> Sequence[Warned]:
        """Return what is stored of an account."""
        ...

    async def write(
        self, lease: Lease, tenant_id: str, connector: str, held: Sequence[Warned], now: dt.datetime
    ) -> None:
        """Replace what is stored of an account. Raises: FenceLost."""
        ...


class Reconciling(Protocol):
    """What compares accounts with what they should hold."""

    def jobs(self, account: RunningAccount) -> Sequence[Job]:
        """Return the jobs of *account*; none where the policy compares nothing of it."""
        ...

    async def run(self, account: RunningAccount, subject: str) -> str:
        """Run one of them; return what it found. Raises: what its kind raises."""
        ...


class Upkeep(Protocol):
    """What keeps the tables in shape."""

    async def make_attempt_days(self, first: dt.date, days: int) -> int:
        """Make room for the attempts of *days* days from *first* on; return how many were new."""
        ...

    async def drop_attempt_days(self, before: dt.date) -> int:
        """Drop the attempts of days before *before*; return how many days."""
        ...

    async def prune_projections(self, before: dt.datetime, limit: int) -> int:
        """Delete up to *limit* projections older than *before*; return how many."""
        ...

    async def prune_error_groups(self, before: dt.datetime, limit: int) -> int:
        """Delete up to *limit* resolved groups of errors that failed last before *before*; return how many."""
        ...

    async def queue_size(self) -> tuple[int, int]:
        """Return the rows of the queue, as last estimated, and the bytes of its indexes."""
        ...

    async def rebuild_queue(self) -> None:
        """Rebuild the queue's indexes beside the running work; cut off, it may be begun anew."""
        ...

    async def dead_rows(self) -> Mapping[str, tuple[int, int]]:
        """Return dead and live rows by table of sync, as last estimated."""
        ...

    async def vacuum(self, table: str) -> None:
        """Vacuum one table that `dead_rows` has named, without waiting for locks."""
        ...


class ScheduleDesk(Protocol):
    """What operators read and order of schedules."""

    async def list_schedules(self, tenant_id: str) -> tuple[ScheduleView, ...]:
        """Return a tenant's jobs and the engine's own."""
        ...

    async def list_expiries(self, tenant_id: str) -> tuple[ExpiryView, ...]:
        """Return what of a tenant's accounts ends, the nearest first."""
        ...

    async def set_paused(self, tenant_id: str, name: str, actor: str, *, paused: bool) -> None:
        """Pause or resume a job, with audit and wake-up; nothing when it stands so."""
        ...

    async def ask_run(self, tenant_id: str, name: str, actor: str) -> None:
        """Order a run now, with audit and wake-up."""
        ...
