"""Settling tells the audit of every write, of those too whose answer was lost."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from tests.unit.sync.deliveries import claimed
from tests.unit.sync.tenant import NOON, TENANT, key

from headwater.connectors.base import Found
from headwater.kernel.pg.pool import open_pool
from headwater.sync.domain import doubting
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.settling import Settlement, State
from headwater.sync.domain.turns import Wanted
from headwater.sync.store.delivery import PostgresDeliveries

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

pytestmark = pytest.mark.anyio

LEASE = Lease("connector/acme/salesforce", 1)
NOTHING = Wanted(0, {})
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
    item = doubting.looked_up(claimed(in_doubt=True), Found(str(key(1)), "003", {"Email": "a@x.io"}))
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
        (looked_up(State.DELIVERED, "looked_up"), [("looked_up", ["#write", "Email"])]),
        (
            looked_up(State.DELIVERED, "updated", changes=(CHANGE,)),
            [("looked_up", ["#write", "Email"]), ("delivered", ["Title"])],
        ),
        (looked_up(State.PENDING, "", waits=True), [("looked_up", ["#write", "Email"])]),
        (
            looked_up(State.RETRYING, "failed", error_class="network", try_count=1),
            [("looked_up", ["#write", "Email"])],
        ),
    ],
    ids=["nothing left to write", "the rest is written", "it waits for another", "the rest fails"],
)
async def test_a_write_whose_answer_was_lost_is_audited_when_it_is_found(
    pool: Pool, settlement: Settlement, told: Sequence[tuple[str, list[str]]]
) -> None:
    """What the look-up showed is told first, whatever became of the rest."""
    await PostgresDeliveries(pool, TENANT, "salesforce", LEASE).turn([settlement], NOTHING)
    assert await audit_of(pool, key(1)) == told


@pytest.mark.parametrize(
    ("verdict", "action"),
    [("applied", "looked_up"), ("not_applied", "looked_up"), ("repeated", "sent_again")],
)
async def test_the_verdict_on_a_doubt_is_kept_with_attempt_and_audit(
    pool: Pool, verdict: str, action: str
) -> None:
    """Each of the three is told once, beside what the try itself did."""
    item = replace(claimed(in_doubt=True), verdict=verdict)
    settled = looked_up(State.DELIVERED, "updated", claimed=item, changes=(CHANGE,))
    await PostgresDeliveries(pool, TENANT, "salesforce", LEASE).turn([settled], NOTHING)
    assert [row["verdict"] for row in await pool.fetch("select verdict from sync.try")] == [verdict]
    assert await audit_of(pool, key(1)) == [(action, ["#write"]), ("delivered", ["Title"])]
    told = await pool.fetchval("select changes -> 0 ->> 'after' from sync.audit order by audit_id limit 1")
    assert told == verdict


async def test_what_was_never_in_doubt_has_no_verdict(pool: Pool) -> None:
    """A plain delivery tells of no doubt."""
    settled = looked_up(State.DELIVERED, "updated", claimed=claimed(), changes=(CHANGE,))
    await PostgresDeliveries(pool, TENANT, "salesforce", LEASE).turn([settled], NOTHING)
    assert await pool.fetchval("select verdict from sync.try") == ""
    assert await audit_of(pool, key(1)) == [("delivered", ["Title"])]


@pytest.mark.parametrize("last_error_class", ["in_doubt", "partial", "server"])
async def test_a_dead_letter_in_doubt_is_looked_up_when_it_is_due_again(
    pool: Pool, last_error_class: str
) -> None:
    """Whoever made it due: nobody knows whether the CRM holds it, unless the last error was a certain one."""
    await pool.execute("update sync.delivery set state = 1, last_error_class = $1", last_error_class)
    await pool.execute(
        "insert into sync.entity (tenant_id, entity_id, object, state, version, fields)"
        " values ($1, $2, 'contact', 'active', 3, '{}')", TENANT, key(1),
    )  # fmt: skip
    turn = await PostgresDeliveries(pool, TENANT, "salesforce", LEASE).turn((), Wanted(0, {Lane.LIVE: 1}))
    (item,) = turn.claimed
    assert item.in_doubt is (last_error_class != "server")
