"""One account: its slots, its order, what it does when calls, rows or the store fail, and when it sleeps."""

from __future__ import annotations

import datetime as dt

import anyio
import anyio.lowlevel
import pytest
from tests.unit.sync.accounts import (
    PATIENCE_S,
    WIDE,
    Crm,
    Queue,
    account,
    document,
    down,
    running,
)
from tests.unit.sync.tenant import key
from tests.unit.sync.virtual_time import run_virtually, virtual_ns

from headwater.connectors.base import CallFailed, ErrorClass, VendorError
from headwater.kernel.clock import SteppedClock
from headwater.kernel.errors import Unavailable
from headwater.policy.account import Breaker
from headwater.sync.delivery.desk import SLOWED_S
from headwater.sync.delivery.pacing import Unpaced
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.settling import ConnectorState, State
from headwater.sync.ports import StoreRaced

pytestmark = pytest.mark.anyio


async def test_everything_due_is_delivered_once() -> None:
    """Each record is written by one call, and settled as delivered."""
    queue, crm = Queue(), Crm()
    queue.add(*range(1, 96))
    async with running(account(queue, crm)):
        await queue.until_empty()
    written = [name for batch in crm.writes for name in batch]
    assert sorted(written) == sorted(str(key(number)) for number in range(1, 96))
    assert {item.state for item in queue.settled} == {State.DELIVERED}


async def test_a_call_that_hangs_holds_up_its_own_slot_only() -> None:
    """All but the batch with the hanging record go through, then that one too."""
    queue, crm = Queue(), Crm(hangs={str(key(1))})
    queue.add(*range(1, 101))
    async with running(account(queue, crm)):
        await queue.until(lambda: len(queue.due) <= WIDE.batch_records)
        assert key(1) in queue.due
        crm.release.set()
        await queue.until_empty()


async def test_an_entity_is_never_in_flight_twice() -> None:
    """A record marked again while its call is under way is claimed when that call is settled, by no other slot."""
    queue, crm = Queue(), Crm(hangs={str(key(1))})
    queue.add(1)
    subject = account(queue, crm)
    async with running(subject):
        await crm.hanging.wait()
        queue.add(1, *range(2, 50))
        subject.bell.ring()
        await queue.until(lambda: len(queue.due) == 1)
        crm.release.set()
        await queue.until_empty()
    assert crm.overlaps == 0
    assert crm.under_way.total() == 0


async def test_a_poisonous_row_is_parked_while_the_rest_goes() -> None:
    """Halved down to the row; the others are looked up, because the broken call may have written them."""
    queue, crm = Queue(), Crm(poisons={str(key(5))})
    queue.add(*range(1, 11))
    async with running(account(queue, crm)):
        await queue.until_empty()
    outcomes = queue.outcomes()
    parked = outcomes.pop(key(5))
    assert (parked.state, parked.error_class, parked.error_code) == (
        State.DEAD,
        "poison",
        "ZeroDivisionError",
    )
    assert {item.state for item in outcomes.values()} == {State.DELIVERED}
    assert len(outcomes) == 9
    assert {str(key(number)) for number in range(1, 11)} == set(crm.looked_up)


async def test_a_poisonous_row_alone_is_tried_three_times_then_parked() -> None:
    """A row that is all there is to do may be the victim of a fault of ours; not for ever."""
    queue, crm = Queue(), Crm(poisons={str(key(5))})
    queue.add(5)
    async with running(account(queue, crm)):
        await queue.until_empty()
    assert len(crm.writes) == 3
    assert queue.outcomes()[key(5)].error_class == "poison"
    assert sum("ZeroDivisionError" in finding for finding in queue.findings) == 2


