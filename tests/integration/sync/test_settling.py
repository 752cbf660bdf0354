"""Settling tells the audit of every write, of those too whose answer was lost."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.sync.deliveries import claimed
from tests.unit.sync.tenant import NOON, TENANT, key

from headwater.connectors.base import Found
from headwater.kernel.pg.pool import open_pool
from headwater.sync.domain.delivering import adopt_found
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.settling import Settlement, State
from headwater.sync.store.delivery import PostgresDeliveries

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

pytestmark = pytest.mark.anyio

LEASE = Lease("connector/acme/salesforce", 1)
CHANGE = {"field": "Title", "before": "", "after": "CTO", "rule": "minimal_patch"}


@pytest.fixture
async def pool(migrated_database_url: str) -> AsyncIterator[Pool]:
    """A database with one delivery, and the lease on its account."""
    async with await open_pool(migrated_database_url, application_name="test") as pool:
        await pool.execute(
            "insert into sync.lease values ($1, 'test', $2, 'infinity')", LEASE.name, LEASE.fence
        )
        await pool.execute(
            "insert into sync.delivery"
            " (tenant_id, connector, entity_id, object, state, desired_version, event_key, dirty_time)"
            " values ($1, 'salesforce', $2, 'contact', 4, 3, $3, $4)",
            TENANT, key(1), key(9), NOON,
        )  # fmt: skip
        await pool.execute("insert into sync.due values ($1, 'salesforce', 1, $2, $3)", TENANT, NOON, key(1))
        yield pool


def looked_up(state: State, outcome: str, **changed: Any) -> Settlement:
    """Return the settlement of a delivery whose lost write a look-up has found."""
    item = adopt_found(claimed(in_doubt=True), Found(str(key(1)), "003", {"Email": "a@x.io"}))
    fields: dict[str, Any] = {
        "claimed": item, "state": state, "version": 3, "crm_object": "Contact", "crm_id": "003",
        "known": item.known, "failure_count": 0, "try_count": 0, "start_time": NOON, "outcome": outcome, "lane": item.lane,
    }  # fmt: skip
    return Settlement(**{**fields, **changed})


async def audit_of(pool: Pool, entity_id: uuid.UUID) -> Sequence[tuple[str, list[str]]]:
    """Return action and fields of an entity's audit rows, oldest first."""
    rows = await pool.fetch(
        "select action, changes from sync.audit where entity_id = $1 order by audit_id", entity_id
    )
    return [(row["action"], [change["field"] for change in row["changes"]]) for row in rows]


@pytest.mark.parametrize(
    ("settlement", "told"),
    [
        (looked_up(State.DELIVERED, "looked_up"), [("looked_up", ["Email"])]),
        (
            looked_up(State.DELIVERED, "updated", changes=(CHANGE,)),
            [("looked_up", ["Email"]), ("delivered", ["Title"])],
        ),
        (looked_up(State.PENDING, "", waits=True), [("looked_up", ["Email"])]),
        (
            looked_up(State.RETRYING, "failed", error_class="network", try_count=1),
            [("looked_up", ["Email"])],
        ),
    ],
    ids=["nothing left to write", "the rest is written", "it waits for another", "the rest fails"],
)
async def test_a_write_whose_answer_was_lost_is_audited_when_it_is_found(
    pool: Pool, settlement: Settlement, told: Sequence[tuple[str, list[str]]]
) -> None:
    """What the look-up showed is told first, whatever became of the rest."""
    await PostgresDeliveries(pool, TENANT, "salesforce", LEASE).settle([settlement])
    assert await audit_of(pool, key(1)) == told
