"""What the use cases need of the world, in the domain's words, and how it may fail.

HeadwaterError
├── Unavailable
│   └── LogUnavailable   the database cannot be reached now; doing the same again is safe
├── RowsRejected         the database refuses these rows, and would refuse them again
├── DayKept              a day's facts may not be dropped now
└── ArchiveFailed        a day's archive cannot be relied on
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from headwater.ingest.domain.days import Blocker, Day, Due, Keeping, Kept
from headwater.ingest.domain.event import (
    Actor,
    EventCount,
    NewEvent,
    Outcome,
    Place,
    QuarantinedEvent,
    QuarantineFilter,
    QuarantineGroup,
    QuarantineState,
    RecordedEvent,
)
from headwater.kernel.errors import HeadwaterError, Unavailable


class LogUnavailable(Unavailable):
    """The database cannot be reached now. What was under way may have been committed or not."""

    default_reason = "LOG_UNAVAILABLE"


class RowsRejected(HeadwaterError):
    """The database refuses these rows; nothing of them was recorded."""

    default_reason = "ROWS_REJECTED"


@dataclass(frozen=True, slots=True)
class PolicyPosition:
    """Which policy is in force for a tenant, and where it stands in the log."""

    tenant_id: str
    event_key: uuid.UUID
    xid: int
    seq: int


class EventLog(Protocol):
    """The durable log. Every method may raise `LogUnavailable`."""

    async def append(self, events: Sequence[NewEvent]) -> Sequence[Outcome]:
        """Record what is new of *events*, in one commit where nobody races; return each one's outcome, in order, after it.

        Idempotent: after a failure the same events may be given again.

        Raises:
            RowsRejected: nothing was recorded, and nothing will be with these rows.
        """
        ...


class EventReader(Protocol):
    """Reads the log. Every method may raise `LogUnavailable`."""

    async def get_event(self, tenant_id: str, event_key: uuid.UUID) -> RecordedEvent | None:
        """Return one event, None when the key is unknown."""
        ...

    async def get_event_by_seq(self, tenant_id: str, seq: int) -> RecordedEvent | None:
        """Return the event that the log gave this number, None when there is none."""
        ...

    async def list_tenant_events(self, tenant_id: str, before: Place, limit: int) -> list[RecordedEvent]:
        """Return a tenant's events below a place, newest first."""
        ...

    async def list_record_events(
        self, tenant_id: str, source: str, object_name: str, external_id: str, before: Place, limit: int
    ) -> list[RecordedEvent]:
        """Return a record's events below a place, newest first."""
        ...

    async def read_counts(self, tenant_id: str) -> list[EventCount]:
        """Return the exact counts of a tenant's log."""
        ...


class Quarantine(Protocol):
    """The task list of events that wait for a person. Every method may raise `LogUnavailable`."""

    async def get_quarantined(self, tenant_id: str, event_key: uuid.UUID) -> QuarantinedEvent | None:
        """Return one entry, None when there is none."""
        ...

    async def list_quarantined(
        self,
        tenant_id: str,
        after: tuple[dt.datetime, uuid.UUID],
        limit: int,
        *,
        wanted: QuarantineFilter,
        include_closed: bool,
    ) -> list[QuarantinedEvent]:
        """Return entries after a place (open time, key), oldest first."""
        ...

    async def list_groups(self, tenant_id: str, limit: int) -> list[QuarantineGroup]:
        """Return open entries grouped by what they break, the largest group first; owners are left empty."""
        ...

    async def count_open(self, tenant_id: str) -> int:
        """Return the number of open entries."""
        ...

    async def release(self, released_from: uuid.UUID, event: NewEvent, actor: Actor) -> QuarantineState:
        """Put *event* into the log and close the entry it comes from, unless that is closed already.

        Returns:
            The state found: OPEN when this call closed it.
        """
        ...

    async def discard(
        self, tenant_id: str, event_key: uuid.UUID, reason: str, actor: Actor
    ) -> QuarantineState | None:
        """Close an open entry with a reason; return the state found, None when there is no entry."""
        ...


class PolicySource(Protocol):
    """Where policies come from. Every method may raise `LogUnavailable`."""

    async def read_policy_positions(self) -> list[PolicyPosition]:
        """Return which policy is in force for each tenant."""
        ...

    async def read_policies(self, tenant_ids: Sequence[str]) -> list[tuple[PolicyPosition, bytes]]:
        """Return the policies in force of some tenants: position and payload of the policy event."""
        ...

    def watch(self) -> AbstractAsyncContextManager[PolicyWatch]:
        """Be told of new policies while the block runs."""
        ...


