"""Rows whose fate a bulk job of before has told: settled without a look-up, and without a second write."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from tests.unit.sync.deliveries import claimed
from tests.unit.sync.tenant import NOON, key, policy

from headwater.connectors.base import Written
from headwater.policy.account import Retry
from headwater.sync.approvals.door import ApprovalDoor
from headwater.sync.delivery.handling import STRETCH, Handler
from headwater.sync.delivery.outcomes import Judge
from headwater.sync.delivery.sending import LookedUp, Sender
from headwater.sync.domain.bulking import BulkJob, Recall
from headwater.sync.domain.delivering import Claimed
from headwater.sync.domain.isolating import Suspects
from headwater.sync.domain.settling import State

pytestmark = pytest.mark.anyio


class Asked(Sender):
    """Notes what is looked up; the CRM holds none of it."""

    def __init__(self) -> None:
        self.looked_up: list[Claimed] = []

    async def look_up(self, doubtful: Sequence[Claimed]) -> LookedUp:
        self.looked_up += doubtful
        return LookedUp(cleared=list(doubtful))


async def test_what_a_job_wrote_is_settled_and_what_it_did_not_is_sent() -> None:
    """A recall that was empty when the handler was made counts, too; what nothing is known of is looked up."""
    recall, sender, document = Recall(), Asked(), policy()
    name = "salesforce"
    door = ApprovalDoor(document, name, None)
    handler = Handler(document.connectors[name], 60.0, sender, Suspects(), door, recall)
    members = {key(number): 3 for number in (1, 2, 3)}
    job = BulkJob(key(7), "contact", "Contact", "Headwater_Id__c", document.version, members=members)
    recall.remember(job, {str(key(1)): Written("003A", created=True)}, frozenset({str(key(2))}))
    rows = [claimed(entity_id=key(number), in_doubt=True) for number in (1, 2, 3)]
    judge = Judge(Retry(), random.Random(1), document.version, NOON)
    sends, done = await handler.prepare(judge, rows, dict.fromkeys(members))
    assert [(item.claimed.entity_id, item.state, item.crm_id, item.outcome) for item in done.settlements] == [
        (key(1), State.DELIVERED, "003A", "created")
    ]
    assert sorted(send.claimed.entity_id for send in sends) == [key(2), key(3)]
    assert [item.entity_id for item in sender.looked_up] == [key(3)]


async def test_a_portion_is_planned_in_stretches() -> None:
    """Where others may go first they are let, and nothing of the portion is left out for it."""
    sender, document = Asked(), policy()
    pauses: list[int] = []
    name = "salesforce"
    handler = Handler(document.connectors[name], 60.0, sender, Suspects(), ApprovalDoor(document, name, None))
    rows = [claimed(entity_id=key(number)) for number in range(1, 2 * STRETCH + 2)]
    judge = Judge(Retry(), random.Random(1), document.version, NOON)

    async def pause() -> None:
        pauses.append(len(pauses))

    sends, done = await handler.prepare(judge, rows, {row.entity_id: None for row in rows}, pause)
    assert len(pauses) == 2
    assert [send.claimed.entity_id for send in sends] == [row.entity_id for row in rows]
    assert not done.settlements
