"""Schedules, cursors, calendar and upkeep on Postgres: under the fence, compared and set, in bounded steps."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from tests.unit.sync.tenant import NOON, TENANT

from headwater.connectors.base import Expiry
from headwater.kernel.errors import NotFound
from headwater.kernel.pg.pool import open_pool
from headwater.sync.domain import scheduling
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.polling import Refusal
from headwater.sync.domain.scheduling import Job, Standing
from headwater.sync.scheduling.ports import CursorStep, Warned
from headwater.sync.store.echoes import PostgresHeldRecords
from headwater.sync.store.leases import PostgresLeases
from headwater.sync.store.maintenance import PostgresUpkeep
from headwater.sync.store.polling import PostgresCalendar, PostgresCursors
from headwater.sync.store.schedules import PostgresSchedules

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

pytestmark = pytest.mark.anyio

JOB: Final = Job(TENANT, "poll/crm/contacts", "poll", 300.0, "crm", "contacts")
PLACE: Final = (TENANT, "crm", "contacts")


@pytest.fixture
async def pool(migrated_database_url: str) -> AsyncIterator[Pool]:
    """A pool on a migrated database."""
    async with await open_pool(migrated_database_url, application_name="test", size_max=4) as pool:
        yield pool


async def leased(pool: Pool) -> Lease:
    """Return a lease in force."""
    leases = PostgresLeases(pool, "me", 60.0)
    await leases.beat()
    fences = await leases.acquire(["connector/acme/crm"], 1)
    return Lease("connector/acme/crm", fences["connector/acme/crm"])


def step(before: str, after: str, *refused: Refusal, ids: tuple[str, ...] = ("1",)) -> CursorStep:
    """Return a page that was recorded."""
    return CursorStep(before, after, ids, refused)


async def test_a_cursor_moves_only_from_where_it_was_read(pool: Pool) -> None:
    """A second reader, or a reset in the meantime, is noticed; nothing is overwritten."""
    cursors, lease = PostgresCursors(pool), await leased(pool)
    assert await cursors.read(*PLACE) == ""
    assert await cursors.move(lease, *PLACE, step("", "a"))
    assert not await cursors.move(lease, *PLACE, step("", "b"))
    assert not await cursors.move(lease, *PLACE, step("x", "b"))
    assert await cursors.move(lease, *PLACE, step("a", "b"))
    assert await cursors.read(*PLACE) == "b"
    await pool.execute("delete from sync.poll_cursor")
    assert not await cursors.move(lease, *PLACE, step("b", "c"))


async def test_nothing_moves_under_a_lost_lease(pool: Pool) -> None:
    """Cursor, calendar and standing all ask for the fence first."""
    lease = await leased(pool)
    stale = Lease(lease.name, lease.fence - 1)
    schedules = PostgresSchedules(pool)
    with pytest.raises(FenceLost):
        await PostgresCursors(pool).move(stale, *PLACE, step("", "a"))
    with pytest.raises(FenceLost):
        await PostgresCalendar(pool).write(stale, TENANT, "crm", [], NOON)
    with pytest.raises(FenceLost):
        await schedules.end(JOB, stale, Standing(NOON, NOON), NOON, "ok", "")
    assert await PostgresCursors(pool).read(*PLACE) == ""


async def test_a_refusal_is_kept_until_its_record_is_recorded(pool: Pool) -> None:
    """With the page that brought it, in one transaction with the cursor."""
    cursors, lease = PostgresCursors(pool), await leased(pool)
    await cursors.move(
        lease, *PLACE, step("", "a", Refusal("7", NOON, "CLOCK_SKEW", "too far ahead"), ids=())
    )
    assert await pool.fetchval("select reason from sync.poll_refusal where crm_id = '7'") == "CLOCK_SKEW"
    await cursors.move(lease, *PLACE, step("a", "b", ids=("7",)))
    assert await pool.fetchval("select count(*) from sync.poll_refusal") == 0


async def test_a_paused_account_and_an_open_breaker_say_so(pool: Pool) -> None:
    """By what is stored of the account; nothing stored means nothing stands against it."""
    cursors = PostgresCursors(pool)
    assert await cursors.stop_of(TENANT, "crm", NOON) == ""
    await pool.execute(
        "insert into sync.connector_state (tenant_id, connector, breaker) values ($1, 'crm', $2)",
        TENANT,
        {"probe_time": "2026-03-01T12:01:00+00:00"},
    )
    assert await cursors.stop_of(TENANT, "crm", NOON) == "the breaker is open"
    await pool.execute("update sync.connector_state set paused = true, breaker = '{}'")
    assert await cursors.stop_of(TENANT, "crm", NOON) == "the account is paused"


async def test_a_job_keeps_its_standing_and_takes_on_a_new_period(pool: Pool) -> None:
    """Jobs that the policy does not name any more are forgotten."""
    schedules, lease = PostgresSchedules(pool), await leased(pool)
    await schedules.keep({JOB: NOON})
    await schedules.begin(JOB, lease, NOON)
    later = NOON + dt.timedelta(seconds=300)
    await schedules.end(JOB, lease, Standing(later, later, failure_count=2), NOON, "failed", "gone")
    await schedules.keep({Job(TENANT, JOB.name, "poll", 60.0, "crm"): NOON})
    [view] = await schedules.list_schedules(TENANT)
    assert (view.every_s, view.next_time, view.failure_count, view.outcome, view.run_count) == (
        60.0,
        later,
        2,
        "failed",
        1,
    )
    await schedules.retire(TENANT, "crm", [])
    assert await schedules.list_schedules(TENANT) == ()


@pytest.mark.parametrize("lasts", [False, True])
async def test_an_order_given_while_a_job_runs_asks_for_another_run(pool: Pool, *, lasts: bool) -> None:
    """What the run has read may be older than the order; the run that began after it fulfils it."""
    schedules, lease = PostgresSchedules(pool), await leased(pool)
    job = replace(JOB, kind="stream" if lasts else "poll")
    await schedules.keep({job: NOON})

    async def asked() -> bool:
        return (await schedules.standings([job]))[job.key].asked

    async def run(*, ordered: bool) -> None:
        standing = (await schedules.standings([job]))[job.key]
        await schedules.begin(job, lease, NOON)
        if ordered:
            await schedules.ask_run(TENANT, job.name, "operator")
        after = scheduling.after_run(standing, job, NOON, random.Random(1), failed=False)
        await schedules.end(job, lease, after, NOON, "ok", "")

    await schedules.ask_run(TENANT, job.name, "operator")
    assert await asked()
    await run(ordered=True)
    assert await asked()
    await run(ordered=False)
    assert not await asked()


async def test_an_unknown_schedule_is_not_found(pool: Pool) -> None:
    """Nor that of another tenant; the engine's own may be steered by all."""
    schedules = PostgresSchedules(pool)
    await schedules.keep({JOB: NOON, Job("", "maintenance/vacuum", "maintenance", 300.0): NOON})
    with pytest.raises(NotFound, match="poll/crm/contacts"):
        await schedules.ask_run("other", JOB.name, "operator")
    await schedules.set_paused("other", "maintenance/vacuum", "operator", paused=True)
    standings = await schedules.standings([Job("", "maintenance/vacuum", "maintenance", 300.0)])
    assert standings[("", "maintenance/vacuum")].paused


