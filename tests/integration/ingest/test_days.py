"""The log over several days: the ledger across them, the roll against writers, readers, sealing, windows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import anyio
import anyio.lowlevel
import msgspec
import pytest
from tests.integration.ingest.days import SHARDS, World, world
from tests.unit.ingest.arrivals import TENANT, new_event

from headwater.ingest.domain.event import Disposition, NewEvent
from headwater.ingest.ports import LogUnavailable
from headwater.ingest.store.announcing import Announcer
from headwater.ingest.store.log import PostgresEventLog, append_few, enter
from headwater.kernel.telemetry import Spans, TraceContext
from headwater.kernel.telemetry.context import under
from headwater.kernel.telemetry.recording import RecordedSpan, RecordingTracer

pytestmark = pytest.mark.anyio
ACCEPTED, DUPLICATE, REFUSED = Disposition.ACCEPTED, Disposition.DUPLICATE, Disposition.REFUSED


def _events(count: int, mark: str = "e") -> list[NewEvent]:
    return [new_event(external_id=f"{mark}-{number}") for number in range(count)]


async def _sealed_world(day_events: Sequence[Sequence[NewEvent]], on: World) -> None:
    for events in day_events:
        await on.fates(events)
        await on.next_day()
    await on.seal(rows=7)


@pytest.mark.parametrize("few", [False, True])
async def test_a_key_of_an_unsealed_day_is_a_duplicate(migrated_database_url: str, *, few: bool) -> None:
    """By either road, while the day before is not sealed yet."""
    events = _events(5)
    async with world(migrated_database_url) as log:
        assert await log.fates(events, few=few) == [ACCEPTED] * 5
        await log.next_day()
        assert await log.fates(events, few=few) == [DUPLICATE] * 5
        assert await log.pool.fetchval("SELECT count(*) FROM ingest.event") == 5


@pytest.mark.parametrize("few", [False, True])
async def test_a_key_of_a_sealed_day_is_a_duplicate(migrated_database_url: str, *, few: bool) -> None:
    """By either road; another content is a conflict there too."""
    events = [*_events(5), new_event(request_id="r")]
    other = new_event({"email": "other@example.com"}, request_id="r")
    async with world(migrated_database_url) as log:
        await _sealed_world([events, []], log)
        assert await log.fates([*events, other, *_events(1, "new")], few=few) == [
            *[DUPLICATE] * 6, REFUSED, ACCEPTED,
        ]  # fmt: skip


async def test_sealing_again_after_a_crash_at_any_step_gives_the_same(migrated_database_url: str) -> None:
    """Chunks are transactions: one that is rolled back is moved again, none is counted twice."""
    events = _events(23)
    async with world(migrated_database_url) as log:
        await log.fates(events)
        day = await log.next_day()
        state = ""
        while state != "sealed":
            async with log.pool.acquire() as connection:
                crash = connection.transaction()
                await crash.start()
                await connection.fetchval("SELECT ingest.seal_some(5)")
                await crash.rollback()
            state = await log.days.seal_some(5)
        assert await log.pool.fetchval("SELECT count(*) FROM ingest.sealed_key") == 23
        sealed = (await log.days.list_days())[0]
        assert (sealed.day, sealed.state, sealed.rows) == (day, "sealed", 23)
        assert await log.days.seal_some(5) == "idle"


async def test_the_day_written_into_is_never_sealed(migrated_database_url: str) -> None:
    """Only a later day's opening ends a day."""
    async with world(migrated_database_url) as log:
        await log.fates(_events(3))
        assert await log.days.seal_some(100) == "idle"


async def test_a_day_opens_once(migrated_database_url: str) -> None:
    """Any number of keepers; a day before the newest is not opened any more."""
    async with world(migrated_database_url) as log:
        tomorrow = await log.today() + dt.timedelta(days=1)
        opened: list[bool] = []

        async def roll() -> None:
            opened.append(await log.days.roll(tomorrow))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(roll)
        assert sorted(opened) == [False] * 4 + [True]
        assert not await log.days.roll(tomorrow - dt.timedelta(days=5))


