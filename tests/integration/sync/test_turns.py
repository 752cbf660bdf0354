"""A turn settles and claims in one transaction: what stands in line afterwards, and what never happens twice."""

from __future__ import annotations

import random
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tests.integration.sync.queued import ALL, Queue, ended
from tests.unit.sync.tenant import NOON, TENANT, key

from headwater.kernel.errors import Unavailable
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import FenceLost
from headwater.sync.domain.settling import Settlement, State
from headwater.sync.domain.turns import Wanted
from headwater.sync.ports import StoreRefused
from headwater.sync.store.line import SWEEP_S

pytestmark = pytest.mark.anyio


async def test_lanes_are_claimed_as_wanted(queue: Queue) -> None:
    """Each lane gives at most what is asked of it; what is left in a lane is told."""
    await queue.add(1, 2, 3)
    await queue.add(4, 5, lane=Lane.BACKFILL)
    turn = await queue.claim(live=2, backfill=2)
    assert [(item.entity_id.int, item.lane) for item in turn.claimed] == [
        (1, Lane.LIVE), (2, Lane.LIVE), (4, Lane.BACKFILL), (5, Lane.BACKFILL),
    ]  # fmt: skip
    assert [lane for lane, waits in turn.waiting.items() if waits] == [Lane.LIVE]
    assert turn.next_due_s == 0


async def test_a_claim_has_what_a_decision_needs(queue: Queue) -> None:
    """Values without their provenance, what the CRM holds, and where it stood in line."""
    await queue.add(1, known={"Email": "b@x.io"}, crm_id="0031", delivered_version=1)
    (item,) = (await queue.claim()).claimed
    assert (item.values, item.known) == ({"email": "a@x.io"}, {"Email": "b@x.io"})
    assert (item.crm_id, item.delivered_version, item.in_doubt) == ("0031", 1, False)
    assert (item.tenant_id, item.event_key, item.dirty_time) == (TENANT, key(9), NOON)


async def test_claiming_writes_to_neither_queue_nor_delivery(queue: Queue) -> None:
    """What is claimed is journaled in one row of its slot."""
    await queue.add(1, 2)
    versions = "select xmin::text, xmax::text from sync.due union all select xmin::text, xmax::text from sync.delivery"
    before = await queue.pool.fetch(versions)
    await queue.claim(slot=3)
    assert await queue.pool.fetch(versions) == before
    (row,) = await queue.pool.fetch("select * from sync.inflight")
    assert (row["slot"], sorted(row["entity_ids"])) == (3, [key(1), key(2)])


async def test_what_a_slot_puts_back_is_any_slots(queue: Queue) -> None:
    """Calls held back: the slot settles nothing and wants nothing, nobody has it in flight, and another slot claims it."""
    await queue.add(1, 2)
    assert len((await queue.claim(slot=1)).claimed) == 2
    left = await queue.store.turn((), Wanted(1, {}))
    assert left.next_due_s == 0
    assert await queue.pool.fetchval("select entity_ids from sync.inflight where slot = 1") == []
    assert [item.entity_id.int for item in (await queue.claim(slot=0)).claimed] == [1, 2]


async def test_what_a_slot_settles_not_is_any_slots(queue: Queue) -> None:
    """The breaker opened between two calls of a batch: what was not tried is claimed by whoever comes first."""
    await queue.add(1, 2)
    first, _ = (await queue.claim(slot=1)).claimed
    await queue.settle(ended(first), slot=1)
    assert [item.entity_id.int for item in (await queue.claim(slot=0)).claimed] == [2]


async def test_what_a_failed_actor_left_is_its_successors_under_the_same_lease(queue: Queue) -> None:
    """In whichever slot it was: in doubt, it is claimed by the first that asks."""
    await queue.add(1)
    assert len((await queue.claim(slot=3)).claimed) == 1
    await queue.store.take_over()
    assert [(item.entity_id.int, item.in_doubt) for item in (await queue.claim(slot=0)).claimed] == [
        (1, True)
    ]


async def test_a_turn_that_only_settles_tells_of_the_next_sweep(queue: Queue) -> None:
    """What came in late stands behind the mark: nobody falls asleep over it."""
    await queue.add(1)
    first = (await queue.claim()).claimed[0]
    after = await queue.settle(ended(first))
    assert after.next_due_s is not None
    assert after.next_due_s <= SWEEP_S


async def test_what_is_delivered_leaves_the_queue(queue: Queue) -> None:
    """The row of the queue goes, the attempt and the audit of the change come."""
    await queue.add(1)
    turn = await queue.claim()
    after = await queue.settle(ended(turn.claimed[0]))
    assert await queue.lines() == {}
    assert after.waiting == dict.fromkeys(Lane, False)
    state = await queue.state(1)
    assert (state["state"], state["delivered_version"], state["crm_id"]) == (2, 1, "0031")
    assert state["known"] == {"Title": "CTO"}
    assert await queue.pool.fetchval("select outcome from sync.try where latency_ms > 0") == "updated"
    assert await queue.pool.fetchval("select action from sync.audit") == "delivered"


