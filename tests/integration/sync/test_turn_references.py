"""What a turn tells of the records that a delivery refers to, and whom its end wakes."""

from __future__ import annotations

import pytest
from tests.integration.sync.queued import Queue, ended
from tests.unit.sync.tenant import TENANT, key

from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.settling import State

pytestmark = pytest.mark.anyio


async def test_a_delivered_record_wakes_those_that_refer_to_it(queue: Queue) -> None:
    """Those that wait for it and those that went without it; nobody else."""
    await queue.add(1, 2, 3, 4)
    for number in (2, 3, 4):
        await queue.pool.execute(
            "insert into sync.entity_reference values ($1, $2, 'account', $3)", TENANT, key(number), key(1)
        )
    turn = await queue.claim()
    one, two, three, four = turn.claimed
    assert [item.crm_id for item in two.references] == [""]
    assert two.references[0].coming
    waits = {"outcome": "", "after_s": 60.0, "waits": True, "changes": ()}
    await queue.settle(
        ended(one), ended(two, State.PENDING, **waits), ended(three, lacks_reference=True), ended(four)
    )
    assert await queue.lines() == {2: (Lane.LIVE, True), 3: (Lane.LIVE, True)}
    (item, _) = (await queue.claim()).claimed
    assert item.references[0].crm_id == "0031"


async def test_a_reference_leads_to_the_end_of_a_chain_of_merges(queue: Queue) -> None:
    """What refers to an entity that was merged twice over is sent with the record of the one that stands."""
    await queue.add(1, 2, 3, 4)
    await queue.settle(*map(ended, (await queue.claim()).claimed[:3]))
    merge = "update sync.entity set state = 'merged', merged_into = $2 where entity_id = $1"
    await queue.pool.execute(merge, key(1), key(2))
    await queue.pool.execute(merge, key(2), key(3))
    await queue.pool.execute(
        "insert into sync.entity_reference values ($1, $2, 'account', $3)", TENANT, key(4), key(1)
    )
    (item,) = (await queue.claim()).claimed
    assert [one.crm_id for one in item.references] == ["0033"]
