"""Measuring the quality of records, keeping it by day, and reporting it with its trend. Orders effects, holds no state.

NotFound    NO_POLICY, NOT_MEASURED
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

import anyio

from headwater.kernel.clock import Clock
from headwater.kernel.errors import HeadwaterError, NotFound
from headwater.policy.document import PolicyDocument
from headwater.sync.domain.log import RecordKey
from headwater.sync.domain.quality import (
    KEPT_DAYS,
    Counts,
    Measured,
    Measurement,
    Quarantined,
    Report,
    Subject,
    fresh_days_of,
)
from headwater.sync.domain.states import RecordState
from headwater.sync.ports import Policies

_log = logging.getLogger(__name__)

PAGE_RECORDS: Final = 500
QUARANTINE_ROWS: Final = 1_000
"""Rules that a report lists as broken by quarantined events, at most."""
GIVE_WAY_S_MAX: Final = 1_800.0
"""Longest time that a tenant's daily measurement waits for a log that is far behind; then it is taken all the same."""
LATE_S: Final = 2.0
"""Age of a due delivery from which a tenant's deliveries count as a backlog."""
LATE_WAIT_S_MAX: Final = 60.0
"""Longest time that the measurement waits for one: an account that stands still delays no day's report for long."""
LOOK_S: Final = 1.0
"""Pause between two looks whether the log, or deliveries, are behind still."""


class QualityStore(Protocol):
    """Where records and kept reports are. Every method raises Unavailable."""

    async def count_records(self, tenant_id: str) -> int:
        """Count a tenant's records."""
        ...

    async def page_records(self, tenant_id: str, after: RecordKey, limit: int) -> tuple[RecordState, ...]:
        """Return the next records behind *after*, in key order."""
        ...

    async def count_entities(self, tenant_id: str) -> Mapping[tuple[str, str], int]:
        """Return of how many entities the living records are; object and source, an empty source for all."""
        ...

    async def is_late(self, tenant_id: str, connectors: Sequence[str], late_s: float) -> bool:
        """Say whether a delivery to one of these accounts is due since more than *late_s*."""
        ...

    async def write(self, tenant_id: str, day: dt.date, now: dt.datetime, measured: Measured) -> None:
        """Keep *measured* as what was found on *day*, in place of what was found earlier that day."""
        ...

    async def read(
        self, tenant_id: str, since: dt.date
    ) -> Mapping[dt.date, tuple[dt.datetime, dict[Subject, Counts]]]:
        """Return what was kept since a day, with the time of each measurement, the oldest first."""
        ...

    async def newest_day(self, tenant_id: str) -> dt.date | None:
        """Return the last day that was measured; None when none was."""
        ...

    async def quarantined(self, tenant_id: str, since: dt.datetime, limit: int) -> Sequence[Quarantined]:
        """Return what events break of the contract, by ingest's account; up to *limit* rows, the most first."""
        ...

    async def prune(self, tenant_id: str, before: dt.date) -> None:
        """Forget days before *before*."""
        ...


class Reviews(Protocol):
    """Pairs that wait for a person."""

    async def open_count(self, tenant_id: str) -> int:
        """Count pairs that wait for an answer whether they are one. Raises: Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a measurement is; the last one has the report."""

    scanned: int
    wanted: int
    report: Report | None = None