def test_two_poisonous_rows_that_are_all_there_is_are_parked_one_after_the_other() -> None:
    """Neither hides behind the other: each is tried several times, and looked up before it is tried again."""
    queue, crm = Queue(), Crm(poisons={str(key(5)), str(key(6))})
    queue.add(5, 6)

    async def until_empty() -> None:
        subject = account(queue, crm, ticks=virtual_ns, open_pacer=lambda _: Unpaced())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(subject.run)
            with anyio.fail_after(6 * PATIENCE_S):
                while queue.due:
                    await queue.changed.wait()
            tasks.cancel_scope.cancel()

    run_virtually(until_empty)
    outcomes = queue.outcomes()
    assert {outcomes[key(number)].error_class for number in (5, 6)} == {"poison"}
    assert {outcomes[key(number)].state for number in (5, 6)} == {State.DEAD}
    assert {outcomes[key(number)].outcome for number in (5, 6)} == {"in_doubt"}
    assert {str(key(5)), str(key(6))} == set(crm.looked_up)


async def test_rows_of_a_call_that_broke_off_are_in_doubt_when_nothing_may_be_called_any_more() -> None:
    """The call may have written them, and the breaker that has opened meanwhile keeps them from being looked up."""
    queue, crm = Queue(), Crm(poisons={str(key(5))}, lookups_fail=[down()] * 9)
    queue.add(*range(1, 11))
    async with running(account(queue, crm, policy=document(breaker=Breaker(failures=1, hold_s=600)))):
        await queue.until(lambda: bool(queue.settled))
        await queue.until(lambda: not queue.journal.get(0, (0, ()))[1])
    assert {item.state for item in queue.settled} == {State.IN_DOUBT}
    assert {entity for entity, row in queue.due.items() if row.in_doubt} == set(queue.due)
    assert len(queue.due) == 10


async def test_no_row_is_parked_when_none_can_be_handled() -> None:
    """The fault is most likely ours: the queue is kept and an operator is told."""
    queue, crm = Queue(), Crm(poisons={str(key(number)) for number in range(1, 11)})
    queue.add(*range(1, 11))
    async with running(account(queue, crm)):
        await queue.until(lambda: sum("ZeroDivisionError" in finding for finding in queue.findings) > 1)
        assert queue.settled == []
        crm.poisons.clear()
        await queue.until_empty()
    assert {item.state for item in queue.settled} == {State.DELIVERED}


@pytest.mark.parametrize("lost", [StoreRaced("raced"), Unavailable("gone")])
async def test_a_turn_that_fails_is_taken_again(lost: Exception) -> None:
    """One lost race, or one lost connection, costs neither a look-up nor a second call."""
    queue, crm = Queue(), Crm(hangs={str(key(1))})
    queue.add(1)
    async with running(account(queue, crm)):
        await crm.hanging.wait()
        queue.faults = [lost]
        crm.release.set()
        await queue.until_empty()
    assert crm.looked_up == []
    assert len(crm.writes) == 1


async def test_a_lost_database_leaves_the_batch_in_doubt() -> None:
    """What could not be settled is looked up by the next actor, not written again blindly."""
    queue, crm = Queue(), Crm(hangs={str(key(1))})
    queue.add(1)
    async with running(account(queue, crm)):
        await crm.hanging.wait()
        queue.faults = [Unavailable("gone") for _ in range(6)]
        crm.release.set()
        await queue.until_empty()
    assert crm.looked_up == [str(key(1))]
    assert queue.outcomes()[key(1)].state is State.DELIVERED


async def test_what_the_store_refuses_is_parked_alone() -> None:
    """One answer that cannot be stored holds up nobody."""
    queue, crm = Queue(), Crm()
    queue.add(*range(1, 11))
    queue.refused = {key(3)}
    async with running(account(queue, crm)):
        await queue.until_empty()
    outcomes = queue.outcomes()
    assert outcomes.pop(key(3)).error_code == "STORE_REFUSED"
    assert {item.state for item in outcomes.values()} == {State.DELIVERED}


async def test_the_end_finishes_what_is_in_flight_and_claims_nothing_more() -> None:
    """The call under way is settled; what was not begun stays due."""
    queue, crm = Queue(), Crm(hangs={str(key(1))})
    queue.add(*range(1, 11))
    subject = account(queue, crm)
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(subject.run)
            await crm.hanging.wait()
            queue.add(*range(11, 21))
            subject.end()
            crm.release.set()
    assert set(queue.due) == {key(number) for number in range(11, 21)}
    assert queue.journal[0] == (1, ())