async def test_a_change_during_the_flight_is_due_again_at_once_in_the_same_lane(queue: Queue) -> None:
    """The delivery is not told done for a version that it was not."""
    await queue.add(1, lane=Lane.BACKFILL)
    turn = await queue.claim()
    await queue.mark(1, Lane.BACKFILL, version=2)
    again = await queue.store.turn([ended(turn.claimed[0])], Wanted(0, ALL))
    assert [item.lane for item in again.claimed] == [Lane.BACKFILL]
    state = await queue.state(1)
    assert (state["state"], state["delivered_version"], state["desired_version"]) == (1, 1, 2)


async def test_a_live_change_during_the_flight_lifts_the_lane(queue: Queue) -> None:
    """What was claimed as a backfill is due again as live."""
    await queue.add(1, lane=Lane.BACKFILL)
    turn = await queue.claim()
    await queue.mark(1, Lane.LIVE, version=2)
    await queue.settle(ended(turn.claimed[0]))
    assert await queue.lines() == {1: (Lane.LIVE, True)}


@pytest.mark.parametrize("state", [State.RETRYING, State.IN_DOUBT])
async def test_what_failed_waits_in_the_retry_lane(queue: Queue, state: State) -> None:
    """Until its time it is not claimed, and the turn says when that is."""
    await queue.add(1)
    turn = await queue.claim()
    after = await queue.settle(ended(turn.claimed[0], state, after_s=30.0, error_class="server"))
    assert await queue.lines() == {1: (Lane.RETRY, False)}
    assert after.next_due_s is not None
    assert after.next_due_s <= 30
    assert (await queue.claim()).claimed == ()


async def test_what_failed_is_claimed_again_in_its_time(queue: Queue) -> None:
    """With the tries it had; a write in doubt is marked so."""
    await queue.add(1)
    turn = await queue.claim()
    await queue.settle(ended(turn.claimed[0], State.IN_DOUBT, failure_count=1, error_class="timeout"))
    (item,) = (await queue.claim()).claimed
    assert (item.lane, item.tries_before, item.failure_count, item.in_doubt) == (Lane.RETRY, 1, 1, True)


async def test_what_waits_for_another_keeps_its_lane(queue: Queue) -> None:
    """A pause is no failure."""
    await queue.add(1, lane=Lane.RECONCILE)
    turn = await queue.claim()
    waiting = ended(
        turn.claimed[0], State.PENDING, outcome="", after_s=5.0, waits=True, try_count=0, changes=()
    )
    await queue.settle(waiting)
    assert await queue.lines() == {1: (Lane.RECONCILE, False)}
    assert await queue.pool.fetchval("select count(*) from sync.try") == 0


async def test_the_dead_leave_the_queue(queue: Queue) -> None:
    """A dead letter stands still until somebody replays it or it is marked anew."""
    await queue.add(1)
    turn = await queue.claim()
    await queue.settle(ended(turn.claimed[0], State.DEAD, outcome="failed", error_class="validation"))
    assert (await queue.lines(), (await queue.state(1))["stopped"]) == ({}, True)
    assert await queue.pool.fetchval("select action from sync.audit") == "dead_lettered"
    await queue.mark(1, version=2)
    assert await queue.lines() == {1: (Lane.LIVE, True)}


@pytest.mark.parametrize("state", [State.DEAD, State.DISCARDED])
async def test_a_mark_on_a_delivery_that_was_given_up_begins_its_retries_anew_and_says_so(
    queue: Queue, state: State
) -> None:
    """All its retries again, told once in the audit; attempts go on counting."""
    await queue.add(1, failure_count=7, try_count=9)
    turn = await queue.claim()
    dead = ended(
        turn.claimed[0], State.DEAD, failure_count=8, try_count=10, error_class="validation", changes=()
    )
    await queue.settle(dead)
    await queue.pool.execute("update sync.delivery set state = $1", state)
    await queue.mark(1, version=2)
    await queue.mark(1, version=3, event=11)
    (item,) = (await queue.claim()).claimed
    assert (item.tries_before, item.failure_count) == (10, 0)
    await queue.settle(
        ended(item, State.RETRYING, try_count=11, failure_count=1, error_class="server", changes=())
    )
    rows = await queue.pool.fetch("select attempt_number from sync.try order by attempt_id")
    assert [row["attempt_number"] for row in rows] == [10, 11]
    rows = await queue.pool.fetch("select action, connector, event_key from sync.audit")
    assert [tuple(row) for row in rows] == [("revived", "salesforce", key(9))]


