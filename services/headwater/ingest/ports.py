"""What the use cases need of the world, in the domain's words, and how it may fail.

HeadwaterError
├── Unavailable
│   └── LogUnavailable   the database cannot be reached now; doing the same again is safe
└── RowsRejected         the database refuses these rows, and would refuse them again
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from headwater.ingest.domain.event import (
    Actor,
    EventCount,
    NewEvent,
    Outcome,
    QuarantinedEvent,
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

    async def append(self, events: Sequence[NewEvent]) -> tuple[Outcome, ...]:
        """Record what is new of *events* in one commit; return each one's outcome, in order, after it.

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

    async def list_tenant_events(self, tenant_id: str, before_seq: int, limit: int) -> list[RecordedEvent]:
        """Return a tenant's events below a seq, newest first."""
        ...

    async def list_record_events(
        self, tenant_id: str, source: str, object_name: str, external_id: str, before_seq: int, limit: int
    ) -> list[RecordedEvent]:
        """Return a record's events below a seq, newest first."""
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
        self, tenant_id: str, after: tuple[dt.datetime, uuid.UUID], limit: int, *, include_closed: bool
    ) -> list[QuarantinedEvent]:
        """Return entries after a place (open time, key), oldest first."""
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


class Secrets(Protocol):
    """Where the secrets are that policies name."""

    def read(self, reference: str) -> str | None:
        """Return the secret that a reference of the form `env:NAME` names; None when there is none."""
        ...