async def test_an_open_breaker_lets_one_probe_through_and_nothing_else() -> None:
    """Failures in a row open it; then one call of one record; its success lets the rest go."""
    queue, crm = Queue(), Crm(fails=[down() for _ in range(2)])
    queue.add(*range(1, 11))
    patient = document(breaker=Breaker(failures=2, hold_s=0.3))
    fast = patient.model_copy(update={"retry": patient.retry.model_copy(update={"fast_s": (0.0,) * 9})})
    async with running(account(queue, crm, policy=fast)):
        await queue.until_empty()
    assert [len(batch) for batch in crm.writes[:3]] == [10, 10, 1]
    assert len(crm.records) == 10


async def test_a_paused_account_starts_no_call_until_it_is_resumed() -> None:
    """Neither at its start nor with work due; an order wakes it."""
    queue, crm = Queue(state=ConnectorState(paused=True)), Crm()
    queue.add(1)
    subject = account(queue, crm)
    async with running(subject):
        await queue.until(lambda: queue.turns > 0)
        subject.bell.ring()
        await anyio.wait_all_tasks_blocked()
        assert (crm.prepared, crm.writes) == (0, [])
        queue.state = ConnectorState()
        subject.bell.steer()
        await queue.until_empty()


async def test_lapsed_leases_start_no_call() -> None:
    """An actor whose process has lost its standing claims nothing, whatever is due."""
    queue, crm, standing = Queue(), Crm(), [True]
    subject = account(queue, crm, may_work=lambda: standing[0])
    async with running(subject):
        await queue.until(lambda: crm.prepared == 1 and queue.turns > 1)
        standing[0] = False
        queue.add(1)
        subject.bell.ring()
        await anyio.wait_all_tasks_blocked()
        assert crm.writes == []
        assert not any(entities for _, entities in queue.journal.values())


async def test_an_account_without_work_closes_its_connections_and_opens_them_with_work() -> None:
    """Asleep it takes no turns; a ring wakes it."""
    queue, crm = Queue(), Crm()
    subject = account(queue, crm, idle_s=0.02)
    async with running(subject):
        await queue.until(lambda: queue.turns > 0)
        with anyio.fail_after(PATIENCE_S):
            while subject.awake:  # noqa: ASYNC110 - sleep is not announced
                await anyio.sleep(0.01)
        turns = queue.turns
        assert crm.opened == crm.closed == 1
        await anyio.wait_all_tasks_blocked()
        assert queue.turns == turns
        queue.add(1)
        subject.bell.ring()
        await queue.until_empty()
        assert crm.prepared == 1


async def test_throttling_halves_the_slots() -> None:
    """A 429 leaves fewer calls side by side; nothing of it counts against the delivery."""
    queue, crm = Queue(), Crm(fails=[down(ErrorClass.RATE_LIMIT, 429)])
    queue.add(*range(1, 11))
    assert WIDE.window is not None
    limits = WIDE.model_copy(update={"window": WIDE.window.model_copy(update={"window_s": 0.05})})
    subject = account(queue, crm, policy=document(limits))
    async with running(subject):
        await queue.until(lambda: bool(queue.settled))
        assert subject.pace.slots == WIDE.concurrency // 2
        assert {item.failure_count for item in queue.settled} == {0}


async def test_slow_lanes_get_their_share_while_live_work_never_ends() -> None:
    """With live work in plenty, backfill still moves."""
    queue, crm = Queue(), Crm()
    queue.add(*range(1, 600))
    queue.add(*range(1000, 1020), lane=Lane.BACKFILL)
    async with running(account(queue, crm)):
        await queue.until(lambda: all(row.lane is not Lane.BACKFILL for row in queue.due.values()))
        assert sum(row.lane is Lane.LIVE for row in queue.due.values()) > 100