class Quality:
    """Measures the records of any tenant."""

    def __init__(self, store: QualityStore, reviews: Reviews, policies: Policies, clock: Clock) -> None:
        self._store = store
        self._reviews = reviews
        self._policies = policies
        self._clock = clock

    async def measure(self, tenant_id: str, trend_days: int) -> AsyncGenerator[Progress]:
        """Read every record once, keep the counts as those of the day, and yield how far that is; at last the report.

        Raises: NotFound (NO_POLICY).
        """
        now, wanted = self._clock.now(), await self._store.count_records(tenant_id)
        measurement = Measurement(self._document(tenant_id), now)
        place = RecordKey(tenant_id, "", "", "")
        while page := await self._store.page_records(tenant_id, place, PAGE_RECORDS):
            measurement.add(page)
            place = page[-1].key
            yield Progress(measurement.scanned, max(wanted, measurement.scanned))
        measurement.total()
        measurement.note_entities(await self._store.count_entities(tenant_id))
        await self._store.write(tenant_id, now.date(), now, measurement.measured)
        await self._store.prune(tenant_id, now.date() - dt.timedelta(days=KEPT_DAYS))
        report = await self._report(tenant_id, now.date(), trend_days)
        yield Progress(measurement.scanned, measurement.scanned, report)

    async def newest(self, tenant_id: str, trend_days: int) -> Report:
        """Return the newest report that was kept. Raises: NotFound (NO_POLICY, NOT_MEASURED)."""
        self._document(tenant_id)
        day = await self._store.newest_day(tenant_id)
        if day is None:
            raise NotFound(f"the records of {tenant_id} were never measured", reason="NOT_MEASURED")
        return await self._report(tenant_id, day, trend_days)

    async def measure_all(self, is_behind: Callable[[str], bool]) -> str:
        """Measure every tenant, one after the other, behind its backlogs; return what was done, in one sentence.

        Args:
            is_behind: says whether a tenant's log is being caught up with: what would be measured is about to change,
                and reading all of it would only make that last longer.
        """
        records = tenants = 0
        for tenant_id in sorted(self._policies.current()):
            with anyio.move_on_after(GIVE_WAY_S_MAX) as patience:
                await _until_not(is_behind, tenant_id)
            with anyio.move_on_after(LATE_WAIT_S_MAX):
                await self._until_delivered(tenant_id)
            async with aclosing(self.measure(tenant_id, 0)) as steps:
                async for step in steps:
                    records += step.scanned if step.report is not None else 0
                    with anyio.CancelScope(deadline=patience.deadline):
                        await _until_not(is_behind, tenant_id)
            tenants += 1
        return f"{records} records of {tenants} tenants measured"

    async def _until_delivered(self, tenant_id: str) -> None:
        """Wait for a backlog of deliveries: it needs the machine more than a report of the day does."""
        connectors = sorted(self._document(tenant_id).connectors)
        while await self._store.is_late(tenant_id, connectors, LATE_S):  # noqa: ASYNC110 - the database tells nobody
            await anyio.sleep(LOOK_S)

    async def _report(self, tenant_id: str, day: dt.date, trend_days: int) -> Report:
        document = self._document(tenant_id)
        kept = await self._store.read(tenant_id, day - dt.timedelta(days=trend_days))
        trend: dict[Subject, list[tuple[dt.date, float]]] = {}
        for one, (_, measured) in kept.items():
            for subject, counts in measured.items():
                trend.setdefault(subject, []).append((one, counts.good_share))
        measure_time, newest = kept.get(day, (self._clock.now(), {}))
        reviews = await self._open_reviews(tenant_id)
        since = self._clock.now() - dt.timedelta(days=trend_days)
        broken = await self._store.quarantined(tenant_id, since, QUARANTINE_ROWS)
        return Report(day, measure_time, newest, trend, fresh_days_of(document), reviews, broken)

    async def _open_reviews(self, tenant_id: str) -> int | None:
        try:
            return await self._reviews.open_count(tenant_id)
        except HeadwaterError as error:  # a report without it is better than none
            _log.warning("open reviews of %s are not known: %s", tenant_id, error)
            return None

    def _document(self, tenant_id: str) -> PolicyDocument:
        document = self._policies.current().get(tenant_id)
        if document is None:
            raise NotFound(f"tenant {tenant_id} has no policy yet", reason="NO_POLICY")
        return document


async def _until_not(is_behind: Callable[[str], bool], tenant_id: str) -> None:
    while is_behind(tenant_id):  # noqa: ASYNC110 - the projector tells nobody
        await anyio.sleep(LOOK_S)
