"""The keeper of the log's days: opens today's, seals what is over, archives and drops what is old.

Every ingest process runs one; the database lets one at a time do each thing, and each is safe to repeat.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import anyio.lowlevel

from headwater.ingest.domain.days import Day, expired
from headwater.ingest.ports import Archive, ArchiveFailed, DayKept, Days, LogUnavailable
from headwater.ingest.usecases.expiring import Expiry
from headwater.kernel.clock import Clock

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeeperSettings:
    """How days are kept.

    Args:
        interval_s: pause between two looks.
        seal_rows: keys moved in one transaction.
        retention_days: after which a day's facts are dropped; 0: never.
        readers: who must have read a day before it is dropped.
    """

    interval_s: float = 60.0
    seal_rows: int = 5_000
    retention_days: int = 0
    readers: Sequence[str] = ("sync",)


class Keeper:
    """Looks after the days.

    Args:
        archive: None: facts are thrown away.
        expiry: lets tenants' events go before their days; None: all are kept alike.
    """

    def __init__(
        self,
        days: Days,
        archive: Archive | None,
        clock: Clock,
        settings: KeeperSettings,
        chance: random.Random,
        expiry: Expiry | None = None,
    ) -> None:
        self._expiry = expiry
        self._days = days
        self._archive = archive
        self._clock = clock
        self._settings = settings
        self._chance = chance

    async def run(self) -> None:
        """Keep the days until cancelled; what was under way is done again next time."""
        while True:
            await self.look()
            await anyio.sleep(self._settings.interval_s * self._chance.uniform(0.9, 1.1))

    async def look(self) -> None:
        """Do once what is due; a fault is logged, and due again next time."""
        for duty in (self.open_today, self.index, self.seal, self.expire, self.tell, self.drop_expired):
            try:
                await duty()
            except (LogUnavailable, ArchiveFailed) as error:
                _log.warning("the log's days: %s", error)
            except Exception:  # noqa: BLE001 - the actor's edge: recording goes on, the next look may do better
                _log.exception("the log's days: %s failed", duty.__name__)

    async def open_today(self) -> None:
        """Open today's partition, unless it is open; events that come before then go into the day before."""
        today = self._clock.now().date()
        if await self._days.roll(today):
            _log.info("day opened", extra={"day": today.isoformat()})

    async def index(self) -> None:
        """Make what was written since the last look findable by record, tenant and number."""
        await self._days.index_day()

    async def seal(self) -> None:
        """Move the keys of days that are over, in transactions short enough for the readers of the log."""
        while await self._days.seal_some(self._settings.seal_rows) in {"moved", "sealed"}:
            await anyio.lowlevel.checkpoint()

    async def expire(self) -> None:
        """Let go what tenants keep for a shorter time than days are kept."""
        if self._expiry is not None:
            await self._expiry.expire(self._clock.now().date())

    async def tell(self) -> None:
        """Tell the audit what tenants' retention let go."""
        if self._expiry is not None:
            await self._expiry.tell()

    async def drop_expired(self) -> None:
        """Archive and drop the days older than the retention, oldest first; what is held back stays with a warning."""
        if self._settings.retention_days == 0:
            return
        days = await self._days.list_days()
        for day in expired(days, self._clock.now().date(), self._settings.retention_days):
            await self._drop(day)

    async def _drop(self, day: Day) -> None:
        if longer := await self._longer(day):
            message = "day %s is older than the retention but kept: the policy of %s keeps it longer"
            _log.warning(message, day.day, ", ".join(longer))
            return
        blockers = await self._days.blockers(day.day, self._settings.readers, archived=False)
        if blockers:
            reasons = "; ".join(item.detail for item in blockers)
            _log.warning("day %s is older than the retention but kept: %s", day.day, reasons)
            return
        if self._archive is not None and not day.archived:
            await archive_day(self._days, self._archive, day)
        try:
            await self._days.drop(day.day, self._settings.readers, archived=self._archive is not None)
        except DayKept as error:
            _log.warning("%s", error)
        else:
            _log.info("day dropped", extra={"day": day.day.isoformat(), "rows": day.rows})

    async def _longer(self, day: Day) -> list[str]:
        if self._expiry is None:
            return []
        return await self._expiry.longer_in(day.day, self._clock.now().date())


async def archive_day(days: Days, archive: Archive, day: Day) -> str:
    """Archive a sealed day and note it; return the path.

    Raises:
        ArchiveFailed: it cannot be relied on, or does not hold every row.
    """
    async with days.reading(day.day) as pages:
        written = await archive.write(day.day, pages)
    if written.rows != day.rows:
        raise ArchiveFailed(f"{written.path} holds {written.rows} rows, day {day.day} has {day.rows}")
    await days.note_archive(day.day, written.path, written.sha256)
    return written.path
