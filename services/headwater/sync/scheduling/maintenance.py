"""The engine's own jobs: room for tomorrow's attempts, retention, vacuum where dead rows gather, a queue that shrinks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from headwater.kernel.clock import Clock
from headwater.sync.domain.scheduling import Job
from headwater.sync.scheduling.ports import Upkeep

DAYS_AHEAD: Final = 3
"""Days of attempts made in advance: a job that fails for two days still leaves room."""
PRUNED_ROWS_MAX: Final = 5_000
"""Rows deleted in one transaction."""
PRUNES_MAX: Final = 200
"""Transactions of one run; what is left waits for the next."""
DEAD_ROWS_MIN: Final = 10_000
"""Dead rows below which a table is left to autovacuum."""
DEAD_SHARE_MIN: Final = 0.2
"""Dead rows of a table's live ones from which it is vacuumed; autovacuum's own default."""
QUEUE_ROW_BYTES: Final = 256
"""What a row in line takes of both indexes together, pages half full."""
QUEUE_BYTES_MIN: Final = 32 * 1024 * 1024
"""Size of the queue's indexes below which nothing is worth a rebuild."""
QUEUE_EXCESS: Final = 4
"""How much larger than its rows want the queue's indexes are when they are rebuilt."""
EXPIRED_MAX: Final = 500
"""Approvals that are decided about in one transaction."""
APPROVALS_EVERY_S: Final = 30.0
"""How late an approval may end."""
QUALITY_EVERY_S: Final = 86_400.0
"""One measurement of every tenant's records a day: a point of the trend."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long history is kept; 0 for ever.

    Args:
        attempt_days: attempts, by whole UTC days.
        projection_days: how events ended; older ones are told no more by `headwater event`.
        error_group_days: groups of errors in which no delivery stands any more, since they failed last.
    """

    attempt_days: int = 90
    projection_days: int = 0
    error_group_days: int = 90


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Runs the engine's own jobs.

    Args:
        measure_quality: measures the records of every tenant, for the trend; None: nobody asks.
        expire_approvals: decides about up to so many approvals whose time is over; None: nobody does.
    """

    upkeep: Upkeep
    clock: Clock
    retention: Retention
    measure_quality: Callable[[], Awaitable[str]] | None = None
    expire_approvals: Callable[[int], Awaitable[int]] | None = None

    def jobs(self) -> tuple[Job, ...]:
        """Return every job."""
        every = dict(_EVERY_S)
        if self.measure_quality is not None:
            every["quality"] = QUALITY_EVERY_S
        if self.expire_approvals is not None:
            every["approvals"] = APPROVALS_EVERY_S
        return tuple(
            Job("", f"maintenance/{name}", "maintenance", every_s) for name, every_s in every.items()
        )

    async def run(self, job: Job) -> str:
        """Run *job*; return what it did. Raises: Unavailable, StoreRaced, StoreRefused."""
        runs: Mapping[str, Callable[[], Awaitable[str]]] = {
            "attempts": self._attempts,
            "projections": self._projections,
            "error_groups": self._error_groups,
            "queue": self._queue,
            "vacuum": self._vacuum,
        }
        if self.measure_quality is not None:
            runs = {**runs, "quality": self.measure_quality}
        if self.expire_approvals is not None:
            runs = {**runs, "approvals": partial(self._approvals, self.expire_approvals)}
        return await runs[job.name.removeprefix("maintenance/")]()

    async def _attempts(self) -> str:
        today = self.clock.now().date()
        made = await self.upkeep.make_attempt_days(today, DAYS_AHEAD + 1)
        kept = self.retention.attempt_days
        dropped = await self.upkeep.drop_attempt_days(today - dt.timedelta(days=kept)) if kept else 0
        return f"{made} days made, {dropped} dropped"

    async def _projections(self) -> str:
        if not self.retention.projection_days:
            return "kept for ever"
        return await self._prune(self.upkeep.prune_projections, self.retention.projection_days)

    async def _error_groups(self) -> str:
        if not self.retention.error_group_days:
            return "kept for ever"
        return await self._prune(self.upkeep.prune_error_groups, self.retention.error_group_days)

    async def _prune(self, prune: Callable[[dt.datetime, int], Awaitable[int]], kept_days: int) -> str:
        before = self.clock.now() - dt.timedelta(days=kept_days)
        pruned = 0
        for _ in range(PRUNES_MAX):
            rows = await prune(before, PRUNED_ROWS_MAX)
            pruned += rows
            if rows < PRUNED_ROWS_MAX:
                break
        return f"{pruned} rows deleted"

    async def _approvals(self, expire: Callable[[int], Awaitable[int]]) -> str:
        expired = 0
        for _ in range(PRUNES_MAX):
            rows = await expire(EXPIRED_MAX)
            expired += rows
            if rows < EXPIRED_MAX:
                break
        return f"{expired} decided that nobody had decided about"

    async def _queue(self) -> str:
        rows, index_bytes = await self.upkeep.queue_size()
        if not needs_rebuild(rows, index_bytes):
            return f"{index_bytes // 1024} kB of indexes are in order"
        await self.upkeep.rebuild_queue()
        _, left_bytes = await self.upkeep.queue_size()
        return f"indexes rebuilt: {index_bytes // 1024} kB before, {left_bytes // 1024} kB now"

    async def _vacuum(self) -> str:
        wanted = [
            name for name, (dead, live) in (await self.upkeep.dead_rows()).items() if needs_vacuum(dead, live)
        ]
        for table in wanted:
            await self.upkeep.vacuum(table)
        return f"vacuumed {', '.join(wanted)}" if wanted else "no table needs it"


_EVERY_S: Final[Mapping[str, float]] = {
    "attempts": 3_600.0,
    "projections": 3_600.0,
    "error_groups": 3_600.0,
    "queue": 900.0,
    "vacuum": 300.0,
}


def needs_rebuild(rows: int, index_bytes: int) -> bool:
    """Tell whether the queue's indexes keep much more than its rows want."""
    return index_bytes >= QUEUE_BYTES_MIN and index_bytes > rows * QUEUE_ROW_BYTES * QUEUE_EXCESS


def needs_vacuum(dead: int, live: int) -> bool:
    """Tell whether a table is to be vacuumed now."""
    return dead >= DEAD_ROWS_MIN and dead >= live * DEAD_SHARE_MIN
