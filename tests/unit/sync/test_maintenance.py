"""The engine's own jobs: room ahead, retention in bounded steps, vacuum only where it is worth it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from tests.unit.sync.tenant import NOON

from headwater.kernel.clock import SteppedClock
from headwater.sync.scheduling.maintenance import (
    DAYS_AHEAD,
    PRUNED_ROWS_MAX,
    Maintenance,
    Retention,
    needs_rebuild,
    needs_vacuum,
)

pytestmark = pytest.mark.anyio


@dataclass
class Tables:
    """Tables that remember what was done to them."""

    old_rows: int = 0
    dead: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    queue: tuple[int, int] = (0, 16_384)
    did: list[tuple[str, object]] = field(default_factory=list)

    async def make_attempt_days(self, first: dt.date, days: int) -> int:
        """Note it."""
        self.did.append(("make", (first, days)))
        return days

    async def drop_attempt_days(self, before: dt.date) -> int:
        """Note it."""
        self.did.append(("drop", before))
        return 1

    async def prune_projections(self, before: dt.datetime, limit: int) -> int:
        """Delete some."""
        self.did.append(("prune", before))
        rows = min(limit, self.old_rows)
        self.old_rows -= rows
        return rows

    async def prune_error_groups(self, before: dt.datetime, limit: int) -> int:
        """Delete some."""
        self.did.append(("prune groups", (before, limit)))
        return 3

    async def queue_size(self) -> tuple[int, int]:
        """Return what was set."""
        return self.queue

    async def rebuild_queue(self) -> None:
        """Note it."""
        self.did.append(("rebuild", None))
        self.queue = (self.queue[0], 16_384)

    async def dead_rows(self) -> Mapping[str, tuple[int, int]]:
        """Return what was set."""
        return self.dead

    async def vacuum(self, table: str) -> None:
        """Note it."""
        self.did.append(("vacuum", table))


async def ran(tables: Tables, name: str, retention: Retention | None = None) -> str:
    """Run one job on *tables*."""
    maintenance = Maintenance(tables, SteppedClock(NOON), retention or Retention())
    job = next(job for job in maintenance.jobs() if job.name == f"maintenance/{name}")
    return await maintenance.run(job)


async def test_room_is_made_ahead_and_old_days_go() -> None:
    """From today on; attempts older than they are kept are dropped by the day."""
    tables = Tables()
    await ran(tables, "attempts", Retention(attempt_days=10))
    assert tables.did == [("make", (NOON.date(), DAYS_AHEAD + 1)), ("drop", dt.date(2026, 2, 19))]


async def test_attempts_kept_for_ever_are_not_dropped() -> None:
    """0 days means for ever."""
    tables = Tables()
    await ran(tables, "attempts", Retention(attempt_days=0))
    assert [what for what, _ in tables.did] == ["make"]


async def test_projections_go_in_bounded_steps_until_none_is_old() -> None:
    """Only when a retention is set."""
    tables = Tables(old_rows=2 * PRUNED_ROWS_MAX + 7)
    assert await ran(tables, "projections") == "kept for ever"
    assert tables.did == []
    assert (
        await ran(tables, "projections", Retention(projection_days=30))
        == f"{2 * PRUNED_ROWS_MAX + 7} rows deleted"
    )
    assert tables.did == [("prune", NOON - dt.timedelta(days=30))] * 3


async def test_only_tables_with_many_dead_rows_are_vacuumed() -> None:
    """Many, and many beside the live ones."""
    tables = Tables(dead={"due": (50_000, 10), "delivery": (50_000, 1_000_000), "inflight": (9, 1)})
    assert await ran(tables, "vacuum") == "vacuumed due"
    assert tables.did == [("vacuum", "due")]
    assert needs_vacuum(10_000, 50_000)
    assert not needs_vacuum(9_999, 0)
    assert not needs_vacuum(10_000, 50_001)


async def test_causes_of_failures_go_a_while_after_their_last_one() -> None:
    """Unless they are kept for ever."""
    tables = Tables()
    assert await ran(tables, "error_groups", Retention(error_group_days=10)) == "3 rows deleted"
    assert tables.did == [("prune groups", (NOON - dt.timedelta(days=10), PRUNED_ROWS_MAX))]
    assert await ran(Tables(), "error_groups", Retention(error_group_days=0)) == "kept for ever"


async def test_the_queue_is_rebuilt_when_its_indexes_keep_much_more_than_its_rows_want() -> None:
    """After a backlog is drained; a full queue is large and in order."""
    tables = Tables(queue=(1_000, 200 * 1024 * 1024))
    assert await ran(tables, "queue") == "indexes rebuilt: 204800 kB before, 16 kB now"
    assert tables.did == [("rebuild", None)]
    assert await ran(tables, "queue") == "16 kB of indexes are in order"
    assert not needs_rebuild(1_000_000, 200 * 1024 * 1024)
    assert not needs_rebuild(0, 31 * 1024 * 1024)
    assert needs_rebuild(0, 32 * 1024 * 1024)


async def test_records_are_measured_once_a_day_where_somebody_asks() -> None:
    """A job of the engine's own; without a measurement there is none."""
    asked: list[str] = []

    async def measure() -> str:
        asked.append("all")
        return "2 records of 1 tenants measured"

    maintenance = Maintenance(Tables(), SteppedClock(NOON), Retention(), measure)
    (job,) = [job for job in maintenance.jobs() if job.name == "maintenance/quality"]
    assert (job.every_s, await maintenance.run(job)) == (86_400.0, "2 records of 1 tenants measured")
    assert asked == ["all"]
    bare = Maintenance(Tables(), SteppedClock(NOON), Retention())
    assert "maintenance/quality" not in {job.name for job in bare.jobs()}
