"""Deliveries give way to a log that is far behind, for a while, and only as long as it is being caught up with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import anyio
import pytest
from tests.unit.sync.accounts import (
    PATIENCE_S,
    Crm,
    MemoryDeliveries,
    Queue,
    account_parts,
    document,
    memory_books,
)
from tests.unit.sync.tenant import TENANT

from headwater.kernel.clock import SteppedClock
from headwater.sync.catchup import BEHIND_S, STALLED_S, CatchUp, never
from headwater.sync.delivery.account import DeliveryAccount

HOLD_S = 10.0
STEP_S = STALLED_S / 2


class Ground:
    """A log that is projected, at a time of its own."""

    def __init__(self, hold_s_max: float = HOLD_S) -> None:
        self.now_s = 100.0
        self.clock = SteppedClock()
        self.subject = CatchUp(self.clock, hold_s_max, lambda: self.now_s)

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds
        self.clock.advance(seconds)

    def project(self, *, behind_s: float = 60.0, more: bool = True) -> bool:
        """Project a batch of the tenant; return whether its deliveries give way after it."""
        self.subject.note({TENANT: self.clock.now() - dt.timedelta(seconds=behind_s)}, more=more)
        return self.left_s() > 0

    def left_s(self, tenant_id: str = TENANT) -> float:
        """Return for how long a tenant's deliveries give way still."""
        return self.subject.left_s(tenant_id)

    def project_for(self, seconds: float) -> list[bool]:
        """Project batch after batch; return what each led to."""
        seen = []
        for _ in range(round(seconds / STEP_S)):
            self.pass_s(STEP_S)
            seen.append(self.project())
        return seen


def test_deliveries_go_on_before_anything_is_projected() -> None:
    """Without a word from the projector nobody waits."""
    assert Ground().left_s() == 0
    assert never() == 0


def test_they_give_way_while_the_log_is_far_behind() -> None:
    """A full batch of old events holds them, the one that reaches the end of the log lets them go."""
    ground = Ground()
    assert ground.project()
    assert not ground.project(more=False)
    assert ground.project()
    assert not ground.project(behind_s=BEHIND_S - 0.1)


def test_they_do_not_give_way_to_live_events() -> None:
    """A batch may be full of events that have only just come."""
    assert not Ground().project(behind_s=0.5)


def test_the_log_is_behind_also_in_the_break() -> None:
    """What nobody needs now waits until the log is caught up with, or the projector stands still."""
    ground = Ground()
    assert not ground.subject.is_behind(TENANT)
    seen = ground.project_for(HOLD_S * 1.5)
    assert seen[-1] is False
    assert ground.subject.is_behind(TENANT)
    assert not ground.subject.is_behind("another")
    ground.pass_s(STALLED_S)
    assert not ground.subject.is_behind(TENANT)
    ground = Ground()
    ground.project()
    ground.project(more=False)
    assert not ground.subject.is_behind(TENANT)


def test_the_first_batch_holds_them_before_it_is_written() -> None:
    """What is read and not yet written begins the hold; read again and again, it prolongs nothing."""
    ground = Ground()
    old = {TENANT: ground.clock.now() - dt.timedelta(seconds=60)}
    ground.subject.begin(old, more=True)
    assert ground.left_s() == STALLED_S
    assert ground.subject.is_behind(TENANT)
    ground.pass_s(STALLED_S * 0.9)
    ground.subject.begin(old, more=True)
    assert 0 < ground.left_s() < STALLED_S / 2
    ground.subject.begin(old, more=False)
    assert ground.left_s() > 0
    ground.pass_s(STALLED_S)
    assert not ground.subject.is_behind(TENANT)
    ground.subject.begin(old, more=True)
    assert ground.left_s() == STALLED_S


def test_another_tenant_waits_for_nothing() -> None:
    """One tenant's backlog holds its own deliveries alone, also in a batch that both share."""
    ground = Ground()
    ground.project()
    assert ground.left_s("another") == 0
    now = ground.clock.now()
    ground.subject.note({TENANT: now - dt.timedelta(seconds=60), "another": now}, more=True)
    assert ground.left_s() > 0
    assert ground.left_s("another") == 0


def test_they_go_on_when_the_projector_stands_still() -> None:
    """No batch for a while: whatever is the matter, the CRMs are not made to wait for it."""
    ground = Ground()
    ground.project()
    ground.pass_s(STALLED_S - 0.1)
    assert ground.left_s() > 0
    ground.pass_s(0.2)
    assert ground.left_s() == 0


def test_they_are_held_no_longer_than_their_bound_and_then_have_as_long() -> None:
    """A log that never ends takes turns with them."""
    seen = Ground().project_for(4 * HOLD_S)
    turns = [value for number, value in enumerate(seen) if number == 0 or value != seen[number - 1]]
    assert turns == [True, False, True, False]
    held = seen.count(True) * STEP_S
    assert abs(held - 2 * HOLD_S) <= 2 * STEP_S


def test_zero_turns_it_off() -> None:
    """Then no log is far enough behind."""
    assert not any(Ground(0.0).project_for(5.0))


def account(queue: Queue, crm: Crm, gives_way_s: Callable[[str], float]) -> DeliveryAccount:
    """Return an account that gives way as it is told."""
    parts = account_parts(crm, gives_way_s=gives_way_s)
    return DeliveryAccount((TENANT, "salesforce"), document(), MemoryDeliveries(queue), memory_books(), parts)


@pytest.mark.anyio
async def test_nothing_is_claimed_while_the_log_is_caught_up_with() -> None:
    """What is under way is settled; the rest is claimed once deliveries need not give way any more."""
    queue, crm, way = Queue(), Crm(), [60.0]
    queue.add(*range(3))
    asked = anyio.Event()

    def gives_way_s(_: str) -> float:
        asked.set()
        return way[0]

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(account(queue, crm, gives_way_s).run)
            await asked.wait()
            await anyio.wait_all_tasks_blocked()
            assert len(queue.due) == 3
            assert not any(claimed for _, claimed in queue.journal.values())
            way[0] = 0.0
            await queue.until_empty()
            tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_an_account_that_gives_way_ends_at_once() -> None:
    """The end of the process does not wait for the log."""
    queue, crm, asked = Queue(), Crm(), anyio.Event()
    queue.add(1)

    def gives_way_s(_: str) -> float:
        asked.set()
        return 3600.0

    subject = account(queue, crm, gives_way_s)
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(subject.run)
            await asked.wait()
            subject.end()
    assert len(queue.due) == 1
