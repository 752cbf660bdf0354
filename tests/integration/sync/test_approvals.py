"""Approvals on Postgres: asked, held, decided, expired; whatever comes between, nothing stands still for good."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from tests.integration.sync.queued import CONNECTOR, Queue, ended
from tests.unit.sync.tenant import POLICY, TENANT, key

from headwater.policy.loading import load_policy
from headwater.policy.writing import Approval
from headwater.sync.domain.approving import (
    ApprovalFilter,
    ApprovalState,
    Ask,
    Decision,
    ask_of,
)
from headwater.sync.domain.delivering import Claimed, Send, plan_delivery
from headwater.sync.domain.settling import Settlement, State
from headwater.sync.store.approvals import PostgresApprovals

pytestmark = pytest.mark.anyio

RULE = "careful"
ALL = ApprovalFilter(connector=CONNECTOR)
YES = Decision(approves=True, actor="user:ann", reason="looks right", policy_version="7")
NO = Decision(approves=False, actor="user:ann", reason="not him", policy_version="7")


def asked(item: Claimed, **terms: Any) -> Ask:
    """Return what is asked about the write of a claimed delivery."""
    send = plan_delivery(load_policy(POLICY).connectors[CONNECTOR], item, 0.0)
    assert isinstance(send, Send)
    return ask_of(send, RULE, Approval(**terms), "7")


def held(item: Claimed, **changed: Any) -> Settlement:
    """Return the settlement of a delivery that the policy holds."""
    same = {
        "crm_object": item.crm_object, "crm_id": item.crm_id, "known": item.known, "outcome": "", "changes": (),
        "try_count": 0, "error_message": "approval: careful waits for a decision",
    }  # fmt: skip
    return ended(item, State.HELD, **{**same, **changed})


async def state(queue: Queue, number: int = 1) -> int:
    """Return the state of a delivery; what stands in line and what does not agree with it."""
    assert await queue.faults() == []
    return int((await queue.state(number))["state"])


async def test_a_held_delivery_waits_out_of_line_and_others_go(queue: Queue) -> None:
    """It is in no lane, is found by its state, and what else is due is claimed."""
    await queue.add(1, 2)
    first, second = (await queue.claim()).claimed
    await queue.settle(held(first), ended(second))
    assert [await state(queue, number) for number in (1, 2)] == [State.HELD, State.DELIVERED]
    await queue.add(3)
    assert [item.entity_id for item in (await queue.claim()).claimed] == [key(3)]


async def test_what_is_approved_is_due_again_and_passes(queue: Queue) -> None:
    """The same write is asked once; after the decision it stands approved, and the audit has both."""
    approvals = PostgresApprovals(queue.pool)
    await queue.add(1)
    (item,) = (await queue.claim()).claimed
    ask = asked(item)
    for _ in range(2):
        assert (await approvals.ask([ask]))[ask.approval_id].state is ApprovalState.ASKED
    await queue.settle(held(item))
    (view,) = await approvals.list_approvals(TENANT, ApprovalFilter(), None, 10)
    assert (view.ask.approval_id, view.ask.changes, view.waits) == (ask.approval_id, ask.changes, True)
    assert await approvals.decide(TENANT, ALL, [RULE], YES, 10) == 1
    assert await state(queue) == State.PENDING
    (again,) = (await queue.claim()).claimed
    verdict = (await approvals.ask([asked(again)]))[ask.approval_id]
    assert (verdict.state, verdict.actor, verdict.reason) == (
        ApprovalState.APPROVED,
        "user:ann",
        "looks right",
    )
    rows = await queue.pool.fetch("select action, actor from sync.audit order by audit_id")
    assert [tuple(row) for row in rows] == [("approval_asked", "sync"), ("approval_granted", "user:ann")]


async def test_a_decision_before_the_hold_is_settled_is_not_lost(queue: Queue) -> None:
    """Asked, approved, and only then settled as held: it is due again at once."""
    approvals = PostgresApprovals(queue.pool)
    await queue.add(1)
    (item,) = (await queue.claim()).claimed
    await approvals.ask([asked(item)])
    assert await approvals.decide(TENANT, ALL, [RULE], YES, 10) == 1
    await queue.settle(held(item))
    assert await state(queue) == State.PENDING


async def test_a_change_while_it_is_held_makes_it_due_and_is_asked_anew(queue: Queue) -> None:
    """What was approved is not what would be written now: another id, in the place of the one before."""
    approvals = PostgresApprovals(queue.pool)
    await queue.add(1)
    (item,) = (await queue.claim()).claimed
    before = asked(item)
    await approvals.ask([before])
    await queue.settle(held(item))
    await queue.pool.execute(
        "update sync.entity set version = 2, fields = $1",
        {"email": ["new@x.io", "rule", "site", str(key(9)), 1]},
    )
    await queue.mark(1, version=2)
    assert await state(queue) == State.PENDING
    (again,) = (await queue.claim()).claimed
    after = asked(again)
    assert after.approval_id != before.approval_id
    assert (await approvals.ask([after]))[after.approval_id].state is ApprovalState.ASKED
    assert (
        await approvals.decide(TENANT, ApprovalFilter(approval_ids=(before.approval_id,)), [RULE], YES, 1)
        == 0
    )


async def test_a_change_while_the_hold_is_settled_is_not_lost(queue: Queue) -> None:
    """Marked under way with a newer version: due again, not held with the older one."""
    await queue.add(1)
    (item,) = (await queue.claim()).claimed
    await queue.mark(1, version=2)
    await queue.settle(held(item))
    assert await state(queue) == State.PENDING


async def test_what_is_rejected_ends_and_a_later_change_begins_anew(queue: Queue) -> None:
    """The actor hears the verdict, settles it as discarded; a mark makes it due again."""
    approvals = PostgresApprovals(queue.pool)
    await queue.add(1)
    (item,) = (await queue.claim()).claimed
    ask = asked(item)
    await approvals.ask([ask])
    await queue.settle(held(item))
    await approvals.decide(TENANT, ALL, [RULE], NO, 10)
    (again,) = (await queue.claim()).claimed
    assert (await approvals.ask([ask]))[ask.approval_id].state is ApprovalState.REJECTED
    await queue.settle(ended(again, State.DISCARDED, outcome="", changes=()))
    assert await state(queue) == State.DISCARDED
    await queue.mark(1, version=2)
    assert await state(queue) == State.PENDING


@pytest.mark.parametrize(
    ("ending", "wanted"), [("reject", ApprovalState.EXPIRED), ("approve", ApprovalState.APPROVED)]
)
async def test_what_nobody_decides_ends_as_the_policy_says(queue: Queue, ending: Any, wanted: Any) -> None:
    """Decided by the policy, with audit; what has time left stays."""
    approvals = PostgresApprovals(queue.pool)
    await queue.add(1, 2)
    items = (await queue.claim()).claimed
    asks = [asked(item, on_expiry=ending) for item in items]
    await approvals.ask(asks)
    await queue.settle(*(held(item) for item in items))
    await queue.pool.execute(
        "update sync.approval set expire_time = now() - interval '1 s' where entity_id = $1", key(1)
    )
    assert [await approvals.expire(10), await approvals.expire(10)] == [1, 0]
    found = await approvals.ask(asks)
    assert {found[ask.approval_id].state for ask in asks} == {wanted, ApprovalState.ASKED}
    assert [await state(queue, number) for number in (1, 2)] == [State.PENDING, State.HELD]


async def test_only_what_is_named_and_allowed_is_decided(queue: Queue) -> None:
    """By object, kind, entity, rule, and by when it was asked; rules that the actor may not decide are left out."""
    approvals = PostgresApprovals(queue.pool)
    await queue.add(1, 2)
    items = (await queue.claim()).claimed
    await approvals.ask([asked(item) for item in items])
    await queue.settle(*(held(item) for item in items))
    early = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    for none in (
        ApprovalFilter(object="account"), ApprovalFilter(kind="update"), ApprovalFilter(rule="other"),
        ApprovalFilter(connector="hubspot"), ApprovalFilter(connector=CONNECTOR, before=early),
    ):  # fmt: skip
        assert await approvals.count(TENANT, none, [RULE]) == (0, 0)
        assert await approvals.decide(TENANT, none, [RULE], YES, 10) == 0
    assert await approvals.count(TENANT, ALL, ["other"]) == (2, 0)
    assert await approvals.decide(TENANT, ALL, ["other"], YES, 10) == 0
    one = ApprovalFilter(entity_id=key(1), object="contact", kind="create", rule=RULE)
    assert await approvals.decide(TENANT, one, [RULE], YES, 10) == 1
    assert await approvals.waiting(TENANT, CONNECTOR) == {RULE: 1}
    assert [await state(queue, number) for number in (1, 2)] == [State.PENDING, State.HELD]


async def test_what_was_held_is_judged_anew_when_the_account_begins_anew(queue: Queue) -> None:
    """Another policy may hold it no more; an actor that only restarts leaves it."""
    await queue.add(1)
    (item,) = (await queue.claim()).claimed
    await queue.settle(held(item))
    await queue.store.take_over()
    assert await state(queue) == State.HELD
    await queue.pool.execute("update sync.lease set fence = 2")
    await queue.successor().take_over()
    assert await state(queue) == State.PENDING


async def test_what_is_not_held_any_more_needs_no_decision(queue: Queue) -> None:
    """Delivered otherwise, as a policy without the approval does: it is not listed, and nobody decides about it."""
    approvals = PostgresApprovals(queue.pool)
    await queue.add(1)
    (item,) = (await queue.claim()).claimed
    await approvals.ask([asked(item)])
    await queue.settle(ended(item))
    assert await approvals.list_approvals(TENANT, ApprovalFilter(), None, 10) == ()
    assert await approvals.decide(TENANT, ALL, [RULE], YES, 10) == 0
    (view,) = await approvals.list_approvals(TENANT, ApprovalFilter(states=(1,)), None, 10)
    assert not view.waits