async def test_a_lane_that_the_quota_slows_is_left_waiting_until_it_may_go_on() -> None:
    """Live work goes on; backfill is neither claimed nor tried until enough of the day has passed."""
    midnight = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    queue, crm, clock = Queue(), Crm(), SteppedClock(midnight)
    shares = WIDE.quota_shares.model_copy(update={"backfill": 0.05})
    limits = WIDE.model_copy(update={"daily_calls": 10, "quota_shares": shares})
    queue.add(1)
    queue.add(2, lane=Lane.BACKFILL)
    subject = account(queue, crm, policy=document(limits), clock=clock)
    async with running(subject):
        await queue.until(lambda: key(1) not in queue.due)
        await anyio.wait_all_tasks_blocked()
        assert list(queue.due) == [key(2)]
        queue.add(3)
        subject.bell.ring()
        await queue.until(lambda: key(3) not in queue.due)
        assert {item.claimed.entity_id for item in queue.settled} == {key(1), key(3)}
        clock.advance(12 * 3600)
        await queue.until_empty()


def test_what_is_left_to_slowed_lanes_costs_few_turns() -> None:
    """Due work that may not use the quota now does not keep the store busy."""
    queue, crm, clock = Queue(), Crm(), SteppedClock(dt.datetime(2026, 3, 1, tzinfo=dt.UTC))
    shares = WIDE.quota_shares.model_copy(update={"backfill": 0.0})
    limits = WIDE.model_copy(update={"daily_calls": 10, "quota_shares": shares})
    queue.add(1, lane=Lane.BACKFILL)

    async def look_on() -> None:
        slowed = account(queue, crm, policy=document(limits), clock=clock, ticks=virtual_ns)
        async with running(slowed):
            await queue.until(lambda: queue.turns > 0)
            await anyio.sleep(SLOWED_S / 2)
            assert (queue.turns < 6, crm.writes) == (True, [])

    run_virtually(look_on)


def test_a_question_beside_the_deliveries_counts_in_their_breaker() -> None:
    """Polls that fail open the account's breaker; while it is open none is asked, and then one is the probe."""

    async def ask() -> None:
        queue, crm = Queue(), Crm()
        subject = account(
            queue, crm, policy=document(breaker=Breaker(failures=2, hold_s=60)), ticks=virtual_ns
        )
        asked: list[str] = []

        async def fails() -> None:
            asked.append("failed")
            await anyio.lowlevel.checkpoint()
            raise CallFailed(down())

        answered, under_way = anyio.Event(), anyio.Event()

        async def answers() -> None:
            asked.append("answered")
            under_way.set()
            await answered.wait()

        for _ in range(2):
            with pytest.raises(CallFailed, match="server"):
                await subject.ask("search", fails)
        with pytest.raises(CallFailed, match="held"):
            await subject.ask("read", fails)
        assert queue.state.breaker.of("write").probe_time is not None
        await anyio.sleep(61)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(subject.ask, "read", answers)
            await under_way.wait()
            with pytest.raises(CallFailed, match="held"):
                await subject.ask("read", fails)  # the probe is one, whoever asks
            answered.set()
        assert asked == ["failed", "failed", "answered"]
        await subject.ask("read", anyio.lowlevel.checkpoint)

    run_virtually(ask)


async def test_a_poll_heeds_what_operators_have_ordered_before_the_account_ever_woke() -> None:
    """Opening a connection beside the deliveries reads how the account stands."""
    queue, crm = Queue(state=ConnectorState(paused=True)), Crm()
    subject = account(queue, crm)
    await subject.connect()
    with pytest.raises(CallFailed, match="paused"):
        await subject.ask("read", anyio.lowlevel.checkpoint)


def test_an_account_that_answers_429_is_asked_with_one_record_at_a_time() -> None:
    """Five refusals cost one batch and four records, not five batches; then all go at once again."""
    refusal = VendorError(ErrorClass.RATE_LIMIT, "TOO_MANY", "not now", http_status=429, retry_after_s=1.0)
    queue, crm = Queue(), Crm(fails=[refusal] * 5)
    queue.add(*range(1, 11))

    async def until_empty() -> None:
        subject = account(queue, crm, ticks=virtual_ns, open_pacer=lambda _: Unpaced())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(subject.run)
            while queue.due:
                await queue.changed.wait()
            tasks.cancel_scope.cancel()

    run_virtually(until_empty)
    assert [len(batch) for batch in crm.writes] == [10, 1, 1, 1, 1, 1, 9]