async def test_a_roll_waits_for_the_writer_and_the_next_writer_for_the_roll(
    migrated_database_url: str,
) -> None:
    """So that ids of a day precede the next day's, and one key cannot enter both."""
    event = new_event()
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    async with world(migrated_database_url) as log, log.pool.acquire() as writer:
        transaction = writer.transaction()
        await transaction.start()
        day, _ = await enter(writer, [event])
        fates: list[Disposition] = []

        async def late() -> None:
            fates.extend(await log.fates([event]))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(log.days.roll, day + dt.timedelta(days=1))
            while await log.pool.fetchval(waiting) < 1:
                await anyio.lowlevel.checkpoint()
            tasks.start_soon(late)
            while await log.pool.fetchval(waiting) < 2:
                await anyio.lowlevel.checkpoint()
            await append_few(writer, [event])
            await transaction.commit()
        assert fates == [DUPLICATE]
        rows = await log.pool.fetch("SELECT record_day FROM ingest.event")
        assert [row["record_day"] for row in rows] == [day]


async def test_a_roll_gives_up_on_a_writer_that_stays(migrated_database_url: str) -> None:
    """It would hold up the writers behind it: the day opens with the keeper's next look."""
    async with world(migrated_database_url) as log, log.pool.acquire() as writer:
        await log.pool.execute("ALTER FUNCTION ingest.roll(date) SET lock_timeout = '50ms'")
        async with writer.transaction():
            day, _ = await enter(writer, [new_event()])
            with pytest.raises(LogUnavailable):
                await log.days.roll(day + dt.timedelta(days=1))
        assert await log.days.roll(day + dt.timedelta(days=1))


async def test_batches_racing_rolls_record_each_key_once(migrated_database_url: str) -> None:
    """Four writers send the same events by both roads while days open and are sealed."""
    batches = [[new_event(external_id=f"{n}-{i}") for i in range(30)] for n in range(12)]
    accepted: list[Disposition] = []

    async def send(log: World, *, few: bool) -> None:
        for batch in batches:
            accepted.extend(await log.fates(batch, few=few))

    async def roll(log: World) -> None:
        for _ in range(4):
            await log.next_day()
            await log.seal(50)

    async with world(migrated_database_url) as log:
        async with anyio.create_task_group() as tasks:
            for few in (False, True, False, True):
                tasks.start_soon(partial(send, log, few=few))
            tasks.start_soon(roll, log)
        assert accepted.count(ACCEPTED) == 360
        assert await log.pool.fetchval("SELECT count(*) FROM ingest.event") == 360
        assert await log.pool.fetchval("SELECT ingest.count_accepted($1)", TENANT) == 360
        ordered = await log.pool.fetch(
            "SELECT min(xid::text::bigint) AS a, max(xid::text::bigint) AS b FROM ingest.event"
            " GROUP BY record_day ORDER BY record_day"
        )
        assert all(before["b"] < after["a"] for before, after in pairwise(ordered))


async def test_a_replay_from_zero_reads_every_day_once_in_order(migrated_database_url: str) -> None:
    """Sealed days, one that is over but not sealed, an empty one and today's."""
    async with world(migrated_database_url) as log:
        await _sealed_world([_events(20, "a"), [], _events(20, "b")], log)
        await log.fates(_events(20, "c"))
        await log.next_day()
        await log.fates(_events(20, "d"))
        found = await log.replay()
        assert len(found) == len(set(found)) == 80
        by_day = [name[0] for name in found]
        assert set(found) == {f"{mark}-{n}" for mark in "abcd" for n in range(20)}
        assert by_day.index("d") > by_day.index("a")


async def test_a_late_commit_at_the_end_of_a_day_is_not_skipped(migrated_database_url: str) -> None:
    """A reader that is at the end stays in the old day until nothing can come there any more."""
    early, late = new_event(external_id="early"), new_event(external_id="late")
    async with world(migrated_database_url) as log, log.pool.acquire() as writer:
        places = dict.fromkeys(SHARDS, (0, 0))
        transaction = writer.transaction()
        await transaction.start()
        await append_few(writer, [late])
        await log.fates([early], few=True)
        assert await log.read(places) == []
        await transaction.commit()
        await log.next_day()
        await log.fates(_events(3, "next"))
        found: list[str] = []
        while page := await log.read(places):
            found += page
        assert sorted(found) == ["early", "late", "next-0", "next-1", "next-2"]