async def test_the_calendar_holds_what_the_last_look_found(pool: Pool) -> None:
    """What is not there any more goes with the next look."""
    calendar, lease = PostgresCalendar(pool), await leased(pool)
    token = Warned(Expiry("token", "refresh_token", NOON), 7, NOON, "")
    await calendar.write(lease, TENANT, "crm", [token, Warned(Expiry("watch", "w", NOON))], NOON)
    await calendar.write(lease, TENANT, "crm", [token], NOON + dt.timedelta(hours=1))
    assert await calendar.read(TENANT, "crm") == [token]


async def test_upkeep_makes_drops_prunes_and_vacuums(pool: Pool) -> None:
    """Days of attempts are made once; old projections go by at most the limit; every table named can be vacuumed."""
    upkeep = PostgresUpkeep(pool)
    far = dt.date(2030, 1, 1)
    assert await upkeep.make_attempt_days(far, 3) == 3
    assert await upkeep.make_attempt_days(far, 3) == 0
    assert await upkeep.drop_attempt_days(far + dt.timedelta(days=2)) >= 2
    for number in range(5):
        await pool.execute(
            "insert into sync.projection (tenant_id, event_key, rule, superseded, entity_ids, versions, xid, seq,"
            " project_time) values ('t', $1, 'projected', false, '{}', '{}', 1, 1, $2)",
            uuid.UUID(int=number),
            NOON + dt.timedelta(days=number),
        )
    assert await upkeep.prune_projections(NOON + dt.timedelta(days=3), 2) == 2
    assert await upkeep.prune_projections(NOON + dt.timedelta(days=3), 2) == 1
    assert await pool.fetchval("select count(*) from sync.projection") == 2
    for table in await upkeep.dead_rows():
        await upkeep.vacuum(table)
    assert len(await upkeep.dead_rows()) == 6


async def test_groups_of_errors_without_deliveries_go_when_they_are_old(pool: Pool) -> None:
    """By at most the limit; one in which a delivery still stands is kept, however old."""
    for number in range(4):
        await pool.execute(
            "insert into sync.error_group (tenant_id, group_id, connector, endpoint, error_class, error_code, message,"
            " last_message, failure_count, last_seen_time, sample_entity_ids)"
            " values ('t', $1, 'crm', '', '', '', '', '', 1, $2, '{}')",
            uuid.UUID(int=number),
            NOON + dt.timedelta(days=number),
        )
    await pool.execute(
        "insert into sync.error_member (tenant_id, connector, entity_id, group_id, in_doubt)"
        " values ('t', 'crm', $1, $1, false)",
        uuid.UUID(int=0),
    )
    upkeep, before = PostgresUpkeep(pool), NOON + dt.timedelta(days=3)
    assert [await upkeep.prune_error_groups(before, 1) for _ in range(3)] == [1, 1, 0]
    left = await pool.fetch("select group_id from sync.error_group order by last_seen_time")
    assert [row["group_id"].int for row in left] == [0, 3]


async def test_the_queue_gives_back_its_pages(pool: Pool) -> None:
    """After a drained backlog a rebuild leaves indexes as small as new; one that was cut off is begun anew."""
    upkeep = PostgresUpkeep(pool)
    _, empty_bytes = await upkeep.queue_size()
    await pool.execute(
        "insert into sync.due select 't', 'crm', 1, now(), gen_random_uuid() from generate_series(1, 5000)"
    )
    await pool.execute("delete from sync.due")
    await pool.execute("create index due_pkey_ccnew on sync.due (tenant_id)")
    _, grown_bytes = await upkeep.queue_size()
    await upkeep.rebuild_queue()
    _, left_bytes = await upkeep.queue_size()
    assert grown_bytes > 10 * empty_bytes
    assert left_bytes <= empty_bytes


async def test_nothing_is_held_where_nothing_was_delivered(pool: Pool) -> None:
    """Look-ups of unknown records answer with nothing."""
    held = PostgresHeldRecords(pool)
    assert await held.find([(TENANT, "crm", "contacts", "7")]) == {}
    assert await held.own_writes([(TENANT, "crm", uuid.UUID(int=1))]) == {}
