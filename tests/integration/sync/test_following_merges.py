"""What Postgres keeps of merges that accounts follow: what is held back, who has which record, what a split leads to."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from msgspec.structs import replace
from tests.integration.sync.queued import CONNECTOR, LEASE, Queue, ended, queued
from tests.unit.sync.tenant import TENANT, key

from headwater.connectors.base import Link, Snapshot, Step, StepKind
from headwater.sync.domain.following import Both, Course, Follow, FollowState, RecordMerge
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.following.ports import Taken
from headwater.sync.store.merges import PostgresMerges, write_follows

pytestmark = pytest.mark.anyio

WINNER, LOSER, OTHER = 1, 2, 3
MERGE: Final = key(77)


@pytest.fixture
async def queue(migrated_database_url: str) -> AsyncIterator[Queue]:
    """The queue of one account, in which three entities have records."""
    async with queued(migrated_database_url) as queue:
        for number in (WINNER, LOSER, OTHER):
            await queue.add(number, crm_id=f"003{number}", crm_object="Contact", known={"Email": "a@x.io"})
        yield queue


async def order(
    queue: Queue, *, merge_id: uuid.UUID = MERGE, loser: int = LOSER, split: bool = False
) -> None:
    """Tell of a merge, or of its split, as the projection does."""
    connector = "" if split else CONNECTOR
    number = await queue.pool.fetchval("select count(*) + 1 from sync.record_merge")
    follow = Follow(TENANT, connector, merge_id, "contact", key(WINNER), key(loser), key(9), 0, 1, 1, number)
    async with queue.pool.acquire() as connection, connection.transaction():
        await write_follows(connection, [follow])


async def waiting(book: PostgresMerges) -> RecordMerge:
    """Return the merge that is due first."""
    (item,) = await book.waiting([(TENANT, CONNECTOR)])
    return item.merge


def snapshot(crm_id: str, **fields: Any) -> Snapshot:
    """Return a record."""
    return Snapshot("Contact", crm_id, fields, (Link("Task.WhoId", f"t-{crm_id}"),), tuple(fields))


def begun(merge: RecordMerge) -> RecordMerge:
    """Return a merge with its one step planned."""
    step = Step(StepKind.MERGE, "Contact", "0031", "0032")
    both = Both(snapshot("0031", Email="a"), snapshot("0032", Email="b"))
    course = Course((step,), holder_id=key(WINNER))
    return replace(
        merge, state=FollowState.MERGING, crm_object="Contact", key="Key", both=both, course=course
    )


async def test_neither_is_claimed_from_the_order_on(queue: Queue) -> None:
    """What the winner should hold now may still be the loser's in the CRM; others go on, and who is let go."""
    await order(queue)
    assert [item.entity_id.int for item in (await queue.claim()).claimed] == [OTHER]
    book = PostgresMerges(queue.pool)
    await book.let_go(await waiting(book), key(WINNER))
    assert [item.entity_id.int for item in (await queue.claim(slot=1, excluding=[key(OTHER)])).claimed] == [
        WINNER
    ]


async def test_a_hold_waits_for_what_is_in_flight(queue: Queue) -> None:
    """A delivery that a slot has in hand makes both busy; nothing more of them is claimed; settled, they are free."""
    first = next(item for item in (await queue.claim()).claimed if item.entity_id == key(WINNER))
    await order(queue)
    book = PostgresMerges(queue.pool)
    merge = await waiting(book)
    assert (await book.hold(merge, LEASE)).busy
    await queue.settle(ended(first))
    places = await book.hold(merge, LEASE)
    assert (places.busy, places.holder_id) == (False, key(WINNER))
    assert places.loser is not None
    assert places.loser.crm_id == "0032"
    assert [item.entity_id.int for item in (await queue.claim(slot=1)).claimed] == [OTHER]


