"""Marks of streams on Postgres: what is wanted, what is polled and the mark move together, under the fence, or not at all."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.integration.sync.test_schedules import leased
from tests.unit.sync.tenant import NOON, TENANT

from headwater.connectors.base.streaming import Heard, Listened
from headwater.kernel.pg.pool import open_pool
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.scheduling import Job
from headwater.sync.domain.streaming import StreamPlan, StreamState, StreamStep
from headwater.sync.store.schedules import PostgresSchedules
from headwater.sync.store.streams import PostgresStreams

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

pytestmark = pytest.mark.anyio

TOPIC: Final = "/data/ContactChangeEvent"
POLL: Final = Job(TENANT, "poll/crm/Contact", "poll", 300.0, "crm", "Contact")
OTHER: Final = Job(TENANT, "poll/crm/Lead", "poll", 300.0, "crm", "Lead")
STREAM: Final = Job(TENANT, "stream/crm/ContactChangeEvent", "stream", 60.0, "crm", TOPIC)
PLAN: Final = StreamPlan(
    STREAM.name,
    Listened(TOPIC, {"Contact": frozenset({"Email"})}),
    {"Contact": POLL.name, "Lead": OTHER.name},
    60.0,
)
PLACE: Final = (TENANT, "crm", PLAN)


@pytest.fixture
async def pool(migrated_database_url: str) -> AsyncIterator[Pool]:
    """A pool on a migrated database."""
    async with await open_pool(migrated_database_url, application_name="test", size_max=4) as pool:
        yield pool


def step(before: str, after: str, *ids: str, unread: int = 0, **more: object) -> StreamStep:
    """Return a step that wants records."""
    heard = Heard(tuple(("Contact", item) for item in ids), unread=unread, mark=after)
    return StreamStep(before, heard, **more)  # type: ignore[arg-type]


async def wanted(pool: Pool) -> list[str]:
    """Return the ids of the records that are to be read."""
    return [row["crm_id"] for row in await pool.fetch("select crm_id from sync.record_fetch order by crm_id")]


async def asked(pool: Pool) -> list[str]:
    """Return the jobs that are to run now; then none is."""
    rows: Sequence[Any] = await pool.fetch(
        "update sync.schedule set asked = false where asked returning name"
    )
    return sorted(row["name"] for row in rows)


async def test_a_mark_moves_with_what_it_wants_and_only_from_where_it_was_read(pool: Pool) -> None:
    """A second listener is noticed and keeps nothing; a step without a mark leaves it."""
    streams, lease = PostgresStreams(pool), await leased(pool)
    assert await streams.read(TENANT, "crm", TOPIC) == StreamState()
    assert await streams.keep(lease, *PLACE, step("", "01", "a", "b")) == StreamState("01")
    assert await streams.keep(lease, *PLACE, step("", "02", "lost")) is None
    assert await streams.keep(lease, *PLACE, step("07", "02", "lost")) is None
    assert await streams.keep(lease, *PLACE, step("01", "", "a")) == StreamState("01")
    assert await streams.keep(lease, *PLACE, step("01", "02", unread=3)) == StreamState("02")
    assert await wanted(pool) == ["a", "b"]
    row = await pool.fetchrow("select wanted_count, unread_count from sync.stream")
    assert row is not None
    assert tuple(row) == (3, 3)


async def test_what_is_told_while_the_log_is_projected_again_is_wanted_all_the_same(pool: Pool) -> None:
    """A pointer of the log was read when it came; what a stream tells comes once."""
    streams, lease = PostgresStreams(pool), await leased(pool)
    await pool.execute("insert into sync.rebuild (shard, xid, seq) values (0, 9, 9)")
    await streams.keep(lease, *PLACE, step("", "01", "a"))
    assert await wanted(pool) == ["a"]


async def test_nothing_is_kept_under_a_lost_lease(pool: Pool) -> None:
    """Neither a step, nor a loss, nor a call for the pollers."""
    streams, lease = PostgresStreams(pool), await leased(pool)
    stale = Lease(lease.name, lease.fence - 1)
    with pytest.raises(FenceLost):
        await streams.keep(stale, *PLACE, step("", "01", "a"))
    with pytest.raises(FenceLost):
        await streams.lose(stale, *PLACE, "")
    with pytest.raises(FenceLost):
        await streams.catch_up(stale, *PLACE, None)
    assert await wanted(pool) == []


async def test_pollers_are_called_at_once_and_again_when_it_is_time(pool: Pool) -> None:
    """For what was missed, for a mark that is forgotten, and once more; one that is paused is left alone."""
    streams, schedules, lease = PostgresStreams(pool), PostgresSchedules(pool), await leased(pool)
    await schedules.keep(dict.fromkeys((POLL, OTHER, STREAM), NOON))
    later = NOON + dt.timedelta(seconds=65)
    kept = await streams.keep(lease, *PLACE, step("", "01", polls=(POLL.name,), catch_up_time=later))
    assert kept == StreamState("01", later)
    assert await asked(pool) == [POLL.name]
    await streams.catch_up(lease, *PLACE, NOON)
    assert (await streams.read(TENANT, "crm", TOPIC)).catch_up_time == later
    assert await asked(pool) == [POLL.name, OTHER.name]
    await streams.catch_up(lease, *PLACE, later)
    assert await streams.read(TENANT, "crm", TOPIC) == StreamState("01")
    await asked(pool)
    await schedules.set_paused(TENANT, OTHER.name, "operator-1", paused=True)
    await streams.lose(lease, *PLACE, "01")
    assert await streams.read(TENANT, "crm", TOPIC) == StreamState()
    assert await asked(pool) == [POLL.name]


async def test_operators_see_how_a_stream_stands(pool: Pool) -> None:
    """In the list of schedules, with what it has told."""
    streams, schedules, lease = PostgresStreams(pool), PostgresSchedules(pool), await leased(pool)
    await schedules.keep({STREAM: NOON})
    await streams.keep(lease, *PLACE, step("", "01", "a", unread=2))
    (view,) = await schedules.list_schedules(TENANT)
    assert (view.kind, view.detail.partition(", last")[0]) == (
        "stream",
        "listening: 1 records told of, 2 changes that nobody reads",
    )
