"""Looking at the log: one event, pages, counts."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

from headwater.ingest.domain import paging
from headwater.ingest.domain.days import Keeping, Kept
from headwater.ingest.domain.event import (
    Disposition,
    EventCount,
    QuarantinedEvent,
    QuarantineFilter,
    QuarantineGroup,
    RecordedEvent,
)
from headwater.ingest.ports import EventReader, Quarantine
from headwater.ingest.usecases.expiring import Expiry
from headwater.ingest.usecases.policies import PolicyBook
from headwater.kernel.clock import Clock
from headwater.kernel.errors import NotFound
from headwater.policy.residency import Residency


@dataclass(frozen=True, slots=True)
class Record:
    """A source record, named."""

    source: str
    object: str
    external_id: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How a tenant's log stands.

    Args:
        open_entries: of the quarantine.
        keeping: what the policy says of retention, None when it says nothing.
        archived: whether events are archived before they leave.
        log_days: after which a day leaves for every tenant; 0: never.
    """

    counts: list[EventCount]
    open_entries: int
    keeping: Keeping | None
    kept: Kept
    archived: bool
    log_days: int
    residency: Residency | None


class Inspector:
    """Answers what people ask of the log."""

    def __init__(
        self,
        reader: EventReader,
        quarantine: Quarantine,
        policies: PolicyBook,
        expiry: Expiry,
        clock: Clock,
    ) -> None:
        self._expiry = expiry
        self._clock = clock
        self._reader = reader
        self._quarantine = quarantine
        self._policies = policies

    async def event(
        self, tenant_id: str, event_key: uuid.UUID
    ) -> tuple[RecordedEvent, QuarantinedEvent | None]:
        """Return an event, and its entry when it was quarantined.

        Raises:
            NotFound: the key is unknown.
        """
        recorded = await self._reader.get_event(tenant_id, event_key)
        return await self._with_entry(tenant_id, recorded, f"event {event_key}")

    async def event_by_id(
        self, tenant_id: str, event_id: int
    ) -> tuple[RecordedEvent, QuarantinedEvent | None]:
        """Return the event that the log gave this sequence number; as `event`.

        Raises:
            NotFound: the id is unknown, or another tenant's.
        """
        recorded = await self._reader.get_event_by_seq(tenant_id, event_id)
        return await self._with_entry(tenant_id, recorded, f"event with id {event_id}")

    async def _with_entry(
        self, tenant_id: str, recorded: RecordedEvent | None, named: str
    ) -> tuple[RecordedEvent, QuarantinedEvent | None]:
        if recorded is None:
            raise NotFound(f"no {named} of tenant {tenant_id!r}", reason="EVENT_NOT_FOUND")
        if recorded.disposition is not Disposition.QUARANTINED:
            return recorded, None
        return recorded, await self._quarantine.get_quarantined(
            tenant_id, uuid.UUID(bytes=recorded.event.event_key)
        )

    async def events(
        self, tenant_id: str, record: Record | None, *, page_size: int, page_token: str
    ) -> tuple[list[RecordedEvent], str]:
        """Return a page of a tenant's or a record's events, newest first, and the token of the next."""
        limit = paging.page_size(page_size)
        before = paging.read_log_token(page_token)
        if record is None:
            found = await self._reader.list_tenant_events(tenant_id, before, limit + 1)
        else:
            named = (record.source, record.object, record.external_id)
            found = await self._reader.list_record_events(tenant_id, *named, before, limit + 1)
        shown = found[:limit]
        return shown, paging.log_token(shown[-1].place) if len(found) > limit else ""

    async def quarantined(
        self,
        tenant_id: str,
        wanted: QuarantineFilter,
        *,
        page_size: int,
        page_token: str,
        include_closed: bool,
    ) -> tuple[list[QuarantinedEvent], str]:
        """Return a page of the task list, oldest first, and the token of the next."""
        limit = paging.page_size(page_size)
        after = paging.read_place_token(page_token)
        found = await self._quarantine.list_quarantined(
            tenant_id, after, limit + 1, wanted=wanted, include_closed=include_closed
        )
        shown = found[:limit]
        if len(found) <= limit:
            return shown, ""
        last = shown[-1]
        return shown, paging.place_token((last.open_time, uuid.UUID(bytes=last.recorded.event.event_key)))

    async def quarantine_groups(self, tenant_id: str, *, page_size: int) -> list[QuarantineGroup]:
        """Return open entries grouped by what they break, with who answers for their source."""
        groups = await self._quarantine.list_groups(tenant_id, paging.page_size(page_size))
        policy = await self._policies.find(tenant_id)
        systems = policy.systems if policy else {}
        return [
            replace(group, owner=system.owner, backup=system.backup, runbook=system.runbook)
            if (system := systems.get(group.source))
            else group
            for group in groups
        ]

    async def status(self, tenant_id: str) -> Standing:
        """Return the counts of a tenant's log, and how long and where it is kept."""
        policy = await self._policies.find(tenant_id)
        keeping, kept = await self._expiry.kept(tenant_id, self._clock.now().date())
        return Standing(
            await self._reader.read_counts(tenant_id),
            await self._quarantine.count_open(tenant_id),
            keeping,
            kept,
            self._expiry.archives(keeping),
            self._expiry.retention_days,
            policy.residency if policy else None,
        )