async def test_an_event_is_found_by_key_and_number_on_any_day(migrated_database_url: str) -> None:
    """The ledger names the day."""
    events = _events(3)
    async with world(migrated_database_url) as log:
        await _sealed_world([events[:1], events[1:2]], log)
        await log.fates(events[2:])
        for event in events:
            key = event.event_key.hex()
            row = await log.pool.fetchrow(
                "SELECT seq, external_id FROM ingest.find_event($1, $2::text::uuid)", TENANT, key
            )
            assert row is not None
            assert row["external_id"] == event.external_id
            found = await log.pool.fetchval(
                "SELECT external_id FROM ingest.find_event_by_seq($1, $2)", TENANT, row["seq"]
            )
            assert found == event.external_id


@pytest.mark.parametrize("few", [False, True])
async def test_after_its_window_a_resend_is_recorded_once_however_many_send_it(
    migrated_database_url: str, *, few: bool
) -> None:
    """Concurrent re-sends of one key give one acceptance and one more row; the next is in its window again."""
    event = msgspec.structs.replace(new_event(), dedup_window_s=3600.0)
    age = "UPDATE ingest.{0} SET record_time = record_time - interval '2 hours'"
    async with world(migrated_database_url) as log:
        await log.fates([event], few=few)
        day = await log.next_day()
        await log.seal()
        await log.pool.execute(age.format(f"event_{day:%Y%m%d}"))
        await log.pool.execute(age.format("sealed_key"))
        fates: list[Disposition] = []

        async def send() -> None:
            fates.extend(await log.fates([event], few=few))

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(send)
        assert sorted(fates) == [ACCEPTED, DUPLICATE, DUPLICATE, DUPLICATE]
        assert await log.fates([event], few=few) == [DUPLICATE]
        assert await log.pool.fetchval("SELECT generation FROM ingest.resend") == 1
        await log.pool.execute(age.format("resend"))
        assert await log.fates([event], few=few) == [ACCEPTED]
        assert await log.pool.fetchval("SELECT generation FROM ingest.resend") == 2
        assert await log.pool.fetchval("SELECT count(*) FROM ingest.event") == 3


async def test_events_of_the_future_skip_older_days(migrated_database_url: str) -> None:
    """A key that leads with a time after the day's opening, and the clocks' margin, cannot be in an older day."""
    async with world(migrated_database_url) as log:
        await log.next_day()
        async with log.pool.acquire() as connection:
            now_us = int(dt.datetime.now(dt.UTC).timestamp() * 1e6)
            fresh = msgspec.structs.replace(new_event(), event_time_us=now_us + 3 * 3_600_000_000)
            assert not (await enter(connection, [fresh]))[1]
            assert (await enter(connection, [fresh, new_event()]))[1]
            assert (await enter(connection, [msgspec.structs.replace(fresh, request_id="r")]))[1]


async def test_an_append_is_one_span_whichever_way_it_takes(migrated_database_url: str) -> None:
    """Also behind midnight, when the short way cannot tell and the exact one is taken after it."""
    spans: list[RecordedSpan] = []
    async with world(migrated_database_url) as log:
        await log.next_day()
        announcer = Announcer(log.pool, acquire_timeout_s=5)
        traced = PostgresEventLog(
            log.pool,
            Spans(RecordingTracer(1.0, spans.append)),
            announcer,
            acquire_timeout_s=5,
            few_rows_max=10,
        )
        with under(TraceContext("00-" + "1a" * 16 + "-" + "2b" * 8 + "-01")):
            [outcome] = await traced.append([new_event()])
    assert outcome.disposition is ACCEPTED
    assert [span.name for span in spans] == ["INSERT event"]
