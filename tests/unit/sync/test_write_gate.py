"""What an account writes when its policy holds writes: by consent, by approval, by schedule."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest
from tests.unit.sync.accounts import Crm, Queue, account, document, running
from tests.unit.sync.deliveries import claimed
from tests.unit.sync.tenant import NOON, POLICY, key, policy

from headwater.kernel.clock import SteppedClock
from headwater.policy.loading import load_policy
from headwater.policy.writing import Approval, Schedule
from headwater.sync.delivery.guard import Opening
from headwater.sync.domain.approving import ApprovalState, Ask, Verdict
from headwater.sync.domain.delivering import Hold, Plan, Send, Settled, plan_delivery, to_target
from headwater.sync.domain.impact import changed_accounts
from headwater.sync.domain.settling import State

pytestmark = pytest.mark.anyio

CONSENTING = (
    POLICY.replace(
        "      plan: {type",
        "      opted_out: {type: boolean, owners: [site], rule: most_restrictive}\n      plan: {type",
    ).replace(
        "          end_marks: {Headwater_State__c",
        '          consent: {mail: {withhold: record, flags: {HasOptedOut: "true"}}}\n'
        "          end_marks: {Headwater_State__c",
    )
    + 'consent: {mail: {object: contact, opted_out: {opted_out: ["true"]}}}\n'
)
ACCOUNT = load_policy(CONSENTING).connectors["salesforce"]
REFUSES = {"email": "a@x.io", "last_name": "Lovelace", "opted_out": True}
THERE = {"crm_object": "Contact", "crm_id": "003", "known": {"Email": "a@x.io", "LastName": "Lovelace"}}


def planned(**changed: Any) -> Plan:
    """Return what is to be done for a delivery under a policy with consent."""
    return plan_delivery(ACCOUNT, claimed(**changed), 0.0)


def test_who_refuses_is_not_created() -> None:
    """Held, and it is said by what."""
    plan = planned(values=REFUSES)
    assert isinstance(plan, Hold)
    assert plan.why == "consent: mail: opted_out is true"


def test_of_who_refuses_later_the_crm_is_told_and_no_more() -> None:
    """The flag alone is written; once it is there, the delivery is held."""
    plan = planned(**THERE, values={**REFUSES, "email": "new@x.io"})
    assert isinstance(plan, Send)
    assert plan.write.fields == {"HasOptedOut": "true"}
    told = {**THERE, "known": {**THERE["known"], "HasOptedOut": "true"}}  # type: ignore[dict-item]
    assert isinstance(planned(**told, values={**REFUSES, "email": "new@x.io"}), Hold)


def test_who_agrees_again_is_written_and_the_flag_is_cleared() -> None:
    """Back to the whole record."""
    told = {**THERE, "known": {**THERE["known"], "HasOptedOut": "true"}}  # type: ignore[dict-item]
    plan = planned(**told, values={**REFUSES, "opted_out": False, "email": "new@x.io"})
    assert isinstance(plan, Send)
    assert plan.write.fields == {"Email": "new@x.io", "HasOptedOut": None}


def test_the_end_of_who_refuses_is_marked_all_the_same() -> None:
    """It tells the CRM less, not more."""
    plan = planned(**THERE, values=REFUSES, state="deleted")
    assert isinstance(plan, Send)
    assert plan.write.fields == {"Headwater_State__c": "deleted"}


def test_a_flag_is_among_the_fields_that_the_connector_is_told_of() -> None:
    """So that it is looked for before, and looked up in doubt."""
    assert "HasOptedOut" in to_target("contact", ACCOUNT.written["contact"][0]).fields


def test_another_consent_is_another_way_to_write() -> None:
    """A rollout reaches the accounts that withhold by it, and no others."""
    before = load_policy(CONSENTING)
    after = load_policy(CONSENTING.replace('opted_out: ["true"]', 'opted_out: ["true", "unknown"]'))
    assert changed_accounts(before, after) == ("salesforce",)


def test_an_account_that_is_only_read_is_never_written() -> None:
    """Whatever happens to an entity: neither mapping, nor end, nor merge leads to a write."""
    item = (
        policy()
        .connectors["hubspot"]
        .objects["contact"][0]
        .model_copy(update={"direction": "in", "merge": "merge"})
    )
    reading = policy().connectors["hubspot"].model_copy(update={"objects": {"contact": (item,)}})
    assert reading.written == {}
    for state in ("active", "merged", "deleted"):
        plan = plan_delivery(reading, claimed(connector="hubspot", state=state, values={"plan": "pro"}), 0.0)
        assert isinstance(plan, Settled)
        assert plan.outcome == "superseded"


class Book:
    """Answers all asks alike."""

    def __init__(self) -> None:
        self.state = ApprovalState.ASKED

    async def waiting(self, tenant_id: str, connector: str) -> Mapping[str, int]:
        """Nothing waits."""
        del tenant_id, connector
        return {}

    async def ask(self, asks: Sequence[Ask]) -> Mapping[UUID, Verdict]:
        """Answer."""
        return {item.approval_id: Verdict(self.state, "user:ann", "no") for item in asks}


@pytest.mark.parametrize(
    ("verdict", "state", "calls"),
    [
        (ApprovalState.ASKED, State.HELD, 0),
        (ApprovalState.REJECTED, State.DISCARDED, 0),
        (ApprovalState.EXPIRED, State.DISCARDED, 0),
        (ApprovalState.APPROVED, State.DELIVERED, 1),
    ],
)
async def test_an_account_writes_what_is_approved_alone(
    verdict: ApprovalState, state: State, calls: int
) -> None:
    """Held and refused deliveries leave the line without a call, and say why."""
    queue, crm, book = Queue(), Crm(), Book()
    book.state = verdict
    queue.add(1)
    strict = document(approval={"all": Approval()})
    async with running(account(queue, crm, policy=strict, approvals=book)):
        await queue.until_empty()
    (settled,) = queue.settled
    assert (settled.state, len(crm.writes)) == (state, calls)
    assert settled.error_message.startswith("approval: ") is (calls == 0)


def closed_on_sundays(clock: SteppedClock) -> Opening:
    """Return a schedule; NOON is a Sunday's."""
    sundays = Schedule.model_validate({"open": [{"days": ["mon", "tue", "wed", "thu", "fri", "sat"]}]})
    return Opening([("week", sundays)], clock)


def test_a_schedule_keeps_writes_back_and_lets_reads_go() -> None:
    """Until the next opening, which it tells."""
    clock = SteppedClock(NOON)
    opening = closed_on_sundays(clock)
    assert (opening.closed_s("write"), opening.closed_s("read")) == (12 * 3600, 0.0)
    clock.advance(dt.timedelta(hours=12).total_seconds())
    assert opening.closed_s("write") == 0.0


async def test_a_closed_account_claims_nothing_and_keeps_what_is_due() -> None:
    """Its deliveries stay in line; it is prepared, as reading goes on."""
    queue, crm = Queue(), Crm()
    queue.add(1)
    shut = Schedule.model_validate({"freezes": [{"from": "2020-01-01", "to": "2099-12-31"}]})
    async with running(account(queue, crm, policy=document(schedules={"shut": shut}))):
        await queue.until(lambda: crm.prepared > 0)
        await queue.until(lambda: queue.turns >= 1)
    assert (crm.writes, queue.settled, list(queue.due)) == ([], [], [key(1)])