async def test_what_is_kept_comes_back_as_it_was(queue: Queue) -> None:
    """Snapshots, steps and progress survive the table."""
    await order(queue)
    book = PostgresMerges(queue.pool)
    merge = begun(await waiting(book))
    await book.write(replace(merge, course=merge.course.begin()), LEASE)
    kept = await waiting(book)
    assert (kept.both, kept.course, kept.state) == (merge.both, merge.course.begin(), FollowState.MERGING)
    assert kept.begin_turn > 0


async def test_what_was_begun_at_a_record_goes_to_its_end_first(queue: Queue) -> None:
    """An older merge that is to be undone waits while a later one, into the same record, pauses in its middle."""
    await order(queue)
    book = PostgresMerges(queue.pool)
    first = begun(await waiting(book))
    await book.write(first, LEASE)
    await book.finish(replace(first, state=FollowState.MERGED, course=Course()), LEASE)
    await order(queue, merge_id=key(78), loser=OTHER)
    later = begun(await waiting(book))
    await book.write(later, LEASE, 60.0)
    await order(queue, split=True)
    (item,) = await book.waiting([(TENANT, CONNECTOR)])
    assert (item.merge.merge_id, item.due_s > 50) == (key(78), True)
    assert (await book.hold(first, LEASE)).busy
    await book.finish(replace(later, state=FollowState.MERGED, course=Course()), LEASE)
    assert not (await book.hold(first, LEASE)).busy
    assert (await waiting(book)).merge_id == first.merge_id


async def test_once_merged_the_loser_has_no_record_and_the_survivor_is_looked_at(queue: Queue) -> None:
    """The delivery of the loser is settled, the survivor's is in doubt with its new record; both go on."""
    await order(queue)
    book = PostgresMerges(queue.pool)
    merge = begun(await waiting(book))
    await book.hold(merge, LEASE)
    done = replace(merge, state=FollowState.MERGED, course=Course())
    await book.finish(done, LEASE, [Taken(key(WINNER), "Contact", "0039")], [key(LOSER)])
    loser, winner = await queue.state(LOSER), await queue.state(WINNER)
    assert (loser["crm_id"], loser["state"], winner["crm_id"], winner["state"]) == ("", 2, "0039", 4)
    assert await queue.faults() == []
    assert sorted(item.entity_id.int for item in (await queue.claim()).claimed) == [WINNER, OTHER]
    former = await queue.pool.fetch("select crm_id, entity_id from sync.former_record order by crm_id")
    assert [(row["crm_id"], row["entity_id"].int) for row in former] == [("0031", WINNER), ("0032", LOSER)]
    assert await book.waiting([(TENANT, CONNECTOR)]) == []


async def test_a_split_that_came_meanwhile_keeps_the_loser_back(queue: Queue) -> None:
    """Between the end of the merge and its undoing nothing of the loser is claimed: it would get a second record."""
    await order(queue)
    book = PostgresMerges(queue.pool)
    merge = begun(await waiting(book))
    await order(queue, split=True)
    done = replace(merge, state=FollowState.MERGED, course=Course())
    await book.finish(done, LEASE, [Taken(key(WINNER), "Contact", "0031")], [key(LOSER)])
    await queue.mark(LOSER, version=2)
    assert LOSER not in [item.entity_id.int for item in (await queue.claim()).claimed]
    undoing = await waiting(book)
    assert (undoing.wanted, undoing.state) == ("split", FollowState.MERGED)
    undone = replace(undoing, state=FollowState.UNDONE)
    await book.finish(undone, LEASE, [Taken(key(LOSER), "Contact", "0032")])
    assert (await queue.state(LOSER))["crm_id"] == "0032"
    assert LOSER in [item.entity_id.int for item in (await queue.claim(slot=1)).claimed]
    assert await queue.faults() == []