async def test_a_live_mark_lifts_what_waits_in_a_slower_lane(queue: Queue) -> None:
    """It keeps a pause that it has, and a slower mark never lowers it."""
    await queue.add(1, 2, lane=Lane.BACKFILL)
    await queue.postpone(2, 60)
    for number in (1, 2):
        await queue.mark(number, Lane.LIVE, version=2)
        await queue.mark(number, Lane.RECONCILE, version=3)
    assert await queue.lines() == {1: (Lane.LIVE, True), 2: (Lane.LIVE, False)}


async def test_what_other_slots_hold_is_not_claimed(queue: Queue) -> None:
    """An entity has one write under way at most; what is excluded does not count as waiting."""
    await queue.add(1, 2)
    first = await queue.claim(live=1)
    held = [item.entity_id for item in first.claimed]
    second = await queue.claim(slot=1, excluding=held)
    assert [item.entity_id.int for item in second.claimed] == [2]
    assert not any((await queue.claim(slot=2, excluding=[key(1), key(2)])).waiting.values())


async def test_a_slot_settles_while_another_slots_turn_is_held_up(queue: Queue) -> None:
    """A turn that keeps its batch waits for nobody's claim; what it settles leaves line and journal."""
    await queue.add(1, 2, 3)
    (first,) = (await queue.claim(live=1)).claimed
    second, third = (await queue.claim(slot=1, excluding=[first.entity_id])).claimed
    flying = [second.entity_id, third.entity_id]
    async with queue.pool.acquire() as other, anyio.create_task_group() as tasks, other.transaction():
        await other.execute("select from sync.delivery where entity_id = $1 for update", key(1))
        with anyio.fail_after(5):
            tasks.start_soon(queue.store.turn, [ended(first)], Wanted(0, ALL, flying))
            while not await other.fetchval("select exists (select from pg_locks where not granted)"):
                await anyio.lowlevel.checkpoint()
            after = await queue.store.turn([ended(second)], Wanted(1, {}, keeps=True))
        assert after.claimed == ()
        assert sorted(await queue.lines()) == [1, 3]
    assert sorted(await queue.lines()) == [3]
    journal = await queue.pool.fetch("select slot, entity_ids from sync.inflight order by slot")
    assert [(row["slot"], row["entity_ids"]) for row in journal] == [(0, []), (1, [key(3)])]


async def test_a_successor_finds_what_was_in_flight_in_doubt(queue: Queue) -> None:
    """What a dead actor may have written is looked up first, and nothing else is."""
    await queue.add(1, 2, 3)
    turn = await queue.claim(live=2)
    await queue.settle(ended(turn.claimed[0]), slot=1)
    await queue.pool.execute("update sync.lease set fence = 2")
    successor = queue.successor()
    await successor.take_over()
    claimed = (await successor.turn((), Wanted(0, ALL))).claimed
    assert {item.entity_id.int: item.in_doubt for item in claimed} == {2: True, 3: False}


async def test_what_is_settled_one_by_one_stays_journaled_until_it_is(queue: Queue) -> None:
    """A turn that keeps its batch takes out of the journal what it settles, no more."""
    await queue.add(1, 2)
    turn = await queue.claim()
    for settled, left in ((0, [key(2)]), (1, [])):
        await queue.store.turn([ended(turn.claimed[settled])], Wanted(0, {}, keeps=True))
        assert await queue.pool.fetchval("select entity_ids from sync.inflight") == left


async def test_a_turn_under_way_holds_up_its_successor_and_nobody_else(queue: Queue) -> None:
    """The lease changes hands at once; who takes over waits for the turn, and finds what it claimed in doubt."""
    await queue.add(1, 2)
    await queue.store.take_over()
    successor = queue.successor()
    async with queue.pool.acquire() as connection, anyio.create_task_group() as tasks:
        transaction = connection.transaction()
        await transaction.start()
        queue.store._pool = connection  # type: ignore[assignment]  # noqa: SLF001 - its turn does not commit yet
        assert len((await queue.claim(live=1)).claimed) == 1
        with anyio.fail_after(5):
            await queue.pool.execute("update sync.lease set fence = 2, holder = 'other'")
            tasks.start_soon(successor.take_over)
            while not await queue.pool.fetchval("select exists (select from pg_locks where not granted)"):
                await anyio.lowlevel.checkpoint()
        with pytest.raises(FenceLost):
            await queue.store.turn((), Wanted(1, {}))
        await transaction.commit()
    claimed = (await successor.turn((), Wanted(0, ALL))).claimed
    assert {item.entity_id.int: item.in_doubt for item in claimed} == {1: True, 2: False}


