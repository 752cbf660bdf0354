"""How a CRM record passes from a delivery to another in the tables: both, or neither."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.sync.queued import CONNECTOR, Queue, ended
from tests.unit.sync.tenant import TENANT, key

from headwater.sync.domain.leasing import FenceLost

pytestmark = pytest.mark.anyio

LOSER, WINNER, OTHER = 1, 2, 3
PLACE = ("Contact", "0031", key(LOSER), key(WINNER))


@pytest.fixture
async def merged(queue: Queue) -> Queue:
    """The loser is delivered as record 0031; the winner, which it was merged into, has none."""
    await queue.add(LOSER, WINNER, OTHER)
    await queue.settle(
        *[ended(item) for item in (await queue.claim()).claimed if item.entity_id == key(LOSER)]
    )
    await queue.pool.execute(
        "update sync.entity set state = 'merged', merged_into = $2 where entity_id = $1",
        key(LOSER),
        key(WINNER),
    )
    return queue


async def records(queue: Queue) -> list[tuple[int, str, str]]:
    """Return entity, CRM record and whether a title is known to be there."""
    rows = await queue.pool.fetch("select entity_id, crm_id, known from sync.delivery order by entity_id")
    return [(row["entity_id"].int, row["crm_id"], row["known"].get("Title", "")) for row in rows]


async def test_the_record_and_what_it_holds_pass_together(merged: Queue) -> None:
    """Its holder has none afterwards; the audit says whose it was."""
    holders = await merged.store.holders("Contact", ["0031"])
    assert holders["0031"].leaves_to(str(key(WINNER)))
    assert not holders["0031"].leaves_to(str(key(OTHER)))
    assert await merged.store.inherit_record(*PLACE) == {"Title": "CTO"}
    assert await records(merged) == [(LOSER, "", ""), (WINNER, "0031", "CTO"), (OTHER, "", "")]
    noted: Any = await merged.pool.fetchrow(
        "select tenant_id, connector, entity_id, changes from sync.audit where action = 'record_inherited'"
    )
    assert (noted["tenant_id"], noted["connector"], noted["entity_id"]) == (TENANT, CONNECTOR, key(WINNER))
    assert [item["after"] for item in noted["changes"]] == ["Contact 0031", str(key(WINNER))]
    assert noted["changes"][1]["before"] == str(key(LOSER))


@pytest.mark.parametrize(
    ("prepare", "place"),
    [
        ("update sync.delivery set state = 3 where crm_id = '0031'", PLACE),
        ("update sync.delivery set crm_id = '0039' where crm_id = ''", PLACE),
        ("select 1", ("Contact", "0038", key(LOSER), key(WINNER))),
        ("select 1", ("Lead", "0031", key(LOSER), key(WINNER))),
        ("select 1", ("Contact", "0031", key(9), key(WINNER))),
    ],
    ids=["holder is on its way", "heir has one", "another record", "another object", "nobody's"],
)
async def test_nothing_passes_where_things_have_changed(
    merged: Queue, prepare: str, place: tuple[str, str, object, object]
) -> None:
    """Both stay as they were."""
    await merged.pool.execute(f"{prepare} and entity_id in ('{key(LOSER)}', '{key(WINNER)}')" if "where" in prepare else prepare)  # fmt: skip
    before = await records(merged)
    assert await merged.store.inherit_record(*place) is None  # type: ignore[arg-type]
    assert await records(merged) == before


async def test_whoever_lost_the_account_passes_nothing(merged: Queue) -> None:
    """The fence is held while it happens."""
    with pytest.raises(FenceLost):
        await merged.successor(fence=2).inherit_record(*PLACE)
