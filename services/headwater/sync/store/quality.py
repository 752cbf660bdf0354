"""Records read for the quality report, and the reports kept, on Postgres."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from headwater.kernel.pg import queries
from headwater.sync.domain.correcting import OWN_RECORDS
from headwater.sync.domain.log import RecordKey
from headwater.sync.domain.quality import Counts, Measured, Quarantined, Subject
from headwater.sync.domain.states import RecordState
from headwater.sync.store.faults import reaching
from headwater.sync.store.versions import read_member

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

_SQL: Final = queries.load("headwater.sync", "quality.sql")
_POLICY: Final = queries.load("headwater.sync", "rollout.sql")["policy_in_force"]


class PostgresQuality:
    """Port `QualityStore` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def count_records(self, tenant_id: str) -> int:
        """Count a tenant's records."""
        async with reaching():
            count: int = await self._pool.fetchval(_SQL["count_all_records"].text, tenant_id)
        return count

    async def page_records(self, tenant_id: str, after: RecordKey, limit: int) -> tuple[RecordState, ...]:
        """Return the next records behind *after*, in key order."""
        place = (after.object, after.source, after.external_id)
        async with reaching():
            rows = await self._pool.fetch(_SQL["page_records"].text, tenant_id, *place, limit)
        return tuple(read_member(row) for row in rows)

    async def count_entities(self, tenant_id: str) -> Mapping[tuple[str, str], int]:
        """Return of how many entities the living records are; object and source, an empty source for all."""
        async with reaching():
            rows = await self._pool.fetch(
                _SQL["count_entities_of_records"].text, tenant_id, sorted(OWN_RECORDS)
            )
        return {(row["object"], row["source"]): row["entities"] for row in rows}

    async def is_late(self, tenant_id: str, connectors: Sequence[str], late_s: float) -> bool:
        """Say whether a delivery to one of these accounts is due since more than *late_s*."""
        async with reaching():
            late: bool = await self._pool.fetchval(_SQL["is_late"].text, tenant_id, list(connectors), late_s)
        return late

    async def write(self, tenant_id: str, day: dt.date, now: dt.datetime, measured: Measured) -> None:
        """Keep *measured* as what was found on *day*, in place of what was found earlier that day."""
        rows = [
            (*subject, one.records, one.present, one.invalid, one.stale, one.personal_mail, one.entities, one.newest_time)
            for subject, one in sorted(measured.items())
        ]  # fmt: skip
        columns = list(zip(*rows, strict=True)) if rows else [()] * 10
        async with reaching(), self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_SQL["forget_day"].text, tenant_id, day)
            await connection.execute(_SQL["write_quality"].text, tenant_id, day, now, *columns)

    async def read(
        self, tenant_id: str, since: dt.date
    ) -> Mapping[dt.date, tuple[dt.datetime, dict[Subject, Counts]]]:
        """Return what was kept since a day, with the time of each measurement, the oldest first."""
        found: dict[dt.date, tuple[dt.datetime, dict[Subject, Counts]]] = {}
        async with reaching():
            rows = await self._pool.fetch(_SQL["read_quality"].text, tenant_id, since)
        for row in rows:
            _, measured = found.setdefault(row["day"], (row["measure_time"], {}))
            measured[Subject(row["object"], row["source"], row["field"])] = Counts(
                row["record_count"],
                row["present_count"],
                row["invalid_count"],
                row["stale_count"],
                row["personal_mail_count"],
                row["entity_count"],
                row["newest_time"],
            )
        return found

    async def newest_day(self, tenant_id: str) -> dt.date | None:
        """Return the last day that was measured; None when none was."""
        async with reaching():
            day: dt.date | None = await self._pool.fetchval(_SQL["newest_quality_day"].text, tenant_id)
        return day

    async def quarantined(self, tenant_id: str, since: dt.datetime, limit: int) -> Sequence[Quarantined]:
        """Return what events break of the contract, the most first."""
        async with reaching():
            rows = await self._pool.fetch(_SQL["count_quarantined"].text, tenant_id, since, limit)
        return tuple(Quarantined(*row.values()) for row in rows)

    async def prune(self, tenant_id: str, before: dt.date) -> None:
        """Forget days before *before*."""
        async with reaching():
            await self._pool.execute(_SQL["prune_quality"].text, tenant_id, before)