async def test_a_lost_fence_settles_and_claims_nothing(queue: Queue) -> None:
    """Whoever lost the lease is told so."""
    await queue.add(1)
    turn = await queue.claim()
    await queue.pool.execute("update sync.lease set fence = 2")
    with pytest.raises(FenceLost):
        await queue.settle(ended(turn.claimed[0]))
    assert await queue.lines() == {1: (Lane.LIVE, True)}
    assert await queue.pool.fetchval("select count(*) from sync.try") == 0


class LosesAnswers:
    """A pool whose next answer is lost after the statement was committed."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self.lose = False

    async def fetch(self, *arguments: Any) -> Any:
        """Run a statement; lose its answer if told to."""
        rows = await self._pool.fetch(*arguments)
        if self.lose:
            self.lose = False
            raise ConnectionResetError
        return rows

    def acquire(self) -> Any:
        """Lend a connection."""
        return self._pool.acquire()


async def test_a_turn_sent_again_settles_nothing_twice(queue: Queue) -> None:
    """When the answer of a committed turn is lost, the same turn again makes one attempt and one audit row."""
    await queue.add(1, 2)
    pool: Any = LosesAnswers(queue.pool)
    queue.store._pool = pool  # noqa: SLF001 - the driver's side of the store
    turn = await queue.claim(live=1)
    settlements = [ended(turn.claimed[0])]
    pool.lose = True
    with pytest.raises(Unavailable):
        await queue.store.turn(settlements, Wanted(0, ALL))
    again = await queue.store.turn(settlements, Wanted(0, ALL))
    assert [item.entity_id.int for item in again.claimed] == [2]
    assert await queue.pool.fetchval("select count(*) from sync.try") == 1
    assert await queue.pool.fetchval("select count(*) from sync.audit") == 1
    await queue.settle(ended(again.claimed[0]))
    assert await queue.pool.fetchval("select count(*) from sync.try") == 2


async def test_a_refused_value_leaves_all_as_it_was(queue: Queue) -> None:
    """Two entities never write to one CRM record; the turn of the second is refused as a whole."""
    await queue.add(1, 2)
    turn = await queue.claim()
    with pytest.raises(StoreRefused):
        await queue.settle(*(ended(item, crm_id="003") for item in turn.claimed))
    assert await queue.lines() == {1: (Lane.LIVE, True), 2: (Lane.LIVE, True)}


async def test_a_delivery_stands_in_line_exactly_while_it_is_open(queue: Queue) -> None:
    """Whatever marks, claims and outcomes follow one another."""
    chance = random.Random(7)
    await queue.add(*range(1, 9))
    flying: dict[int, list[Any]] = {0: [], 1: []}
    outcomes = (State.DELIVERED, State.RETRYING, State.IN_DOUBT, State.DEAD, State.PENDING)
    for version in range(2, 80):
        for number in chance.sample(range(1, 9), 3):
            await queue.mark(number, chance.choice(list(Lane)), version)
        slot = chance.randrange(2)
        others = [item.entity_id for item in flying[1 - slot]]
        settlements: list[Settlement] = []
        for item in flying[slot]:
            state = chance.choice(outcomes)
            outcome = "" if state is State.PENDING else "updated" if state is State.DELIVERED else "failed"
            settlements.append(ended(item, state, outcome=outcome, waits=state is State.PENDING))
        turn = await queue.store.turn(settlements, Wanted(slot, dict.fromkeys(Lane, 1), others))
        flying[slot] = list(turn.claimed)
        assert not {item.entity_id for item in turn.claimed} & set(others)
        assert await queue.faults() == []


async def test_days_of_attempts_are_opened_late_without_loss_and_dropped_whole(queue: Queue) -> None:
    """What was written before its day was opened moves into it; opening and dropping again change nothing."""
    columns = "tenant_id, connector, entity_id, object, attempt_number, version, event_key, start_time, end_time, outcome"
    await queue.pool.execute(
        f"insert into sync.attempt ({columns}) values ($1, 'c', $2, 'contact', 1, 1, $2, $3, $3, 'failed')",  # noqa: S608 - constants
        TENANT, key(1), NOON,
    )  # fmt: skip
    where = "select tableoid::regclass::text from sync.attempt"
    assert await queue.pool.fetchval(where) == "sync.attempt_other"
    for opened in (2, 0):
        assert (
            await queue.pool.fetchval("select sync.open_attempt_days($1::date, $1::date + 1)", NOON.date())
            == opened
        )
    assert await queue.pool.fetchval(where) == "sync.attempt_20260301"
    for dropped in (1, 0):
        day = NOON.date().replace(day=2)
        assert await queue.pool.fetchval("select sync.drop_attempt_days($1)", day) == dropped
    assert await queue.pool.fetchval("select count(*) from sync.attempt") == 0
