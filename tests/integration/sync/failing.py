"""Deliveries that fail, settled as the actor settles them, and the replays' worker beside the API."""

from __future__ import annotations

from typing import Any, Final

from tests.integration.sync.world import World
from tests.unit.sync.deliveries import claimed
from tests.unit.sync.tenant import NOON, TENANT, key

from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.settling import Settlement, State
from headwater.sync.domain.turns import Wanted
from headwater.sync.store.delivery import PostgresDeliveries

TAKEN: Final = "Email a{number}@x.io is taken by record 00{number}"


def failed(number: int, **changed: Any) -> Settlement:
    """Return the settlement of a try for entity *number* that was refused for good."""
    fields: dict[str, Any] = {
        "claimed": claimed(entity_id=key(number)),
        "state": State.DEAD,
        "version": 1,
        "crm_object": "",
        "crm_id": "",
        "known": {},
        "failure_count": 1,
        "try_count": 1,
        "start_time": NOON,
        "outcome": "failed",
        "lane": 2,
        "error_class": "validation",
        "error_code": "TAKEN",
        "error_message": TAKEN.format(number=number),
        "endpoint": "upsert Contact",
    }
    return Settlement(**{**fields, **changed})


def delivered(number: int) -> Settlement:
    """Return the settlement of a try for entity *number* that succeeded after one that had failed."""
    return failed(
        number,
        claimed=claimed(entity_id=key(number), erred=True, tries_before=1),
        state=State.DELIVERED,
        crm_object="Contact",
        crm_id=f"003-{number}",
        failure_count=0,
        try_count=0,
        outcome="updated",
        error_class="",
        error_code="",
        error_message="",
        endpoint="",
    )


async def settle(world: World, *settlements: Settlement) -> None:
    """Settle as the actor of the Salesforce account does."""
    lease = Lease(f"connector/{TENANT}/salesforce", 1)
    await world.pool.execute(
        "insert into sync.lease values ($1, 'test', $2, 'infinity') on conflict do nothing",
        lease.name, lease.fence,
    )  # fmt: skip
    await PostgresDeliveries(world.pool, TENANT, "salesforce", lease).turn(settlements, Wanted(0, {}))


async def bury(world: World, *numbers: int, **changed: Any) -> None:
    """Put deliveries in whose only try was refused for good."""
    for number in numbers:
        await world.add_entity(
            number, fields={"email": [f"a{number}@x.io", "most_recent", "site", str(key(number)), 0]}
        )
        await world.add_delivery(number)
    await settle(world, *(failed(number, **changed) for number in numbers))


async def states(world: World) -> dict[int, int]:
    """Return number of the entity to state of its delivery."""
    rows = await world.pool.fetch("select entity_id, state from sync.delivery order by entity_id")
    return {row["entity_id"].int: row["state"] for row in rows}
