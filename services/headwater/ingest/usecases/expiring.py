"""What tenants keep for a shorter time than the log keeps its days: archived if wanted, then gone, a stretch at a time.

Owns the order of it: what is in no file yet is archived first; a day is swept once for all tenants whose it is time for.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import anyio.lowlevel

from headwater.ingest.domain.days import Due, Keeping, Kept, longer
from headwater.ingest.ports import Archive, ArchiveFailed, DayKept, Days

_log = logging.getLogger(__name__)

Keepings = Callable[[], Sequence[Keeping]]
"""What the policies in force say."""


@dataclass(frozen=True, slots=True)
class ExpirySettings:
    """How tenants' events go.

    Args:
        retention_days: after which days are dropped for everybody; 0: never.
        readers: who must have read a day first.
        pages: of a day's table in one transaction, which holds readers back while it lasts: 2 MB, some 5,000 events.
        notes: days that the audit is told of at once.
    """

    retention_days: int = 0
    readers: Sequence[str] = ("sync",)
    pages: int = 256
    notes: int = 500


class Expiry:
    """Lets tenants' events go by their policies.

    Args:
        archive: None: nothing is archived.
    """

    def __init__(
        self, days: Days, archive: Archive | None, keepings: Keepings, settings: ExpirySettings
    ) -> None:
        self._days = days
        self._archive = archive
        self._keepings = keepings
        self._settings = settings

    def keeping_of(self, tenant_id: str) -> Keeping | None:
        """Return what a tenant's policy says, None when it says nothing."""
        return next((item for item in self._keepings() if item.tenant_id == tenant_id), None)

    @property
    def retention_days(self) -> int:
        """Days after which a day leaves the log for every tenant; 0: never."""
        return self._settings.retention_days

    def archives(self, keeping: Keeping | None) -> bool:
        """Return whether a tenant's events are archived before they leave."""
        return self._archive is not None and (keeping is None or keeping.archive)

    async def due(self, today: dt.date) -> list[Due]:
        """Return what is older than its tenant's retention, the oldest day first."""
        keepings = self._keepings()
        return await self._days.due(keepings, today) if keepings else []

    async def kept(self, tenant_id: str, today: dt.date) -> tuple[Keeping | None, Kept]:
        """Return what a tenant's policy says, and what the log holds of it."""
        keeping = self.keeping_of(tenant_id)
        limit = keeping.limit(today) if keeping else None
        return keeping, await self._days.kept(tenant_id, limit, self._settings.readers)

    async def expire(self, today: dt.date) -> int:
        """Let go what is due; what is held back stays with a warning, and is due again next time.

        Returns:
            How many tenants' days were swept to their end.

        Cancellation: what was deleted is gone; the rest goes on where it was.
        """
        swept = 0
        ready = (item for item in await self.due(today) if item.ready)
        for day, items in groupby(ready, key=lambda item: item.day):
            tenants = [item.tenant_id for item in items if await self._is_archived(item)]
            if tenants:
                swept += await self._sweep(day, tenants)
        return swept

    async def tell(self) -> None:
        """Tell the audit what is gone; what it cannot be told now is told next time."""
        await self._days.note_expiries(self._settings.notes)

    async def longer_in(self, day: dt.date, today: dt.date) -> list[str]:
        """Return tenants that have events in a day and whose policies keep it, though days are not kept so long.

        Such a policy is refused; it can only be older than the setting.
        """
        wanted = [
            item.tenant_id
            for item in longer(self._keepings(), self._settings.retention_days)
            if item.limit(today) <= day
        ]
        return await self._days.tenants_of(day, wanted) if wanted else []

    async def _is_archived(self, item: Due) -> bool:
        """Archive what has to be; return whether it may go."""
        keeping = self.keeping_of(item.tenant_id)
        if self._archive is None or item.archived or keeping is None or not keeping.archive:
            return keeping is not None
        try:
            await self._write(item, self._archive)
        except ArchiveFailed as error:
            # One tenant's file holds up no other tenant.
            _log.warning("day %s of a tenant is kept: %s", item.day, error, extra={"tenant": item.tenant_id})
            return False
        return True

    async def _write(self, item: Due, archive: Archive) -> None:
        async with self._days.reading_tenant(item.day, item.tenant_id) as pages:
            written = await archive.write(item.day, pages, item.tenant_id)
        if written.rows != item.rows:
            told = f"{written.path} holds {written.rows} rows, of {item.tenant_id!r} in {item.day} there are {item.rows}"
            raise ArchiveFailed(told)
        await self._days.note_tenant_archive(item.day, item.tenant_id, written.path, written.sha256)

    async def _sweep(self, day: dt.date, tenants: Sequence[str]) -> int:
        try:
            while True:
                said = await self._days.expire_some(
                    day, tenants, self._settings.readers, self._settings.pages
                )
                if said != "moved":
                    break
                await anyio.lowlevel.checkpoint()
        except DayKept as error:
            _log.warning("tenants' events are older than their retention but kept: %s", error)
            return 0
        if said == "swept":
            _log.info("day swept", extra={"day": day.isoformat(), "tenants": len(tenants)})
            return len(tenants)
        return 0
