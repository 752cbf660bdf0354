"""What the tests of the log's days share: a log, its days, and steps into the future."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headwater.ingest.domain.event import Disposition, NewEvent
from headwater.ingest.store.announcing import Announcer
from headwater.ingest.store.days import PostgresDays
from headwater.ingest.store.log import PostgresEventLog
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.telemetry import Spans

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

SHARDS = range(16)


@dataclass
class World:
    """A log of its own."""

    pool: Pool
    log: PostgresEventLog
    few: PostgresEventLog
    days: PostgresDays

    async def fates(self, events: Sequence[NewEvent], *, few: bool = False) -> list[Disposition]:
        """Append and return what became of each."""
        outcomes = await (self.few if few else self.log).append(events)
        return [item.disposition for item in outcomes]

    async def today(self) -> dt.date:
        """The day that is written into."""
        return (await self.days.list_days())[-1].day

    async def next_day(self) -> dt.date:
        """Open the next day and return the one that is over."""
        day = await self.today()
        await self.days.roll(day + dt.timedelta(days=1))
        return day

    async def seal(self, rows: int = 1000) -> None:
        """Seal every day that is over."""
        while await self.days.seal_some(rows) != "idle":
            pass

    async def read(self, xids: dict[int, tuple[int, int]], limit: int = 3) -> list[str]:
        """Read one page of every shard after *xids*, move them, return the external ids."""
        rows = await self.pool.fetch(
            "SELECT shard, xid, seq, external_id FROM ingest.read_shards($1, $2, $3, $4)",
            list(xids), [xid for xid, _ in xids.values()], [seq for _, seq in xids.values()], limit,
        )  # fmt: skip
        for row in rows:
            assert (row["xid"], row["seq"]) > xids[row["shard"]]
            xids[row["shard"]] = (row["xid"], row["seq"])
        return [row["external_id"] for row in rows]

    async def replay(self) -> list[str]:
        """Read everything from zero."""
        places = dict.fromkeys(SHARDS, (0, 0))
        found: list[str] = []
        while page := await self.read(places):
            found += page
        return found

    async def report(self, places: dict[int, tuple[int, int]], reader: str = "sync") -> None:
        """Tell the log how far a reader has come."""
        await self.pool.execute(
            "SELECT ingest.report_positions($1, $2, $3, $4)",
            reader, list(places), [xid for xid, _ in places.values()], [seq for _, seq in places.values()],
        )  # fmt: skip

    async def read_all(self) -> None:
        """Be a reader that has read everything."""
        places = dict.fromkeys(SHARDS, (0, 0))
        while await self.read(places, 1000):
            pass
        await self.report(places)


@asynccontextmanager
async def world(url: str) -> AsyncIterator[World]:
    """A log on the database: every batch by COPY, or every batch by the one-round-trip road."""
    async with await open_pool(
        url, application_name="test", size_min=2, size_max=8, session_reset=False
    ) as pool:
        # Here a roll waits for writers as long as they take: on a busy machine that may be longer than 2 s.
        await pool.execute("ALTER FUNCTION ingest.roll(date) RESET lock_timeout")
        yield World(
            pool,
            PostgresEventLog(
                pool, Spans.off(), Announcer(pool, acquire_timeout_s=5), acquire_timeout_s=5, few_rows_max=0
            ),
            PostgresEventLog(
                pool,
                Spans.off(),
                Announcer(pool, acquire_timeout_s=5),
                acquire_timeout_s=5,
                few_rows_max=10_000,
            ),
            PostgresDays(pool, acquire_timeout_s=5),
        )
