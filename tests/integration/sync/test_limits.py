"""The books of limits: one suite for those in memory and those in Postgres."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import AsyncIterator, Callable

import anyio
import pytest
from tests.unit.sync.limit_books import MemoryBooks, Shelf

from headwater.kernel.pg.pool import open_pool
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.quota import Ledger, Reserve
from headwater.sync.domain.usage import Usage, WindowUsage
from headwater.sync.ports import LimitBooks
from headwater.sync.store.limits import PostgresLimits, read_books

DAY = dt.date(2026, 3, 1)
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
USAGE = Usage(
    {"calls/10s/all": WindowUsage(((5_000_000_000, 3), (9_000_000_000, 2)), 12, 100, 7)},
    {"write": 4_000_000_000},
    2,
)
LEDGER = Ledger(DAY, 40, 90, 55, 1_000, 4, 0.25, NOON, 3, NOON)

OpenBooks = Callable[[int], LimitBooks]
"""Opens the books under a fence."""

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "postgres"])
async def books(request: pytest.FixtureRequest, migrated_database_url: str) -> AsyncIterator[OpenBooks]:
    """Books of one account, by fence."""
    if request.param == "memory":
        shelf = Shelf(time.monotonic_ns)
        yield lambda fence: MemoryBooks(shelf, fence)
        return
    async with await open_pool(migrated_database_url, application_name="test") as pool:
        yield lambda fence: PostgresLimits(pool, "acme", "crm", Lease("connector/acme/crm", fence))


async def test_an_account_that_was_never_called_has_empty_books(books: OpenBooks) -> None:
    """Nothing used, and known to be so."""
    usage, ledger = await books(1).take_over(DAY)
    assert (usage.fresh, usage.windows, ledger) == (True, {}, Ledger(DAY))


async def test_books_come_back_as_they_were_written(books: OpenBooks) -> None:
    """Windows and pauses with the time since; the vendor's count with ours since its answer."""
    first = books(1)
    await first.take_over(DAY)
    await first.write(USAGE, LEDGER, Reserve(0, 0, NOON))
    usage, ledger = await books(2).take_over(DAY)
    assert (usage.windows, usage.pauses, usage.strikes) == (USAGE.windows, USAGE.pauses, USAGE.strikes)
    assert (usage.fresh, usage.elapsed_ns >= 0) == (False, True)
    assert ledger == Ledger(DAY, 40, 90, 59, 1_000, 0, 0.25, NOON, 3, NOON)


async def test_the_time_since_the_writing_is_never_told_too_long(books: OpenBooks) -> None:
    """What is read is younger than what passed between before the writing and after the reading."""
    first = books(1)
    await first.take_over(DAY)
    before = time.monotonic_ns()
    await first.write(USAGE, LEDGER, Reserve(0, 0))
    written = time.monotonic_ns()
    await anyio.lowlevel.checkpoint()
    asked = time.monotonic_ns()
    usage, _ = await books(2).take_over(DAY)
    assert asked - written - 10_000 <= usage.elapsed_ns + 10_000
    assert usage.elapsed_ns <= time.monotonic_ns() - before


async def test_what_was_reserved_counts_as_used_for_a_successor(books: OpenBooks) -> None:
    """A crash loses no call of the day."""
    first = books(1)
    await first.take_over(DAY)
    await first.write(USAGE, LEDGER, Reserve(50, 500))
    _, ledger = await books(2).take_over(DAY)
    assert (ledger.calls, ledger.tokens, ledger.since_told) == (90, 590, 500)


async def test_a_replaced_actor_writes_nothing_more(books: OpenBooks) -> None:
    """The taking over is the fence; the old books stand."""
    first, second = books(1), books(2)
    await first.take_over(DAY)
    await first.write(USAGE, LEDGER, Reserve(0, 0))
    await second.take_over(DAY)
    with pytest.raises(FenceLost):
        await first.write(Usage(), Ledger(DAY), Reserve(0, 0))
    with pytest.raises(FenceLost):
        await first.take_over(DAY)
    usage, ledger = await second.take_over(DAY)
    assert (usage.windows, ledger.calls) == (USAGE.windows, 40)


async def test_each_day_has_its_own_ledger(books: OpenBooks) -> None:
    """Yesterday's count says nothing of today."""
    first = books(1)
    await first.take_over(DAY)
    await first.write(USAGE, LEDGER, Reserve(0, 0))
    following = DAY + dt.timedelta(days=1)
    assert (await first.take_over(following))[1] == Ledger(following)


async def test_lookers_see_the_books_of_every_account_asked_for(migrated_database_url: str) -> None:
    """Also of those that were never called; and looking claims nothing."""
    async with await open_pool(migrated_database_url, application_name="test") as pool:
        first = PostgresLimits(pool, "acme", "crm", Lease("connector/acme/crm", 1))
        await first.take_over(DAY)
        await first.write(USAGE, LEDGER, Reserve(50, 50))
        found = await read_books(pool, "acme", {"crm": DAY, "new": DAY})
        await first.write(USAGE, LEDGER, Reserve(0, 0))
    usage, ledger = found["crm"]
    assert (usage.windows, ledger.calls, ledger.alert_time) == (USAGE.windows, 40, NOON)
    assert found["new"] == (Usage(fresh=True), Ledger(DAY))