class PolicyWatch(Protocol):
    """Tells that some process accepted a policy, or that nothing will be told any more."""

    async def changed(self) -> None:
        """Return when a policy was accepted since the last return.

        Raises:
            LogUnavailable: the connection is lost.
        """
        ...


class DayKept(HeadwaterError):
    """A day's facts may not be dropped now; the message says why."""

    default_reason = "DAY_KEPT"


class Days(Protocol):
    """The days of the log. Every method may raise `LogUnavailable`."""

    async def index_day(self) -> int:
        """Make the newest day's rows findable without reading all of them; return how many ranges were new."""
        ...

    async def roll(self, day: dt.date) -> bool:
        """Open *day* unless it or a later one is open; return whether this call did."""
        ...

    async def seal_some(self, rows: int) -> str:
        """Move up to *rows* keys of the oldest day that is over into the permanent ledger.

        Returns:
            moved (call again), sealed (a day is done), idle (nothing to do), busy (another process does it).
        """
        ...

    async def list_days(self) -> list[Day]:
        """Return every day, oldest first."""
        ...

    async def blockers(self, day: dt.date, readers: Sequence[str], *, archived: bool) -> list[Blocker]:
        """Return why a day's facts may not be dropped.

        Args:
            readers: those that must have reported how far they have read.
            archived: whether it must be archived.
        """
        ...

    def reading(self, day: dt.date) -> AbstractAsyncContextManager[AsyncIterator[list[RecordedEvent]]]:
        """Read a day's facts page by page."""
        ...

    async def note_archive(self, day: dt.date, path: str, sha256: str) -> None:
        """Note where a sealed day's archive is."""
        ...

    async def drop(self, day: dt.date, readers: Sequence[str], *, archived: bool) -> None:
        """Drop a day's facts; its keys stay.

        Raises:
            DayKept: something of `blockers` stands.
        """
        ...

    async def due(self, keepings: Sequence[Keeping], today: dt.date) -> list[Due]:
        """Return what sealed days hold that is older than its tenant's retention, the oldest day first."""
        ...

    async def expire_some(
        self, day: dt.date, tenants: Sequence[str], readers: Sequence[str], pages: int
    ) -> str:
        """Delete what *tenants* have in a stretch of a sealed day; keys stay, and events whose quarantine is open.

        Args:
            pages: of the day's table that are looked at, 1 or more.

        Returns:
            moved (call again), swept (the end of the day was reached), done (nothing to do), busy (another process
            does it).

        Raises:
            DayKept: a reader has not read it yet.
        """
        ...

    async def tenants_of(self, day: dt.date, tenants: Sequence[str]) -> list[str]:
        """Return those of *tenants* that have events in a sealed day."""
        ...

    def reading_tenant(
        self, day: dt.date, tenant_id: str
    ) -> AbstractAsyncContextManager[AsyncIterator[list[RecordedEvent]]]:
        """Read what a tenant has in a day, page by page."""
        ...

    async def note_tenant_archive(self, day: dt.date, tenant_id: str, path: str, sha256: str) -> None:
        """Note where the archive of a tenant's events of a day is."""
        ...

    async def note_expiries(self, count: int) -> None:
        """Tell the audit of up to *count* days of tenants that are done with and that it has not heard of."""
        ...

    async def kept(self, tenant_id: str, limit: dt.date | None, readers: Sequence[str]) -> Kept:
        """Return what the log holds of a tenant.

        Args:
            limit: the first day that its retention keeps; None: it keeps all.
        """
        ...


class Archive(Protocol):
    """Where a day's facts are kept outside the database."""

    async def write(
        self, day: dt.date, pages: AsyncIterator[list[RecordedEvent]], tenant_id: str = ""
    ) -> Archived:
        """Write a day's facts, read them back and hand them to the operator's hook.

        Args:
            tenant_id: whose they are; empty: everybody's.

        Raises:
            ArchiveFailed: it was not written, does not read back, or the hook refused it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Archived:
    """A written archive."""

    path: str
    sha256: str
    rows: int


class ArchiveFailed(HeadwaterError):
    """A day's archive cannot be relied on; nothing is dropped."""

    default_reason = "ARCHIVE_FAILED"


class Secrets(Protocol):
    """Where the secrets are that policies name."""

    async def read(self, tenant_id: str, source: str, reference: str) -> str | None:
        """Return the secret that a reference names for the webhook of a source; None when there is none.

        Args:
            reference: `env:NAME`, or `vault:CONNECTION`: that connection's field `secret`.

        Raises:
            Unavailable: the vault does not answer.
        """
        ...