async def test_an_undoing_that_fails_leaves_the_loser_to_its_delivery(queue: Queue) -> None:
    """It gets a record of its own, as if nothing had been merged there."""
    await order(queue)
    book = PostgresMerges(queue.pool)
    merge = begun(await waiting(book))
    done = replace(merge, state=FollowState.MERGED, course=Course())
    await book.finish(done, LEASE, [Taken(key(WINNER), "Contact", "0031")], [key(LOSER)])
    await order(queue, split=True)
    await book.finish(replace(await waiting(book), state=FollowState.FAILED, finding="no"), LEASE)
    assert LOSER in [item.entity_id.int for item in (await queue.claim()).claimed]
    assert await queue.faults() == []


async def test_merges_that_share_an_entity_are_followed_in_their_order(queue: Queue) -> None:
    """The later one is not due before the earlier one has ended, even if that one waits."""
    await order(queue)
    await order(queue, merge_id=key(78), loser=OTHER)
    book = PostgresMerges(queue.pool)
    first = await waiting(book)
    await book.write(first, LEASE, 60.0)
    assert (await waiting(book)).merge_id == MERGE
    await book.finish(replace(first, state=FollowState.NOT_NEEDED, finding="none"), LEASE)
    assert (await waiting(book)).merge_id == key(78)


async def test_who_lost_the_account_writes_nothing(queue: Queue) -> None:
    """A lower fence neither holds, nor notes, nor ends anything."""
    await order(queue)
    book, late = PostgresMerges(queue.pool), Lease(LEASE.name, LEASE.fence - 1)
    merge = await waiting(book)
    with pytest.raises(FenceLost):
        await book.hold(merge, late)
    with pytest.raises(FenceLost):
        await book.write(begun(merge), late)
    with pytest.raises(FenceLost):
        await book.finish(replace(merge, state=FollowState.NOT_NEEDED), late)
    assert (await waiting(book)).state is FollowState.PLANNED


async def test_a_failed_merge_goes_on_when_a_person_says_so(queue: Queue) -> None:
    """Where it stood, with its tries anew; only one that has failed."""
    await order(queue)
    book = PostgresMerges(queue.pool)
    merge = begun(await waiting(book))
    assert not await book.retry(TENANT, CONNECTOR, MERGE, "user:one")
    await book.write(merge, LEASE)
    await book.finish(replace(merge, state=FollowState.FAILED, finding="no", try_count=5), LEASE)
    assert await book.waiting([(TENANT, CONNECTOR)]) == []
    assert await book.retry(TENANT, CONNECTOR, MERGE, "user:one")
    again = await waiting(book)
    assert (again.state, again.try_count, again.course) == (FollowState.MERGING, 0, merge.course)


async def test_a_split_of_a_merge_that_failed_is_undone_once_it_goes_on(queue: Queue) -> None:
    """Its merging ends first, as it may have been done; nothing is held back before a person says so."""
    await order(queue)
    book = PostgresMerges(queue.pool)
    merge = begun(await waiting(book))
    await book.write(merge, LEASE)
    await book.finish(replace(merge, state=FollowState.FAILED, finding="no"), LEASE)
    await order(queue, split=True)
    assert await book.waiting([(TENANT, CONNECTOR)]) == []
    assert sorted(item.entity_id.int for item in (await queue.claim()).claimed) == [WINNER, LOSER, OTHER]
    assert await book.retry(TENANT, CONNECTOR, MERGE, "user:one")
    again = await waiting(book)
    assert (again.state, again.wanted) == (FollowState.MERGING, "split")


async def test_a_log_that_is_projected_again_orders_nothing_twice(queue: Queue) -> None:
    """While the projection is rebuilt, merges of before are told again: their accounts did what they did."""
    await queue.pool.execute("insert into sync.rebuild (shard, xid, seq) values (0, 9, 9)")
    await order(queue)
    assert await PostgresMerges(queue.pool).waiting([(TENANT, CONNECTOR)]) == []
    assert await queue.pool.fetchval("select count(*) from sync.held_delivery") == 0
