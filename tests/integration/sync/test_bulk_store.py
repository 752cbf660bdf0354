"""What is set aside for bulk jobs, in the database: nobody else's, kept through a crash, and back in line afterwards."""

from __future__ import annotations

import uuid

import pytest
from tests.integration.sync.queued import CONNECTOR, LEASE, Queue, ended
from tests.unit.sync.tenant import TENANT, key

from headwater.sync.domain.bulking import SLOT_FIRST, BulkJob, Phase
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.store.bulk import PostgresBulkJobs
from headwater.sync.store.line import SWEEP_S
from headwater.sync.store.watching import PostgresDueTimes

pytestmark = pytest.mark.anyio

JOB = uuid.UUID(int=77)


def book(queue: Queue, fence: int = LEASE.fence) -> PostgresBulkJobs:
    """Return the account's bulk jobs."""
    return PostgresBulkJobs(queue.pool, TENANT, CONNECTOR, Lease(LEASE.name, fence))


def a_job(*numbers: int, **changed: object) -> BulkJob:
    """Return a job of first versions."""
    members = {key(number): 1 for number in numbers}
    return BulkJob(JOB, "contact", "Contact", "Headwater_Id__c", "7", members=members, **changed)  # type: ignore[arg-type]


async def test_no_turn_claims_what_is_set_aside_and_no_mark_lifts_it(queue: Queue) -> None:
    """Nothing else has to know of it: neither what is due next nor which lanes wait."""
    await queue.add(1, 2, 3, lane=Lane.BACKFILL)
    claimed = (await queue.claim(SLOT_FIRST, backfill=2)).claimed
    await book(queue).set_aside([item.entity_id for item in claimed])
    await queue.mark(1, Lane.LIVE, version=2)
    turn = await queue.claim()
    assert [item.entity_id for item in turn.claimed] == [key(3)]
    assert not any(turn.waiting.values())
    assert turn.next_due_s is not None
    assert 0 < turn.next_due_s <= SWEEP_S  # the next look for rows behind the mark, as always
    assert await book(queue).count_backlog(10) == 1
    assert await queue.faults() == []


async def test_what_changed_meanwhile_stands_before_the_rest_when_it_is_put_back(queue: Queue) -> None:
    """A change of a record under way does not wait behind the import that it came in with."""
    await queue.add(1, 2, 3, lane=Lane.BACKFILL)
    await queue.claim(SLOT_FIRST)
    jobs = book(queue)
    await jobs.set_aside([key(1), key(2), key(3)])
    await jobs.begin(a_job(1, 2))
    await queue.mark(1, Lane.LIVE, version=2)
    await jobs.put_back({key(1): 1, key(2): 1})
    assert {number: lane for number, (lane, _) in (await queue.lines()).items()} == {1: 2, 2: 3, 3: 0}
    await jobs.end(JOB)
    assert await jobs.open_jobs() == ()


async def test_a_settled_part_leaves_the_rest_in_flight(queue: Queue) -> None:
    """As the portions of a job settle, whatever settles first."""
    await queue.add(1, 2, lane=Lane.BACKFILL)
    claimed = (await queue.claim(SLOT_FIRST)).claimed
    jobs = book(queue)
    await jobs.set_aside([key(1), key(2)])
    await jobs.put_back({key(1): 1})
    one = next(item for item in claimed if item.entity_id == key(1))
    await queue.settle(ended(one), slot=SLOT_FIRST)
    assert {number: lane for number, (lane, _) in (await queue.lines()).items()} == {2: 0}
    assert (await queue.state(1))["state"] == 2


async def test_strays_of_a_crash_are_put_back_and_members_of_jobs_are_not(queue: Queue) -> None:
    """What was gathered for no job is in line again; a job goes on to be what it was, and its account is awake for it."""
    await queue.add(1, 2, 3, lane=Lane.BACKFILL)
    await queue.claim(SLOT_FIRST)
    jobs = book(queue)
    await jobs.set_aside([key(1), key(2), key(3)])
    job = a_job(1, 2, vendor_job="750A", phase=Phase.STARTED)
    await jobs.begin(job)
    await jobs.note(job)
    await jobs.put_strays_back()
    assert {number: lane for number, (lane, _) in (await queue.lines()).items()} == {1: 0, 2: 0, 3: 3}
    assert await jobs.open_jobs() == (job,)
    assert not await queue.pool.fetchval("select count(*) from sync.inflight where entity_ids <> '{}'")
    await jobs.journal(SLOT_FIRST, list(job.members))
    assert (
        await queue.pool.fetchval(
            "select cardinality(entity_ids) from sync.inflight where slot = $1", SLOT_FIRST
        )
        == 2
    )
    await queue.pool.execute("delete from sync.due where lane <> 0")
    [due] = await PostgresDueTimes(queue.pool).due_accounts([(TENANT, CONNECTOR)])
    assert (due.connector, due.due_s) == (CONNECTOR, 0.0)


async def test_members_that_may_have_been_written_are_in_doubt(queue: Queue) -> None:
    """Those are looked up unless the job's results tell; the others stay as they were."""
    await queue.add(1, 2, lane=Lane.BACKFILL)
    await queue.claim(SLOT_FIRST)
    jobs = book(queue)
    await jobs.set_aside([key(1), key(2)])
    await jobs.begin(a_job(1, 2))
    await jobs.put_back({key(1): 1, key(2): 1}, in_doubt=[key(2)])
    claimed = {item.entity_id: item.in_doubt for item in (await queue.claim(1)).claimed}
    assert claimed == {key(1): False, key(2): True}


async def test_an_entity_is_in_one_job_of_an_account(queue: Queue) -> None:
    """The database keeps it so."""
    await queue.add(1, lane=Lane.BACKFILL)
    jobs = book(queue)
    await jobs.begin(a_job(1))
    other = BulkJob(uuid.UUID(int=78), "contact", "Contact", "Headwater_Id__c", "7", members={key(1): 1})
    with pytest.raises(Exception, match="bulk_member_pkey"):
        await jobs.begin(other)


async def test_a_former_owner_changes_nothing(queue: Queue) -> None:
    """Every change is under the fence."""
    await queue.add(1, lane=Lane.BACKFILL)
    former = book(queue, LEASE.fence - 1)
    for change in (
        former.set_aside([key(1)]), former.put_back({key(1): 1}), former.put_strays_back(), former.begin(a_job(1)),
        former.note(a_job(1)), former.end(JOB), former.journal(SLOT_FIRST, [key(1)]),
    ):  # fmt: skip
        with pytest.raises(FenceLost):
            await change
