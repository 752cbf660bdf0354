"""The CRM record of an entity that was merged goes to the one it was merged into, if that has none."""

from __future__ import annotations

import pytest
from tests.unit.sync.accounts import Crm, Queue, account, running
from tests.unit.sync.tenant import key

from headwater.connectors.base import ErrorClass, VendorError
from headwater.sync.domain.delivering import Holder
from headwater.sync.domain.settling import State

pytestmark = pytest.mark.anyio

IN_THE_WAY = VendorError(ErrorClass.CONFLICT, "DUPLICATE", "that address is taken", existing_crm_id="003")
HELD = {"Email": "a@x.io", "Status": "merged"}


async def met(holder: Holder, **left: dict[str, str]) -> list[tuple[State, str, dict[str, object]]]:
    """Return how the first try of entity 1 is settled, whose address the record 003 of *holder* has."""
    queue, crm = Queue(holders={"003": holder}, left=dict(left)), Crm(fails=[IN_THE_WAY])
    queue.add(1)
    async with running(account(queue, crm)):
        await queue.until(lambda: bool(queue.settled))
    return [(item.state, item.crm_id, dict(item.known)) for item in queue.settled[:1]]


async def test_the_record_goes_to_whom_its_entity_was_merged_into() -> None:
    """With what it holds: the next write takes the mark of its end off, and the address is free for it."""
    merged = Holder(str(key(9)), heir_id=str(key(1)))
    assert await met(merged, **{"003": HELD}) == [(State.RETRYING, "003", HELD)]


@pytest.mark.parametrize(
    "holder",
    [
        Holder(str(key(9)), heir_id=str(key(9))),
        Holder(str(key(9)), heir_id=str(key(8))),
        Holder(str(key(9)), heir_id=""),
    ],
    ids=["stands", "merged elsewhere", "not known"],
)
async def test_the_record_of_anybody_else_is_no_ones_to_take(holder: Holder) -> None:
    """A dead letter that names both."""
    assert await met(holder, **{"003": HELD}) == [(State.DEAD, "", {})]


async def test_a_record_that_is_on_its_way_is_waited_for() -> None:
    """Its own delivery comes first: the mark of its end may be in that."""
    merged = Holder(str(key(9)), coming=True, heir_id=str(key(1)))
    assert await met(merged, **{"003": HELD}) == [(State.RETRYING, "", {})]


async def test_a_record_that_has_gone_meanwhile_is_not_taken() -> None:
    """The store has the last word."""
    merged = Holder(str(key(9)), heir_id=str(key(1)))
    assert await met(merged) == [(State.DEAD, "", {})]
